//! What an attention knows before the softmax: scores in factored form, and what is hidden.

use tch::Tensor;

/// Scores `B = Q·Kᵀ + bias`, each part optional; where one is absent it counts as zero.
#[derive(Debug, Default)]
pub struct Scores {
    /// Q, any scale applied: `[batch | 1, heads, N, r]`.
    pub q: Option<Tensor>,
    /// K: `[batch | 1, heads, M, r]`.
    pub k: Option<Tensor>,
    /// An additive bias, shared by the batch: `[1, heads, N, M]`.
    pub bias: Option<Tensor>,
}

impl Scores {
    /// Whether the scores are the same for every sample of a batch.
    pub fn batch_independent(&self) -> bool {
        [&self.q, &self.k, &self.bias].into_iter().flatten().all(|part| part.size()[0] == 1)
    }

    /// The whole matrix of scores, `[batch | 1, heads, N, M]`, in at least float32.
    ///
    /// # Panics
    /// Where there is neither a product nor a bias, which no kind makes.
    pub fn materialise(&self) -> Tensor {
        let product = match (&self.q, &self.k) {
            (Some(q), Some(k)) => Some(at_least_float(q).matmul(&at_least_float(k).transpose(-2, -1))),
            _ => None,
        };
        match (product, self.bias.as_ref().map(at_least_float)) {
            (Some(product), Some(bias)) => product + bias,
            (product, bias) => product.or(bias).expect("scores have a product or a bias"),
        }
    }
}

/// What a query may not see.
#[derive(Debug, Default)]
pub struct Mask {
    /// Position i sees no position after i.
    pub causal: bool,
    /// Keys of sample b from `key_lengths[b]` on are hidden (right padding): int64 `[batch]`.
    pub key_lengths: Option<Tensor>,
}

impl Mask {
    /// Position i sees positions up to i.
    pub fn causal() -> Self {
        Mask { causal: true, key_lengths: None }
    }

    /// Which samples have no key at all, `[batch, 1, 1, 1]`; `None` without lengths.
    pub fn empty(&self) -> Option<Tensor> {
        self.key_lengths.as_ref().map(|lengths| lengths.eq(0).view([-1, 1, 1, 1]))
    }

    /// Which keys each query may not see, broadcastable to `[batch, heads, n, m]`; `None` where all are seen.
    pub fn hidden(&self, n: i64, m: i64, device: tch::Device) -> Option<Tensor> {
        let future = self.causal.then(|| Tensor::ones([1, 1, n, m], (tch::Kind::Bool, device)).triu(1));
        let padding = self.key_lengths.as_ref().map(|lengths| {
            let positions = Tensor::arange(m, (tch::Kind::Int64, device));
            positions.greater_equal_tensor(&lengths.view([-1, 1])).view([-1, 1, 1, m])
        });
        match (future, padding) {
            (Some(future), Some(padding)) => Some(future.logical_or(&padding)),
            (future, padding) => future.or(padding),
        }
    }
}

/// float64 stays, all else becomes float32: scores and softmax are never rounded to less.
pub fn at_least_float(x: &Tensor) -> Tensor {
    if x.kind() == tch::Kind::Double { x.shallow_clone() } else { x.to_kind(tch::Kind::Float) }
}
