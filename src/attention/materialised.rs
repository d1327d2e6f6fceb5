//! The reference: scores and weights as whole tensors, in plain operations.

use super::dropout::Dropout;
use super::mask::Mask;
use super::scores::Scores;
use tch::{Device, Kind, Tensor};

/// `softmax(B)·V` with the weights `[batch | 1, heads, N, M]` in memory. Arguments as in
/// [`attend`](super::attend()).
pub fn attend(scores: &Scores, v: &Tensor, mask: &Mask, dropout: Dropout<'_>) -> Tensor {
    let (n, m) = (scores.queries(), v.size()[2]);
    let hidden = mask.hidden(&(0..n), m, (n, m), v.device());
    let weights = weights(&scores.materialise(m), hidden.as_ref(), mask);
    let draws = dropout.draws((mask_batch(scores, v), v.size()[1]), (n, m));
    let output = match draws {
        Some(draws) => weights.masked_fill(&draws.dropped(&(0..n), m), 0.0).to_kind(v.kind()).matmul(v),
        None => return weights.to_kind(v.kind()).matmul(v),
    };
    output * dropout.scale()
}

/// The number of dropout masks: one for the whole batch where no score depends on the input.
pub fn mask_batch(scores: &Scores, v: &Tensor) -> i64 {
    if scores.batch_independent() { 1 } else { v.size()[0] }
}

/// The weights of some rows before dropout, in the kind of `logits`; `hidden` is of the same rows and of `mask`.
pub fn weights(logits: &Tensor, hidden: Option<&Tensor>, mask: &Mask) -> Tensor {
    let Some(hidden) = hidden else { return logits.softmax(-1, None::<Kind>) };
    let weights = cover(logits, hidden).softmax(-1, None::<Kind>);
    if mask.key_lengths.is_some() { weights.masked_fill(hidden, 0.0) } else { weights }
}

/// `logits` with a number so low where `hidden` that its exponential is 0. It is the smallest finite one, not −∞: a row
/// without a visible key has no NaN, backward neither.
fn cover(logits: &Tensor, hidden: &Tensor) -> Tensor {
    let lowest = if logits.kind() == Kind::Double { f64::MIN } else { f32::MIN as f64 };
    if logits.device() != Device::Cpu || logits.requires_grad() {
        return logits.masked_fill(hidden, lowest);
    }
    // The CPU fills where a mask says so number by number, and takes minima many at a time.
    let ceiling = Tensor::full(hidden.size(), f64::INFINITY, (logits.kind(), Device::Cpu));
    logits.minimum(&ceiling.masked_fill(hidden, lowest))
}
