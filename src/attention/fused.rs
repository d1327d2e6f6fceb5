//! The stock kernels behind scaled_dot_product_attention.
//!
//! libtorch falls back to a path that materialises the weights in silence, so its choice is asked for
//! before this path is taken.

use super::scores::{Mask, Scores};
use tch::{Device, Kind, Tensor};

/// The widest head that the stock kernels take.
const MAX_WIDTH: i64 = 256;
/// `_fused_sdp_choice`'s number of the path that materialises.
const MATH: i64 = 0;

/// Whether a stock kernel computes these scores in memory linear in the length.
pub fn applies(scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> bool {
    let (Some(q), Some(k), None) = (&scores.q, &scores.k, &scores.bias) else { return false };
    if v.device() == Device::Cpu && dropout > 0.0 {
        return false;
    }
    let operands = Operands::new(q, k, v, mask);
    if operands.q.size()[3] > MAX_WIDTH {
        return false;
    }
    operands.choice(dropout).is_some_and(|choice| choice != MATH)
}

/// `softmax(Q·Kᵀ)·V` by a stock kernel. Arguments as in [`attend`](super::attend()).
///
/// # Panics
/// Where [`applies`] does not hold.
pub fn attend(scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> Tensor {
    let (Some(q), Some(k)) = (&scores.q, &scores.k) else { panic!("the fused path needs queries and keys") };
    let width = v.size()[3];
    let operands = Operands::new(q, k, v, mask);
    let output = operands.attend(dropout).narrow(3, 0, width);
    match (&mask.key_lengths, mask.causal) {
        // A sample without a real key: kernels differ in what they give, the contract says 0.
        (Some(lengths), false) => output.masked_fill(&lengths.eq(0).view([-1, 1, 1, 1]), 0.0),
        _ => output,
    }
}

/// Queries, keys and values of one batch, kind and width, as the kernels want them.
struct Operands {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    /// Keys that are seen, `[batch, 1, N, M]`; never together with `causal`.
    seen: Option<Tensor>,
    causal: bool,
}

impl Operands {
    fn new(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Mask) -> Self {
        let (batch, n, m) = (v.size()[0], q.size()[2], k.size()[2]);
        // Kernels want one width, a multiple of 8; columns of zeros change neither scores nor outputs.
        let width = (q.size()[3].max(v.size()[3]) + 7) / 8 * 8;
        let fit = |x: &Tensor| {
            let x = x.to_kind(v.kind()).expand([batch, -1, -1, -1], false);
            let missing = width - x.size()[3];
            if missing > 0 { x.constant_pad_nd([0, missing]) } else { x }
        };
        let padding = Mask { causal: false, key_lengths: mask.key_lengths.as_ref().map(Tensor::shallow_clone) };
        let seen = if mask.causal { None } else { padding.hidden(n, m, v.device()) };
        let seen = seen.map(|hidden| hidden.logical_not().expand([batch, 1, n, m], false));
        Operands { q: fit(q), k: fit(k), v: fit(v), seen, causal: mask.causal }
    }

    fn choice(&self, dropout: f64) -> Option<i64> {
        let Operands { q, k, v, seen, causal } = self;
        Tensor::f_internal_fused_sdp_choice(q, k, v, seen.as_ref(), dropout, *causal, 1.0, false).ok()
    }

    fn attend(&self, dropout: f64) -> Tensor {
        let Operands { q, k, v, seen, causal } = self;
        debug_assert_ne!(q.kind(), Kind::Int64);
        Tensor::scaled_dot_product_attention(q, k, v, seen.as_ref(), dropout, *causal, 1.0, false)
    }
}
