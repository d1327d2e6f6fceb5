//! The outer trait: anything that mixes the positions of a sequence.

use super::attend::Path;
use super::mask::Mask;
use crate::kernels::dropout::DropoutKey;
use crate::kernels::narrow::NarrowCopies;
use anyhow::Result;
use tch::{Kind, Tensor};

/// How one forward pass is computed.
#[derive(Debug, Clone, Copy)]
pub struct Pass<'a> {
    /// The kind in which products are computed; norms, softmax and loss are float32, or float64 in float64, and so is the
    /// residual stream unless `model.residual_stream` says otherwise.
    pub compute: Kind,
    /// What dropout masks come from; `None` where nothing is dropped, as in evaluation.
    pub dropout: Option<&'a DropoutKey>,
    /// The parameters in that kind, where the optimizer keeps them; rounded on the way elsewhere.
    pub copies: Option<&'a NarrowCopies>,
}

impl Pass<'_> {
    /// A pass without dropout.
    pub fn evaluation(compute: Kind) -> Self {
        Pass { compute, dropout: None, copies: None }
    }

    /// Whether dropout is on.
    pub fn training(self) -> bool {
        self.dropout.is_some()
    }
}

/// A layer that mixes positions: `[batch, N, d_model]` to `[batch, N, d_model]`.
pub trait TokenMixer {
    /// Mixes the positions of `x`.
    ///
    /// # Errors
    /// Where `x` is longer than the layer's tables by position.
    fn forward(&self, x: &Tensor, mask: &Mask, pass: Pass<'_>) -> Result<Tensor>;

    /// The path that a forward pass over `[batch, length]` tokens takes.
    ///
    /// # Errors
    /// As [`TokenMixer::forward`].
    fn path(&self, batch: i64, length: i64, mask: &Mask, pass: Pass<'_>) -> Result<Path>;
}
