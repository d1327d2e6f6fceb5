//! Attention weights of scores that no input changes: one matrix a head for the whole batch.

use super::dropout::Draw;
use super::{Launch, Text, new, number, say_plain, takes};
use tch::{Kind, Tensor};

/// The weights of some scores, and what their gradient needs. Nothing here has a history: whoever multiplies with the
/// weights writes the backward pass and asks for [`SharedWeights::score_gradient`].
#[derive(Debug)]
pub struct SharedWeights {
    weights: Tensor,         // [heads, N, M]
    dropped: Option<Tensor>, // likewise
    causal: bool,
    draw: Option<Draw>,
}

/// Whether kernels compute weights in `kind` of these scores.
pub fn takes_scores(scores: &Tensor, kind: Kind) -> bool {
    let takes = text(scores, kind).is_some();
    if !takes {
        say_plain("the softmax of shared scores", scores);
    }
    takes
}

impl SharedWeights {
    /// softmax(`scores`) in `kind`, computed in at least float32, and dropout. `scores` are `[heads, N, M]`, of which query
    /// i sees the first i + 1 + M − N where `causal`; a row that sees nothing is 0. The draws' rows are heads · N.
    ///
    /// # Panics
    /// Where libtorch refuses an operation, as all of tch's operators.
    pub fn new(scores: &Tensor, causal: bool, draw: Option<Draw>, kind: Kind) -> Self {
        let scores = scores.detach().contiguous();
        match text(&scores, kind) {
            Some(text) => Self::by_kernel(&text, &scores, causal, draw, kind),
            None => Self::in_plain_operations(&scores, causal, draw, kind),
        }
    }

    /// What values are multiplied by, `[heads, N, M]`.
    pub fn weights(&self) -> &Tensor {
        self.dropped.as_ref().unwrap_or(&self.weights)
    }

    /// The scores' gradient for that of the [`weights`](Self::weights), both at least float32 and `[heads, N, M]`.
    ///
    /// # Panics
    /// As [`SharedWeights::new`].
    pub fn score_gradient(&self, of_weights: &Tensor) -> Tensor {
        match text(of_weights, self.weights.kind()) {
            Some(text) => self.gradient_by_kernel(&text, &of_weights.contiguous()),
            None => {
                let draws = self.draw.as_ref().map(|draw| draw.apply(&of_weights.flatten(0, 1)).view_as(of_weights));
                let product = draws.unwrap_or_else(|| of_weights.shallow_clone()) * &self.weights;
                let sums = product.sum_dim_intlist([-1i64].as_slice(), true, None::<Kind>);
                &product - &self.weights * sums
            }
        }
    }

    fn in_plain_operations(scores: &Tensor, causal: bool, draw: Option<Draw>, kind: Kind) -> Self {
        let size = scores.size();
        let hidden = causal.then(|| {
            let ones = Tensor::ones([size[1], size[2]], (Kind::Bool, scores.device()));
            ones.triu(size[2] - size[1] + 1)
        });
        let seen = hidden.as_ref().map_or_else(|| scores.shallow_clone(), |h| scores.masked_fill(h, f64::NEG_INFINITY));
        // A row of −∞ only is NaN after softmax, and 0 here.
        let weights = seen.softmax(-1, None::<Kind>);
        let weights = hidden.map_or_else(|| weights.shallow_clone(), |hidden| weights.masked_fill(&hidden, 0.0));
        let dropped = draw.as_ref().map(|draw| draw.apply(&weights.flatten(0, 1)).view_as(&weights).to_kind(kind));
        Self { weights: weights.to_kind(kind), dropped, causal, draw }
    }

    fn by_kernel(text: &Text, scores: &Tensor, causal: bool, draw: Option<Draw>, kind: Kind) -> Self {
        let size = scores.size();
        let weights = new(scores, &size, kind);
        let dropped = draw.as_ref().map(|_| new(scores, &size, kind));
        over_rows(text, "shared_softmax", &size)
            .tensor(scores)
            .tensor(&weights)
            .optional(dropped.as_ref())
            .int(size[0] * size[1])
            .int(size[1])
            .int(size[2])
            .int(i64::from(causal))
            .dropout(draw.as_ref())
            .run();
        Self { weights, dropped, causal, draw }
    }

