//! Layer normalization (arXiv 1607.06450).

use crate::kernels::add_norm::{Branch, Norm, add_norm};
use crate::parameters::{Init, Scope};
use tch::{Kind, Tensor};

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

    /// The same norm of a stream in `kind`, apart from the parameters it was made of.
    pub fn in_kind(&self, kind: Kind) -> Self {
        let fixed = |x: &Tensor| x.detach().to_kind(kind);
        Self { weight: fixed(&self.weight), bias: self.bias.as_ref().map(fixed) }
    }

    /// The residual stream with `branch` added, and that sum normalised in `kind`, both `[rows, width]`.
    pub fn add(&self, stream: &Tensor, branch: Option<Branch<'_>>, kind: Kind) -> (Tensor, Tensor) {
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        add_norm(stream, branch, Norm { weight, bias, root_mean_square: false, epsilon: EPSILON }, kind)
    }

    /// Normalizes the last axis of `x`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(self.weight.size(), Some(&self.weight), self.bias.as_ref(), EPSILON, true)
    }
}
