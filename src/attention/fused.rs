//! The stock kernels behind scaled_dot_product_attention.
//!
//! libtorch falls back to a path that materialises the weights in silence, so its choice is asked for
//! before this path is taken.

use super::mask::Mask;
use super::scores::Scores;
use crate::kernels::stock_attention::Backend;
use tch::{Device, Kind, Tensor};

/// The widest head that the stock kernels take.
const MAX_WIDTH: i64 = 256;
/// `_fused_sdp_choice`'s numbers of the path that materialises, of FlashAttention and of cuDNN's kernel.
const MATH: i64 = 0;
const FLASH: i64 = 1;
const CUDNN: i64 = 3;

/// The kernel that libtorch would take for attention over `v` `[batch, heads, N, width]` with queries and keys of the same
/// shape, where it is one of these: cuDNN's on new cards, unless results are to be deterministic.
pub fn preferred(v: &Tensor, causal: bool, dropout: f64) -> Option<Backend> {
    match Tensor::f_internal_fused_sdp_choice(v, v, v, None::<&Tensor>, dropout, causal, 1.0, false) {
        Ok(CUDNN) => Some(Backend::Cudnn),
        Ok(FLASH) => Some(Backend::Flash),
        _ => None,
    }
}

/// Queries, keys and values of one batch, kind and width, as the kernels want them.
pub struct Operands {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    scale: f64,
    /// Width of the values before they were padded.
    width: i64,
    /// What is added to the scores, 0 or −∞, `[batch, 1, 1, M]`; never together with `causal`.
    padding: Option<Tensor>,
    /// Samples without a key, `[batch, 1, 1, 1]`.
    empty: Option<Tensor>,
    causal: bool,
}

impl Operands {
    /// The operands, where a stock kernel computes these scores in memory linear in the length.
    pub fn where_fused(scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> Option<Self> {
        let (Some(q), Some(k), true, None) = (&scores.q, &scores.k, scores.tables.is_empty(), &scores.factors) else {
            return None;
        };
        let (batch, n, m) = (v.size()[0], q.size()[2], v.size()[2]);
        // The CPU's kernel has no dropout; kernels draw a mask per sample, also where samples share their weights.
        let masks_differ = dropout > 0.0 && (v.device() == Device::Cpu || scores.batch_independent() && batch > 1);
        // The kernels align a causal mask with the first key, we with the last.
        let misaligned = mask.causal && n != m && n != 1;
        if masks_differ || misaligned || q.size()[3].max(v.size()[3]) > MAX_WIDTH {
            return None;
        }
        let operands = Self::new((q, k, v), scores.scale.unwrap_or(1.0), mask);
        (operands.choice(dropout)? != MATH).then_some(operands)
    }

    fn new((q, k, v): (&Tensor, &Tensor, &Tensor), scale: f64, mask: &Mask) -> Self {
        let (batch, n) = (v.size()[0], q.size()[2]);
        // Kernels want one width, a multiple of 8; columns of zeros change neither scores nor outputs.
        let width = (q.size()[3].max(v.size()[3]) + 7) / 8 * 8;
        let fit = |x: &Tensor| {
            let x = x.to_kind(v.kind());
            let missing = width - x.size()[3];
            let x = if missing > 0 { x.constant_pad_nd([0, missing]) } else { x };
            x.expand([batch, -1, -1, -1], false)
        };
        let empty = mask.empty();
        // Under a causal mask right padding needs no mask of its own: see `shared`.
        let lengths = mask.key_lengths.as_ref().filter(|_| !mask.causal);
        let padding = lengths.map(|lengths| padding(lengths, v, empty.as_ref()));
        let [q, k, value] = [q, k, v].map(fit);
        // A single query is the last position: it sees every key.
        Operands { q, k, v: value, scale, width: v.size()[3], padding, empty, causal: mask.causal && n > 1 }
    }

    fn choice(&self, dropout: f64) -> Option<i64> {
        let Operands { q, k, v, padding, causal, scale, .. } = self;
        Tensor::f_internal_fused_sdp_choice(q, k, v, padding.as_ref(), dropout, *causal, *scale, false).ok()
    }

    /// `softmax(scale·Q·Kᵀ)·V`, `[batch, heads, N, d_h]`.
    pub fn attend(&self, dropout: f64) -> Tensor {
        let Operands { q, k, v, padding, causal, scale, .. } = self;
        let output = Tensor::scaled_dot_product_attention(q, k, v, padding.as_ref(), dropout, *causal, *scale, false);
        let output = if q.size()[3] > self.width { output.narrow(3, 0, self.width) } else { output };
        match &self.empty {
            Some(empty) => output.masked_fill(empty, 0.0),
            None => output,
        }
    }
}

/// 0 at real keys and −∞ at pads, `[batch, 1, 1, M]`: linear in M. A sample without a key sees all, so that nothing in
/// it is NaN; its output becomes 0 in the end.
fn padding(lengths: &Tensor, v: &Tensor, empty: Option<&Tensor>) -> Tensor {
    let positions = Tensor::arange(v.size()[2], (Kind::Int64, v.device()));
    let hidden = positions.greater_equal_tensor(&lengths.view([-1, 1])).view([v.size()[0], 1, 1, -1]);
    let hidden = match empty {
        Some(empty) => hidden.logical_and(&empty.logical_not()),
        None => hidden,
    };
    Tensor::zeros(hidden.size(), (v.kind(), v.device())).masked_fill(&hidden, f64::NEG_INFINITY)
}
