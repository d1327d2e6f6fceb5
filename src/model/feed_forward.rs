//! The position-wise feed-forward layer (arXiv 1706.03762, section 3.3).

mod prepared;

use super::options::{Activation, ModelOptions};
use super::relu_dropout::relu_dropout;
use crate::attention::Pass;
use crate::attention::projection::Projection;
use crate::parameters::Scope;
pub use prepared::PreparedFeedForward;
use tch::Tensor;

/// W₂·dropout(activation(W₁x + b₁)) + b₂. The dropout inside is tensor2tensor's `relu_dropout`.
pub struct FeedForward {
    input: Projection,
    output: Projection,
    activation: Activation,
    dropout: f64,
}

impl FeedForward {
    /// The layers `input` and `output` below `scope`; `shrink` is what the start of the second is multiplied by,
    /// because it joins a residual stream.
    pub fn new(mut scope: Scope<'_>, model: &ModelOptions, shrink: f64) -> Self {
        let (d_model, d_ff) = (model.d_model, model.d_ff());
        let input = Projection::new(scope.enter("input"), (d_model, d_ff), 1.0, model.bias);
        let output = Projection::new(scope.enter("output"), (d_ff, d_model), shrink, model.bias);
        Self { input, output, activation: model.activation, dropout: model.dropout }
    }

    /// `[batch, N, d_model]` to the same, in the pass's kind.
    pub fn forward(&self, x: &Tensor, pass: Pass<'_>) -> Tensor {
        let mut hidden = self.input.forward(x, pass);
        let drops = pass.training() && self.dropout > 0.0;
        let active = match self.activation {
            Activation::Relu if drops => relu_dropout(hidden, self.dropout),
            Activation::Relu => hidden.relu_(),
            Activation::Gelu => hidden.gelu("none").dropout(self.dropout, drops),
            Activation::GeluTanh => hidden.gelu("tanh").dropout(self.dropout, drops),
        };
        self.output.forward(&active, pass)
    }
}
