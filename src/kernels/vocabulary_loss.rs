//! The loss of rows of logits, and its gradient in their place.

use super::adamw::padded_rows;
use super::{Launch, Text, new, say_plain, takes};
use tch::{Kind, Tensor};

/// What is minimised instead of the plain negative log-likelihood.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Objective {
    /// The share of the target's probability that all tokens get alike (label smoothing, arXiv 1512.00567).
    pub smoothing: f64,
    /// What the square of log Σ exp(logits) counts (z-loss, arXiv 2204.02311).
    pub z_loss: f64,
}

impl Objective {
    /// Whether it is the negative log-likelihood and nothing else.
    pub fn is_plain(self) -> bool {
        self == Self::default()
    }
}

/// Logits of some tokens, in a buffer whose rows begin where kernels can read eight at once.
#[derive(Debug)]
pub struct Logits {
    /// `[rows, stride]`; what is behind the vocabulary means nothing.
    buffer: Tensor,
    vocabulary: i64,
}

/// A loss for each row; 0 where there is no target.
#[derive(Debug)]
pub struct Losses {
    /// `−log softmax(logits)[target]`, `[rows]`.
    pub nats: Tensor,
    /// What the gradient is of, `[rows]`.
    pub objective: Tensor,
}

impl Logits {
    /// Room for `rows` of `vocabulary` logits beside `like`.
    pub fn new(like: &Tensor, rows: i64, vocabulary: i64, kind: Kind) -> Self {
        Self { buffer: new(like, &[rows, padded_rows(vocabulary)], kind), vocabulary }
    }

    /// Whether a kernel computes losses of logits in `kind` beside `like`.
    pub fn takes(like: &Tensor, kind: Kind) -> bool {
        let takes = kind == Kind::BFloat16 && takes(like);
        if !takes {
            say_plain("the vocabulary's loss", like);
        }
        takes
    }

    /// The logits, `[rows, vocabulary]`, for products to write and to read.
    pub fn matrix(&self) -> Tensor {
        self.buffer.narrow(1, 0, self.vocabulary)
    }

    /// The same with the places behind the vocabulary, `[rows, padded_rows(vocabulary)]`.
    pub fn padded(&self) -> Tensor {
        self.buffer.shallow_clone()
    }

    /// The losses for `targets` (int64 `[rows]`, negative where a row does not count). In the logits' place then stands
    /// the gradient of `weight` (float32 `[1]`, 1 where `None`) times the objectives' sum, formed in at least float32 and
    /// rounded once.
    ///
    /// # Panics
    /// Where libtorch refuses an operation, as all of tch's operators.
    pub fn into_gradient(&mut self, targets: &Tensor, weight: Option<&Tensor>, objective: Objective) -> Losses {
        match self.text(objective) {
            Some((text, threads)) => self.by_kernel(&text, threads, targets, weight, objective),
            None => self.in_plain_operations(targets, weight, objective),
        }
    }

    fn in_plain_operations(&mut self, targets: &Tensor, weight: Option<&Tensor>, objective: Objective) -> Losses {
        let Objective { smoothing, z_loss } = objective;
        let mut matrix = self.matrix();
        let kind = if matrix.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let logits = matrix.to_kind(kind);
        let counts = targets.greater_equal(0).unsqueeze(1).to_kind(kind); // [rows, 1]
        let places = targets.clamp_min(0).unsqueeze(1);
        let lse = logits.logsumexp([-1i64].as_slice(), true);
        let nats = &lse - logits.gather(1, &places, false);
        let of_all = &lse - logits.mean_dim([-1i64].as_slice(), true, None::<Kind>);
        let whole = &nats * (1.0 - smoothing) + of_all * smoothing + lse.square() * z_loss;
        let mut gradient = (&logits - &lse).exp() * (&lse * (2.0 * z_loss) + 1.0) - smoothing / self.vocabulary as f64;
        let _ = gradient.scatter_add_(1, &places, &(nats.zeros_like() - (1.0 - smoothing)));
        let scale = weight.map_or_else(|| counts.shallow_clone(), |weight| &counts * weight.to_kind(kind));
        // A row that does not count may hold anything: what it holds is not multiplied by 0 but replaced.
        let gradient = (gradient * scale).masked_fill(&targets.less(0).unsqueeze(1), 0.0);
        matrix.copy_(&gradient);
        let losses = |x: Tensor| x.squeeze_dim(1).masked_fill(&targets.less(0), 0.0);
        Losses { nats: losses(nats), objective: losses(whole) }
    }

    fn by_kernel(
        &mut self,
        text: &Text,
        threads: i64,
        targets: &Tensor,
        weight: Option<&Tensor>,
        objective: Objective,
    ) -> Losses {
        let rows = self.buffer.size()[0];
        let [nats, whole] = [(); 2].map(|()| new(&self.buffer, &[rows], Kind::Float));
        let targets = targets.contiguous();
        Launch::new(text, "vocabulary_loss", [rows, 1, 1], [threads, 1, 1])
            .tensor(&self.buffer)
            .long(self.buffer.size()[1])
            .tensor(&targets)
            .optional(weight)
            .tensor(&nats)
            .tensor(&whole)
            .float(objective.smoothing)
            .float(objective.z_loss)
            .run();
        Losses { nats, objective: whole }
    }

