//! From scores to outputs: which of the exact paths is taken, and the call of it.

use super::fused::Operands;
use super::scores::{Mask, Scores};
use super::{materialised, shared};
use serde::Serialize;
use std::fmt;
use tch::Tensor;

/// A way of computing `softmax(B)·V`. All are exact; they differ in time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// Stock kernels of scaled_dot_product_attention: memory linear in the length.
    Fused,
    /// One softmax for the whole batch and one product per head, where no score depends on the input.
    Shared,
    /// The weights as one tensor: the reference, and what is taken where no other path can.
    Materialised,
}

impl Path {
    /// Every path, in the order of preference.
    pub const ALL: [Path; 3] = [Path::Shared, Path::Fused, Path::Materialised];
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Path::Fused => "fused",
            Path::Shared => "shared",
            Path::Materialised => "materialised",
        })
    }
}

/// Outputs `softmax(B)·V`, `[batch, heads, N, d_h]`, for values `v` `[batch, heads, M, d_h]`.
///
/// The softmax is taken in float32 (float64 in float64); a query that sees no key gives 0. `dropout` is the
/// probability with which a weight is dropped; where the weights have no batch axis one mask is shared by
/// the batch, whichever path runs.
pub fn attend(scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> Tensor {
    if shared::applies(scores, mask) {
        return shared::attend(scores, v, mask, dropout);
    }
    match Operands::where_fused(scores, v, mask, dropout) {
        Some(operands) => operands.attend(dropout),
        None => materialised::attend(scores, v, mask, dropout),
    }
}

/// The path that [`attend()`] takes.
pub fn choose(scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> Path {
    let applies = |path: &Path| applies(*path, scores, v, mask, dropout);
    Path::ALL.into_iter().find(applies).unwrap_or(Path::Materialised)
}

/// Whether a path computes these scores.
pub fn applies(path: Path, scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> bool {
    match path {
        Path::Shared => shared::applies(scores, mask),
        Path::Fused => Operands::where_fused(scores, v, mask, dropout).is_some(),
        Path::Materialised => true,
    }
}

/// [`attend()`] by a given path; `None` where it does not apply.
pub fn attend_by(path: Path, scores: &Scores, v: &Tensor, mask: &Mask, dropout: f64) -> Option<Tensor> {
    match path {
        Path::Shared => shared::applies(scores, mask).then(|| shared::attend(scores, v, mask, dropout)),
        Path::Fused => Operands::where_fused(scores, v, mask, dropout).map(|operands| operands.attend(dropout)),
        Path::Materialised => Some(materialised::attend(scores, v, mask, dropout)),
    }
}
