//! Layer normalization (arXiv 1607.06450).

use crate::parameters::{Init, Scope};
use tch::Tensor;

/// ε of every norm, inside the root.
pub const EPSILON: f64 = 1e-5;

/// (x − mean) / √(variance + ε) · weight (+ bias) over the last axis, in the kind of `x`.
pub struct LayerNorm {
    weight: Tensor, // [width]
    bias: Option<Tensor>,
}

impl LayerNorm {
    /// The tensors `weight` and, if asked for, `bias` below `scope`.
    pub fn new(mut scope: Scope<'_>, width: i64, bias: bool) -> Self {
        let weight = scope.tensor("weight", &[width], Init::Ones);
        Self { weight, bias: bias.then(|| scope.tensor("bias", &[width], Init::Zeros)) }
    }

    /// Normalizes the last axis of `x`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), self.bias.as_ref(), EPSILON, true)
    }
}
