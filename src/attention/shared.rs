//! Weights that no input changes: one softmax for the batch, one product per head.

use super::materialised;
use super::scores::{Mask, Scores};
use tch::Tensor;

/// Whether the path computes these scores. Under a causal mask right padding needs no mask of its own: a
/// real query sees real keys only, and what a padded query gives is nobody's business.
pub fn applies(scores: &Scores, mask: &Mask) -> bool {
    scores.batch_independent() && scores.bias.is_some() && (mask.causal || mask.key_lengths.is_none())
}

/// `softmax(B)·V` as `[N, M]·[M, batch·d_h]` per head. Arguments as in [`attend`](super::attend()).
pub fn attend(scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> Tensor {
    let causal = Mask { causal: mask.causal, key_lengths: None };
    // [1, heads, N, M]: the same shape as on the materialised path, so that both draw the same dropout mask.
    let weights = materialised::weights(&scores.materialise(), &causal).dropout(dropout, dropout > 0.0);
    let weights = weights.squeeze_dim(0).to_kind(v.kind()); // [heads, N, M]
    let [batch, heads, m, width] = v.size()[..] else { unreachable!("values have four axes") };
    let n = weights.size()[1];
    let values = v.permute([1, 2, 0, 3]).reshape([heads, m, batch * width]);
    weights.bmm(&values).view([heads, n, batch, width]).permute([2, 0, 1, 3])
}
