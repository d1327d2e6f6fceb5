//! From scores to outputs: which of the exact paths is taken, and the call of it.

use super::dropout::Dropout;
use super::fused::Operands;
use super::mask::Mask;
use super::scores::Scores;
use super::{blockwise, materialised, shared};
use serde::Serialize;
use std::fmt;
use tch::{Device, Tensor};

/// A way of computing `softmax(B)·V`. All are exact; they differ in time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Path {
    /// One softmax for the whole batch and one product per head, where no score depends on the input.
    Shared,
    /// Stock kernels of scaled_dot_product_attention: memory linear in the length.
    Fused,
    /// Blocks of queries, computed again in the backward pass: memory linear in the length.
    Blockwise,
    /// The weights as one tensor: the reference that the others are tested against; never chosen.
    Materialised,
}

impl Path {
    /// Every path, in the order of preference.
    pub const ALL: [Path; 4] = [Path::Shared, Path::Fused, Path::Blockwise, Path::Materialised];

    /// The name in logs and results.
    pub fn name(self) -> &'static str {
        match self {
            Path::Shared => "shared",
            Path::Fused => "fused",
            Path::Blockwise => "blockwise",
            Path::Materialised => "materialised",
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Outputs `softmax(B)·V`, `[batch, heads, N, d_h]`, for values `v` `[batch, heads, M, d_h]`, by the cheapest path.
///
/// The softmax is taken in float32 (float64 in float64); a query that sees no key gives 0. Where the weights have no
/// batch axis one dropout mask is shared by the batch, whichever path runs.
pub fn attend(scores: &Scores, v: &Tensor, mask: &Mask, dropout: Dropout<'_>) -> Tensor {
    if prefers_shared(scores, v, mask) {
        return shared::attend(scores, v, mask, dropout);
    }
    match fused_operands(scores, v, mask, dropout) {
        Some(operands) => operands.attend(dropout.probability()),
        None => blockwise::attend(scores, v, mask, dropout),
    }
}

/// The path that [`attend()`] takes.
pub fn choose(scores: &Scores, v: &Tensor, mask: &Mask, dropout: Dropout<'_>) -> Path {
    if prefers_shared(scores, v, mask) {
        Path::Shared
    } else if fused_operands(scores, v, mask, dropout).is_some() {
        Path::Fused
    } else {
        Path::Blockwise
    }
}

fn fused_operands(scores: &Scores, v: &Tensor, mask: &Mask, dropout: Dropout<'_>) -> Option<Operands> {
    let allowed = dropout.allows_stock_kernels();
    allowed.then(|| Operands::where_fused(scores, v, mask, dropout.probability())).flatten()
}

fn prefers_shared(scores: &Scores, v: &Tensor, mask: &Mask) -> bool {
    // Between unequal lengths the shared path asks whether weights vanished: the host would wait for a GPU, whose steps are
    // recorded.
    let asks = mask.key_lengths.is_some() && !mask.causal && v.device() != Device::Cpu;
    shared::applies(scores) && shared::pays(scores, v) && !asks
}

/// [`attend()`] by a given path; `None` where it does not compute these scores.
pub fn attend_by(path: Path, scores: &Scores, v: &Tensor, mask: &Mask, dropout: Dropout<'_>) -> Option<Tensor> {
    let probability = dropout.probability();
    match path {
        Path::Shared => shared::applies(scores).then(|| shared::attend(scores, v, mask, dropout)),
        Path::Fused => fused_operands(scores, v, mask, dropout).map(|operands| operands.attend(probability)),
        Path::Blockwise => Some(blockwise::attend(scores, v, mask, dropout)),
        Path::Materialised => Some(materialised::attend(scores, v, mask, dropout)),
    }
}
