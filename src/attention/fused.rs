//! The stock kernels behind scaled_dot_product_attention.
//!
//! libtorch falls back to a path that materialises the weights in silence, so its choice is asked for
//! before this path is taken.

use super::scores::{Mask, Scores};
use tch::{Device, Tensor};

/// The widest head that the stock kernels take.
const MAX_WIDTH: i64 = 256;
/// `_fused_sdp_choice`'s number of the path that materialises.
const MATH: i64 = 0;

/// Queries, keys and values of one batch, kind and width, as the kernels want them.
pub struct Operands {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    /// Width of the values before they were padded.
    width: i64,
    /// Keys that are seen, `[batch, 1, N, M]`; never together with `causal`.
    seen: Option<Tensor>,
    /// Samples without a key, `[batch, 1, 1, 1]`.
    empty: Option<Tensor>,
    causal: bool,
}

impl Operands {
    /// The operands, where a stock kernel computes these scores in memory linear in the length.
    pub fn where_fused(scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> Option<Self> {
        let (Some(q), Some(k), None) = (&scores.q, &scores.k, &scores.bias) else { return None };
        // The CPU's kernel has no dropout; no kernel takes wider heads.
        if (v.device() == Device::Cpu && dropout > 0.0) || q.size()[3].max(v.size()[3]) > MAX_WIDTH {
            return None;
        }
        let operands = Self::new(q, k, v, mask);
        (operands.choice(dropout)? != MATH).then_some(operands)
    }

    fn new(q: &Tensor, k: &Tensor, v: &Tensor, mask: &Mask) -> Self {
        let (batch, n, m) = (v.size()[0], q.size()[2], k.size()[2]);
        // Kernels want one width, a multiple of 8; columns of zeros change neither scores nor outputs.
        let width = (q.size()[3].max(v.size()[3]) + 7) / 8 * 8;
        let fit = |x: &Tensor| {
            let x = x.to_kind(v.kind()).expand([batch, -1, -1, -1], false);
            let missing = width - x.size()[3];
            if missing > 0 { x.constant_pad_nd([0, missing]) } else { x }
        };
        // Under a causal mask right padding needs no mask of its own: see `shared::applies`.
        let lengths = if mask.causal { None } else { mask.key_lengths.as_ref().map(Tensor::shallow_clone) };
        let padding = Mask { causal: false, key_lengths: lengths };
        let seen = padding.hidden(n, m, v.device());
        let seen = seen.map(|hidden| hidden.logical_not().expand([batch, 1, n, m], false));
        let [q, k, value] = [q, k, v].map(fit);
        Operands { q, k, v: value, width: v.size()[3], seen, empty: padding.empty(), causal: mask.causal }
    }

    fn choice(&self, dropout: f64) -> Option<i64> {
        let Operands { q, k, v, seen, causal, .. } = self;
        Tensor::f_internal_fused_sdp_choice(q, k, v, seen.as_ref(), dropout, *causal, 1.0, false).ok()
    }

    /// `softmax(Q·Kᵀ)·V`, `[batch, heads, N, d_h]`.
    pub fn attend(&self, dropout: f64) -> Tensor {
        let Operands { q, k, v, seen, causal, .. } = self;
        let output = Tensor::scaled_dot_product_attention(q, k, v, seen.as_ref(), dropout, *causal, 1.0, false);
        let output = output.narrow(3, 0, self.width);
        match &self.empty {
            // Kernels differ in what a query without a key gives; the contract says 0.
            Some(empty) => output.masked_fill(empty, 0.0),
            None => output,
        }
    }
}
