//! What a kind of attention is, to the layer: a way to scores.

use super::mixer::Pass;
use super::scores::Scores;
use anyhow::Result;
use tch::Tensor;

/// A kind's way to scores.
pub trait ScoreSource {
    /// Scores of queries from `x` `[batch, N, d_model]` over keys from `memory` `[batch, M, d_model]`; in
    /// self-attention the two are one.
    ///
    /// # Errors
    /// Where an input is longer than the kind's tables by position.
    fn scores(&self, x: &Tensor, memory: &Tensor, pass: Pass) -> Result<Scores>;
}
