//! The reference: scores and weights as whole tensors, in plain operations.

use super::scores::{Mask, Scores};
use tch::{Kind, Tensor};

/// `softmax(B)·V` with the weights `[batch | 1, heads, N, M]` in memory. Arguments as in
/// [`attend`](super::attend()).
pub fn attend(scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> Tensor {
    let weights = weights(&scores.materialise(), mask).dropout(dropout, dropout > 0.0);
    weights.to_kind(v.kind()).matmul(v)
}

/// The weights before dropout, in the kind of `logits`.
pub fn weights(logits: &Tensor, mask: &Mask) -> Tensor {
    let [.., n, m] = logits.size()[..] else { unreachable!("logits have four axes") };
    let Some(hidden) = mask.hidden(n, m, logits.device()) else { return logits.softmax(-1, None::<Kind>) };
    // The smallest finite number, not −∞: a row without a visible key has no NaN, backward neither.
    let lowest = if logits.kind() == Kind::Double { f64::MIN } else { f32::MIN as f64 };
    let weights = logits.masked_fill(&hidden, lowest).softmax(-1, None::<Kind>);
    if mask.key_lengths.is_some() { weights.masked_fill(&hidden, 0.0) } else { weights }
}
