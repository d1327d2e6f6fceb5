//! Linear projections, and heads side by side in one axis or each in its own.

use super::mixer::Pass;
use crate::kernels::product::product;
use crate::parameters::{Init, Projected, Scope};
use tch::{Device, Tensor};

/// x·Wᵀ, or x·Wᵀ + b.
pub struct Projection {
    weight: Tensor, // [out, in]
    bias: Option<Tensor>,
}

impl Projection {
    /// The tensors `weight`, which starts as [`Init::Projection`] of one of `summands` layers, and, if asked for, `bias`,
    /// which starts at zero.
    pub fn new(mut scope: Scope<'_>, (inputs, outputs): (i64, i64), summands: i64, bias: bool) -> Self {
        let start = Init::Projection(Projected { inputs, outputs, summands });
        let weight = scope.tensor("weight", &[outputs, inputs], start);
        Self { weight, bias: bias.then(|| scope.tensor("bias", &[outputs], Init::Zeros)) }
    }

    /// `[batch, N, in]` to `[batch, N, out]`, in the pass's kind.
    pub fn forward(&self, x: &Tensor, pass: Pass<'_>) -> Tensor {
        if x.device() == Device::Cpu {
            // Its products take the bias with them.
            let bias = self.bias.as_ref().map(|bias| bias.to_kind(pass.compute));
            return x.to_kind(pass.compute).linear(&self.weight.to_kind(pass.compute), bias);
        }
        with_bias(self.without_bias(x, pass), self.bias.as_ref())
    }

    /// The same without the bias.
    pub fn without_bias(&self, x: &Tensor, pass: Pass<'_>) -> Tensor {
        project(x, &self.weight, pass)
    }

    /// The weights, `[out, in]`.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, `[out]`, where there is one.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// Number of outputs.
    pub fn outputs(&self) -> i64 {
        self.weight.size()[0]
    }

    /// Number of inputs, and the device of the weights.
    pub fn input(&self) -> (i64, Device) {
        (self.weight.size()[1], self.weight.device())
    }
}

/// Several projections of one input, each `[batch, N, out]` in the pass's kind: on a GPU as one product, whose launches
/// would otherwise count more than its arithmetic.
pub fn project_together(projections: &[&Projection], x: &Tensor, pass: Pass<'_>) -> Vec<Tensor> {
    if x.device() == Device::Cpu || projections.len() < 2 {
        let x = x.to_kind(pass.compute);
        return projections.iter().map(|projection| projection.forward(&x, pass)).collect();
    }
    let widths: Vec<i64> = projections.iter().map(|projection| projection.outputs()).collect();
    project_joined(projections, x, pass).split_with_sizes(widths, -1)
}

/// The same side by side, `[batch, N, Σ out]`, as one product.
pub fn project_joined(projections: &[&Projection], x: &Tensor, pass: Pass<'_>) -> Tensor {
    let weights: Vec<&Tensor> = projections.iter().map(|projection| &projection.weight).collect();
    let joined = product(&x.to_kind(pass.compute), &weights, pass.copies);
    with_bias(joined, joined_bias(projections).as_ref())
}

fn with_bias(x: Tensor, bias: Option<&Tensor>) -> Tensor {
    bias.map_or_else(|| x.shallow_clone(), |bias| &x + bias.to_kind(x.kind()))
}

/// The biases side by side, zeros where a projection has none; `None` where none has.
pub fn joined_bias(projections: &[&Projection]) -> Option<Tensor> {
    projections.iter().any(|projection| projection.bias.is_some()).then(|| {
        let bias = |projection: &&Projection| match &projection.bias {
            Some(bias) => bias.shallow_clone(),
            None => projection.weight.detach().select(1, 0).zeros_like(),
        };
        Tensor::cat(&projections.iter().map(bias).collect::<Vec<_>>(), 0)
    })
}

/// `x·Wᵀ` in the pass's kind: `[batch, N, in]` by `[out, in]`.
pub fn project(x: &Tensor, weight: &Tensor, pass: Pass<'_>) -> Tensor {
    product(&x.to_kind(pass.compute), &[weight], pass.copies)
}

/// `[batch, N, heads · width]` to `[batch, heads, N, width]`; head h owns columns h·width and following.
pub fn split_heads(x: &Tensor, heads: i64) -> Tensor {
    let [batch, n, inner] = x.size()[..] else { unreachable!("activations have three axes") };
    x.view([batch, n, heads, inner / heads]).transpose(1, 2)
}

/// `[batch, heads, N, width]` to `[batch, N, heads · width]`.
pub fn join_heads(x: &Tensor) -> Tensor {
    let [batch, heads, n, width] = x.size()[..] else { unreachable!("heads have four axes") };
    x.transpose(1, 2).reshape([batch, n, heads * width])
}
