//! Dropout of a matrix by a counter hash: which numbers are dropped follows from the micro-batch's key, a number of the
//! place in the model, the row and the column, in whatever a kernel or its twin computes. `docs/formats.md` has the hash.

mod key;

use super::{Launch, Text, new, takes};
use crate::libtorch::autograd::attach_backward;
use crate::libtorch::dropout::drop_into;
use crate::randomness::{HASH_MULTIPLIERS, derive, signed, xor_shift};
pub use key::{DropoutKey, DropoutStreams};
use tch::{Device, Kind, Tensor, no_grad};

/// A place in a model where numbers are dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    number: u64,
    probability: f64,
}

impl Place {
    /// The place of this name in the model's tree, where each number is dropped with `probability`, below 1.
    pub fn new(name: &str, probability: f64) -> Self {
        Self { number: derive(0, name, &[]), probability }
    }

    /// What sets its masks apart from those of other places.
    pub fn number(self) -> u64 {
        self.number
    }

    /// The draws for a matrix of these sizes; `None` where nothing is dropped, as without a key.
    pub fn draw(self, key: Option<&DropoutKey>, sizes: [i64; 2]) -> Option<Draw> {
        Draw::new(key?, self.number, self.probability, sizes)
    }
}

/// What decides over each number of a matrix `[rows, columns]`.
#[derive(Debug)]
pub struct Draw {
    rows: Tensor,    // int32 [rows], hashes
    columns: Tensor, // int32 [columns]
    threshold: i32,
    scale: f64,
}

impl Draw {
    /// The draws at `place` with `probability`; `None` where nothing is dropped.
    pub fn new(key: &DropoutKey, place: u64, probability: f64, sizes: [i64; 2]) -> Option<Self> {
        if probability <= 0.0 {
            return None;
        }
        let [rows, columns] = key.hashes(place, sizes).map(|hashes| hashes.contiguous());
        Some(Self { rows, columns, threshold: threshold(probability), scale: 1.0 / (1.0 - probability) })
    }

    /// `x` `[rows, columns]` with 0 where dropped, the rest divided by the probability of being kept. The backward pass
    /// draws again: no mask is kept.
    ///
    /// # Panics
    /// Where libtorch refuses an operation, as all of tch's operators.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let output = no_grad(|| self.clear(&x.detach()));
        let draw = self.share();
        let backward = move |upstream: &[Tensor]| vec![Some(no_grad(|| draw.clear(&upstream[0])))];
        attach_backward(&[x], &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
        output
    }

    /// [`Draw::apply`] without a history.
    pub(super) fn clear(&self, x: &Tensor) -> Tensor {
        if x.device() == Device::Cpu && matches!(x.kind(), Kind::Float | Kind::Double) {
            let (x, cleared) = (x.contiguous(), x.empty_like().contiguous());
            drop_into(&cleared, &x, &self.rows, &self.columns, self.threshold)
                .unwrap_or_else(|error| panic!("{error}"));
            return cleared * self.scale;
        }
        let mut hash = self.rows.view([-1, 1]).bitwise_xor_tensor(&self.columns) * signed(HASH_MULTIPLIERS[0]);
        xor_shift(&mut hash, 15);
        hash *= signed(HASH_MULTIPLIERS[1]);
        (x * self.scale).masked_fill(&hash.less(i64::from(self.threshold)), 0.0)
    }

    /// What kept numbers are multiplied by.
    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    fn share(&self) -> Self {
        let [rows, columns] = [&self.rows, &self.columns].map(Tensor::shallow_clone);
        Self { rows, columns, ..*self }
    }
}

/// The hashes of `rows` and `columns` for places whose words are `places` `[count, 2]`, of the key in `words` `[2]`: int32
/// `[count, rows + columns]`; `None` where no kernel runs.
fn hashes_by_kernel(words: &Tensor, places: &Tensor, [rows, columns]: [i64; 2]) -> Option<Tensor> {
    if !takes(words) {
        return None;
    }
    let (words, places) = (words.contiguous(), places.contiguous());
    let hashes = new(&words, &[places.size()[0], rows + columns], Kind::Int);
    let text = Text::new("dropout_hashes.cu", include_str!("cuda/dropout_hashes.cu"), &[]);
    let blocks = [(rows + columns + 255) / 256, places.size()[0], 1];
    Launch::new(&text, "dropout_hashes", blocks, [256, 1, 1])
        .tensor(&words)
        .tensor(&places)
        .tensor(&hashes)
        .int(rows)
        .int(columns)
        .run();
    Some(hashes)
}

/// What a hash, read as a signed number, must fall below for its number to be dropped.
pub fn threshold(probability: f64) -> i32 {
    ((probability * 2f64.powi(32)).round() as i64 + i64::from(i32::MIN)).min(i32::MAX.into()) as i32
}

impl<'a> Launch<'a> {
    /// The kernels' `Dropout`, with nothing to drop for `None`.
    pub(super) fn dropout(self, draw: Option<&'a Draw>) -> Self {
        let pointer = |tensor: &Tensor| tensor.data_ptr() as u64;
        let words = match draw {
            Some(Draw { rows, columns, threshold, scale }) => {
                vec![pointer(rows), pointer(columns), pack(*threshold as u32, *scale as f32)]
            }
            None => vec![0, 0, pack(0, 1.0)],
        };
        self.words(words)
    }
}

fn pack(first: u32, second: f32) -> u64 {
    u64::from(first) | u64::from(second.to_bits()) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(probability: f64) -> Draw {
        let key = DropoutKey::of(Tensor::from_slice(&[11i32, -12]));
        Place::new("here", probability).draw(Some(&key), [60, 50]).unwrap()
    }

    #[test]
    fn one_pass_and_plain_operations_drop_the_same() {
        let ones = Tensor::ones([60, 50], (Kind::Double, Device::Cpu));
        for probability in [0.1, 0.9] {
            let (one, plain) = (draw(probability).clear(&ones), draw(probability).clear(&ones.to_kind(Kind::Half)));
            assert_eq!(one.eq(0.0), plain.eq(0.0));
            let dropped = one.eq(0.0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
            // Six standard deviations of 3000 draws.
            assert!((dropped - probability).abs() < 0.033, "{dropped}");
            approx::assert_abs_diff_eq!(one.max().double_value(&[]), 1.0 / (1.0 - probability), epsilon = 1e-12);
        }
        assert!(Place::new("here", 0.5).draw(None, [2, 2]).is_none());
    }

    #[test]
    fn the_gradient_is_dropped_alike() {
        let x = Tensor::ones([60, 50], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let y = draw(0.3).apply(&x);
        y.sum(Kind::Double).backward();
        assert_eq!(x.grad(), y.detach());
    }
}