    /// The kernel's text and its threads; `None` for what it does not cover.
    fn text(&self, objective: Objective) -> Option<(Text, i64)> {
        if !Self::takes(&self.buffer, self.buffer.kind()) {
            return None;
        }
        let [threads, held] = layout(self.vocabulary);
        let vectors = (self.vocabulary + 8 * threads - 1) / (8 * threads);
        let macros: [(&str, &dyn std::fmt::Display); 5] = [
            ("VOCABULARY", &self.vocabulary),
            ("THREADS", &threads),
            ("VECTORS", &vectors),
            ("HELD", &held),
            ("SMOOTHED", &i32::from(objective.smoothing > 0.0)),
        ];
        Some((Text::new("vocabulary_loss.cu", include_str!("cuda/vocabulary_loss.cu"), &macros), threads))
    }
}

/// Threads of a row, and 1 where they hold it in registers: up to 8 vectors of eight each, for longer rows 12 in a block
/// that is alone on its multiprocessor.
fn layout(vocabulary: i64) -> [i64; 2] {
    let threads = |vectors: i64| (vocabulary + 8 * vectors * 32 - 1) / (8 * vectors * 32) * 32;
    let [short, long] = [threads(8), threads(10)];
    if (vocabulary + 255) / 256 * 32 <= 512 {
        [(vocabulary + 255) / 256 * 32, 1]
    } else if short <= 512 {
        [512, 1]
    } else if long <= 1024 {
        [long, 1]
    } else {
        [1024, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::with_kernels;
    use super::*;
    use tch::Device;

    /// Losses and gradient, in float64.
    fn run(
        logits: &Tensor,
        targets: &Tensor,
        weight: Option<&Tensor>,
        objective: Objective,
        kind: Kind,
    ) -> Vec<Tensor> {
        let size = logits.size();
        let mut buffer = Logits::new(logits, size[0], size[1], kind);
        buffer.matrix().copy_(logits);
        let Losses { nats, objective } = buffer.into_gradient(targets, weight, objective);
        [nats, objective, buffer.matrix()].map(|tensor| tensor.to_kind(Kind::Double)).into()
    }

    fn objectives() -> [Objective; 4] {
        [(0.0, 0.0), (0.1, 0.0), (0.0, 1e-3), (0.2, 1e-2)].map(|(smoothing, z_loss)| Objective { smoothing, z_loss })
    }

    #[test]
    fn the_kernel_equals_plain_operations_in_float64() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(3);
        let weight = Tensor::from_slice(&[0.25f32]);
        for vocabulary in [7, 65, 256, 1003, 5000, 33000, 84000] {
            for objective in objectives() {
                let logits = Tensor::randn([6, vocabulary], (Kind::Double, Device::Cpu)) * 4.0;
                let logits = logits.to_kind(Kind::BFloat16).to_kind(Kind::Double);
                let targets = Tensor::from_slice(&[0, vocabulary - 1, -100, 3, 5, -1]);
                let expected = run(&logits, &targets, Some(&weight), objective, Kind::Double);
                let found = with_kernels(|| run(&logits, &targets, Some(&weight), objective, Kind::BFloat16));
                for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    // The gradient's numbers are as near as bfloat16 comes to them, one by one.
                    let (least, bound) = if i == 2 { (1e-6, 4.5e-3) } else { (1.0, 4e-6) };
                    let error = ((found - expected).abs() / (expected.abs() + least)).max().double_value(&[]);
                    assert!(error < bound, "{i} is off by {error}: {vocabulary}, {objective:?}");
                }
            }
        }
    }

    #[test]
    fn the_twin_is_the_gradient_of_its_objective() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(4);
        let start = Tensor::randn([3, 11], (Kind::Double, Device::Cpu));
        let targets = Tensor::from_slice(&[2i64, -5, 10]);
        for objective in objectives() {
            let gradient = &run(&start, &targets, None, objective, Kind::Double)[2];
            for (row, column) in [(0, 2), (0, 5), (1, 1), (2, 10), (2, 0)] {
                let at = |step: f64| {
                    let moved = start.copy();
                    let _ = moved.get(row).get(column).g_add_scalar_(step);
                    run(&moved, &targets, None, objective, Kind::Double)[1].sum(Kind::Double).double_value(&[])
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                approx::assert_abs_diff_eq!(slope, gradient.double_value(&[row, column]), epsilon = 1e-7);
            }
        }
    }

    #[test]
    fn extreme_logits() {
        let logits = Tensor::from_slice2(&[[1.0e4, -1.0e4, 0.0], [f64::NEG_INFINITY, 1.0, f64::NEG_INFINITY]]);
        let targets = Tensor::from_slice(&[0i64, 1]);
        let found = with_kernels(|| run(&logits, &targets, None, Objective::default(), Kind::BFloat16));
        // As near as float32 comes to the logarithm of a sum of this size.
        assert!(found.iter().all(|x| x.abs().max().double_value(&[]) < 2e-3), "{found:?}");
    }
}