    fn gradient_by_kernel(&self, text: &Text, of_weights: &Tensor) -> Tensor {
        let size = of_weights.size();
        let of_scores = of_weights.empty_like();
        over_rows(text, "shared_softmax_backward", &size)
            .tensor(&self.weights)
            .tensor(of_weights)
            .tensor(&of_scores)
            .int(size[0] * size[1])
            .int(size[1])
            .int(size[2])
            .int(i64::from(self.causal))
            .dropout(self.draw.as_ref())
            .run();
        of_scores
    }
}

/// The kernels' text for float32 scores or gradients; `None` for what they do not cover.
fn text(scores: &Tensor, kind: Kind) -> Option<Text> {
    let number = number(kind)?;
    let covered = scores.kind() == Kind::Float && scores.numel() > 0 && takes(scores);
    let source = include_str!("cuda/shared_softmax.cu");
    covered.then(|| Text::new("shared_softmax.cu", source, &[("NUMBER", &number)]))
}

fn over_rows<'a>(text: &'a Text, kernel: &'static str, size: &[i64]) -> Launch<'a> {
    Launch::new(text, kernel, [(size[0] * size[1] + 7) / 8, 1, 1], [256, 1, 1])
}

#[cfg(test)]
mod tests {
    use super::super::host::with_kernels;
    use super::*;
    use crate::kernels::dropout::DropoutKey;
    use tch::Device;

    /// Weights and the scores' gradient, in float64.
    fn run(scores: &Tensor, of_weights: &Tensor, causal: bool, probability: f64, kind: Kind) -> [Tensor; 2] {
        let (size, float) = (scores.size(), if kind == Kind::Double { Kind::Double } else { Kind::Float });
        let key = DropoutKey::of(Tensor::from_slice(&[5i32, 6]));
        let draw = Draw::new(&key, 8, probability, [size[0] * size[1], size[2]]);
        let shared = SharedWeights::new(&scores.to_kind(float), causal, draw, kind);
        let gradient = shared.score_gradient(&of_weights.to_kind(float));
        [shared.weights().to_kind(Kind::Double), gradient.to_kind(Kind::Double)]
    }

    #[test]
    fn kernels_equal_plain_operations_in_float64() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(8);
        for [heads, n, m] in [[2, 9, 9], [3, 40, 40], [1, 70, 77], [2, 12, 5]] {
            for (causal, probability) in [(true, 0.2), (false, 0.0), (true, 0.0), (false, 0.5)] {
                let draw = || Tensor::randn([heads, n, m], (Kind::Float, Device::Cpu)).to_kind(Kind::Double);
                let (scores, upstream) = (draw() * 3.0, draw());
                let expected = run(&scores, &upstream, causal, probability, Kind::Double);
                for (kind, bound) in [(Kind::Float, 2e-6), (Kind::BFloat16, 1e-2)] {
                    let found = with_kernels(|| run(&scores, &upstream, causal, probability, kind));
                    for (found, expected) in found.iter().zip(&expected) {
                        let difference = (found - expected).abs().max() / expected.abs().max().clamp_min(1e-30);
                        let difference = difference.double_value(&[]);
                        assert!(difference < bound, "{difference}: {heads}x{n}x{m}, {causal}, {probability}, {kind:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_twin_s_gradient_is_that_of_autograd() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(9);
        let scores = Tensor::randn([2, 6, 6], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let upstream = Tensor::randn([2, 6, 6], (Kind::Double, Device::Cpu));
        let hidden = Tensor::ones([6, 6], (Kind::Bool, Device::Cpu)).triu(1);
        let weights = scores.masked_fill(&hidden, f64::NEG_INFINITY).softmax(-1, None::<Kind>);
        (weights * &upstream).sum(Kind::Double).backward();
        let [_, found] = run(&scores.detach(), &upstream, true, 0.0, Kind::Double);
        assert!((found - scores.grad()).abs().max().double_value(&[]) < 1e-14);
    }
}
