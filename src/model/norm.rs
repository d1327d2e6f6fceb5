//! Normalisation over the last axis: LayerNorm (arXiv 1607.06450) and RMSNorm (arXiv 1910.07467).

use super::options::{ModelOptions, Norm as NormKind};
use crate::kernels::add_norm::{self, Branch, add_norm};
use crate::parameters::{Init, Scope};
use tch::{Kind, Tensor};

/// (x − mean) / √(variance + ε) · weight (+ bias), or x / √(mean of squares + ε) · weight, over the last axis, in the kind
/// of `x`.
pub struct Norm {
    kind: NormKind,
    weight: Tensor, // [width]
    bias: Option<Tensor>,
}

impl Norm {
    /// The tensors `weight` and, of a LayerNorm with `model.bias`, `bias` below `scope`.
    pub fn new(mut scope: Scope<'_>, model: &ModelOptions) -> Self {
        let weight = scope.tensor("weight", &[model.d_model], Init::Ones);
        let biased = model.norm == NormKind::Layer && model.bias;
        Self { kind: model.norm, weight, bias: biased.then(|| scope.tensor("bias", &[model.d_model], Init::Zeros)) }
    }

    /// Number of parameters.
    pub fn parameters(model: &ModelOptions) -> u128 {
        let tensors = if model.norm == NormKind::Layer && model.bias { 2 } else { 1 };
        tensors * model.d_model as u128
    }

    /// Added to the mean square, inside the root: PyTorch's default for LayerNorm, T5's for RMSNorm.
    fn epsilon(&self) -> f64 {
        match self.kind {
            NormKind::Layer => 1e-5,
            NormKind::Rms => 1e-6,
        }
    }

    /// The same norm of a stream in `kind`, apart from the parameters it was made of.
    pub fn in_kind(&self, kind: Kind) -> Self {
        let fixed = |x: &Tensor| x.detach().to_kind(kind);
        Self { kind: self.kind, weight: fixed(&self.weight), bias: self.bias.as_ref().map(fixed) }
    }

    /// The residual stream with `branch` added, and that sum normalised in `kind`, both `[rows, width]`.
    pub fn add(&self, stream: &Tensor, branch: Option<Branch<'_>>, kind: Kind) -> (Tensor, Tensor) {
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        let root_mean_square = self.kind == NormKind::Rms;
        add_norm(stream, branch, add_norm::Norm { weight, bias, root_mean_square, epsilon: self.epsilon() }, kind)
    }

    /// Normalizes the last axis of `x`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        match self.kind {
            NormKind::Layer => {
                x.layer_norm(self.weight.size(), Some(&self.weight), self.bias.as_ref(), self.epsilon(), true)
            }
            NormKind::Rms => x.rms_norm(self.weight.size(), Some(&self.weight), self.epsilon()),
        }
    }
}
