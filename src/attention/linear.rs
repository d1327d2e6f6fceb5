//! Linear maps whose weights no longer change: several joined into one product, everything in one kind.

use super::projection::{Projection, joined_bias};
use crate::libtorch::products::linear_relu;
use tch::{Kind, Tensor};

/// `x·Wᵀ`, or `x·Wᵀ + b`, over rows `[rows, in]`.
pub struct Linear {
    weight: Tensor, // [in, out], whose columns are contiguous
    bias: Option<Tensor>,
}

impl Linear {
    /// The map of `weight` `[out, in]` and `bias` `[out]`, rounded to `kind`.
    pub fn new(weight: &Tensor, bias: Option<&Tensor>, kind: Kind) -> Self {
        let fixed = |x: &Tensor| x.detach().to_kind(kind).contiguous();
        Self { weight: fixed(weight).tr(), bias: bias.map(fixed) }
    }

    /// The same as a projection.
    pub fn of(projection: &Projection, kind: Kind) -> Self {
        Self::new(projection.weight(), projection.bias(), kind)
    }

    /// Projections of one input as one product, whose outputs stand side by side.
    pub fn joined(projections: &[&Projection], kind: Kind) -> Self {
        let weights: Vec<&Tensor> = projections.iter().map(|projection| projection.weight()).collect();
        let bias = joined_bias(projections);
        Self::new(&Tensor::cat(&weights, 0), bias.as_ref(), kind)
    }

    /// The kind of weights, inputs and outputs.
    pub fn kind(&self) -> Kind {
        self.weight.kind()
    }

    /// `[rows, in]` to `[rows, out]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        match &self.bias {
            Some(bias) => bias.addmm(x, &self.weight),
            None => x.mm(&self.weight),
        }
    }

    /// [`Linear::forward`] into a tensor that is there, for a map without a bias.
    pub fn forward_into(&self, x: &Tensor, output: &Tensor) {
        debug_assert!(self.bias.is_none(), "the product alone is written");
        let _ = x.mm_out(output, &self.weight);
    }

    /// relu of [`Linear::forward`], within the product where the device can: on CUDA from two rows on.
    ///
    /// # Panics
    /// Where libtorch refuses, as all of tch's operators.
    pub fn forward_relu(&self, x: &Tensor) -> Tensor {
        match &self.bias {
            Some(bias) => linear_relu(x, &self.weight, bias).unwrap_or_else(|error| panic!("{error}")),
            None => x.mm(&self.weight).relu_(),
        }
    }

    /// Adds [`Linear::forward`] to `stream` `[rows, out]`, within the product.
    pub fn add_to(&self, stream: &mut Tensor, x: &Tensor) {
        let _ = stream.addmm_out(stream, x, &self.weight);
        if let Some(bias) = &self.bias {
            *stream += bias;
        }
    }
}
