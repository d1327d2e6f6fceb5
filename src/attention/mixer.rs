//! The outer trait: anything that mixes the positions of a sequence.

use super::attend::Path;
use super::scores::Mask;
use anyhow::Result;
use tch::{Kind, Tensor};

/// How one forward pass is computed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pass {
    /// Dropout is on.
    pub training: bool,
    /// The kind in which products are computed; norms, softmax, residual stream and loss are float32, or
    /// float64 in float64.
    pub compute: Kind,
}

/// A layer that mixes positions: `[batch, N, d_model]` to `[batch, N, d_model]`.
pub trait TokenMixer {
    /// Mixes the positions of `x`.
    ///
    /// # Errors
    /// Where `x` is longer than the layer's tables by position.
    fn forward(&self, x: &Tensor, mask: &Mask, pass: Pass) -> Result<Tensor>;

    /// The path that a forward pass over `[batch, length]` tokens takes.
    ///
    /// # Errors
    /// As [`TokenMixer::forward`].
    fn path(&self, batch: i64, length: i64, mask: &Mask, pass: Pass) -> Result<Path>;
}
