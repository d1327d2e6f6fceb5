//! The position-wise feed-forward layer (arXiv 1706.03762, section 3.3).

mod prepared;

use super::options::{Activation, ModelOptions};
use crate::attention::Pass;
use crate::attention::projection::Projection;
use crate::kernels::activation::{self, bias_activation};
use crate::kernels::dropout::Place;
use crate::kernels::product::product_relu;
use crate::parameters::Scope;
pub use prepared::PreparedFeedForward;
use tch::Tensor;

/// W₂·dropout(activation(W₁x + b₁)) + b₂. The dropout inside is tensor2tensor's `relu_dropout`.
pub struct FeedForward {
    input: Projection,
    output: Projection,
    activation: Activation,
    dropout: Place,
}

impl FeedForward {
    /// The layers `input` and `output` below `scope`; `shrink` is what the start of the second is multiplied by,
    /// because it joins a residual stream.
    pub fn new(mut scope: Scope<'_>, model: &ModelOptions, shrink: f64) -> Self {
        let (d_model, d_ff) = (model.d_model, model.d_ff());
        let input = Projection::new(scope.enter("input"), (d_model, d_ff), 1.0, model.bias);
        let output = Projection::new(scope.enter("output"), (d_ff, d_model), shrink, model.bias);
        let dropout = Place::new(scope.name(), model.dropout);
        Self { input, output, activation: model.activation, dropout }
    }

    /// `[rows, d_model]` to the same, in the pass's kind, without the last bias: see
    /// [`output_bias`](Self::output_bias).
    pub fn forward(&self, x: &Tensor, pass: Pass<'_>) -> Tensor {
        self.output.without_bias(&self.hidden(x, pass), pass)
    }

    /// dropout(activation(W₁x + b₁)), `[rows, d_ff]`.
    fn hidden(&self, x: &Tensor, pass: Pass<'_>) -> Tensor {
        let (weight, bias) = (self.input.weight(), self.input.bias());
        let kind = match self.activation {
            Activation::Relu => activation::Activation::Relu,
            Activation::Gelu => activation::Activation::Gelu,
            Activation::GeluTanh => activation::Activation::GeluTanh,
        };
        let draw = self.dropout.draw(pass.dropout, [x.size()[0], weight.size()[0]]);
        match (kind, bias, &draw) {
            (activation::Activation::Relu, Some(bias), None) => {
                product_relu(&x.to_kind(pass.compute), weight, bias, pass.copies)
            }
            _ => bias_activation(self.input.without_bias(x, pass), bias, kind, draw),
        }
    }

    /// What is still to be added, `[d_model]`: with the residual stream it costs no pass of its own.
    pub fn output_bias(&self) -> Option<&Tensor> {
        self.output.bias()
    }

    /// Where activations are dropped.
    pub fn place(&self) -> Place {
        self.dropout
    }
}
