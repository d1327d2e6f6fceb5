//! The position-wise feed-forward layer (arXiv 1706.03762, section 3.3).

mod prepared;

use super::options::{Activation, ModelOptions};
use crate::attention::Pass;
use crate::attention::projection::Projection;
use crate::kernels::activation;
use crate::kernels::dropout::Place;
use crate::kernels::feed_forward::{Weights, feed_forward};
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
        let (input, output) = (self.input.weight(), self.output.weight());
        let draw = self.dropout.draw(pass.dropout, [x.size()[0], input.size()[0]]);
        let kind = match self.activation {
            Activation::Relu => activation::Activation::Relu,
            Activation::Gelu => activation::Activation::Gelu,
            Activation::GeluTanh => activation::Activation::GeluTanh,
        };
        let weights = Weights { input, bias: self.input.bias(), output };
        feed_forward(&x.to_kind(pass.compute), weights, kind, draw, pass.copies)
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
