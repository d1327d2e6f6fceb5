//! The position-wise feed-forward layer (arXiv 1706.03762, section 3.3).

mod prepared;

use super::options::{Activation, ModelOptions};
use crate::attention::Pass;
use crate::attention::projection::Projection;
use crate::kernels::activation;
use crate::kernels::dropout::Place;
use crate::kernels::feed_forward::{GatedWeights, Weights, feed_forward, gated_feed_forward};
use crate::parameters::Scope;
pub use prepared::PreparedFeedForward;
use tch::Tensor;

/// W₂·dropout(activation(W₁x + b₁)) + b₂, with a gate W₂·dropout(silu(W_g x + b_g) · (W₁x + b₁)) + b₂. The dropout inside
/// is tensor2tensor's `relu_dropout`.
pub struct FeedForward {
    input: Projection,
    gate: Option<Projection>,
    output: Projection,
    activation: Activation,
    dropout: Place,
}

impl FeedForward {
    /// The layers `input`, of SwiGLU `gate`, and `output` below `scope`; the last is one of `summands` that join a residual
    /// stream.
    pub fn new(mut scope: Scope<'_>, model: &ModelOptions, summands: i64) -> Self {
        let (d_model, d_ff) = (model.d_model, model.d_ff());
        let inwards = |scope: Scope<'_>| Projection::new(scope, (d_model, d_ff), 1, model.bias);
        let input = inwards(scope.enter("input"));
        let gate = (model.activation == Activation::Swiglu).then(|| inwards(scope.enter("gate")));
        let output = Projection::new(scope.enter("output"), (d_ff, d_model), summands, model.bias);
        let dropout = Place::new(scope.name(), model.activation_dropout());
        Self { input, gate, output, activation: model.activation, dropout }
    }

    /// Number of weights, without biases.
    pub fn weights(model: &ModelOptions) -> u128 {
        let matrices = if model.activation == Activation::Swiglu { 3 } else { 2 };
        matrices * model.d_model as u128 * model.d_ff() as u128
    }

    /// Number of biases.
    pub fn biases(model: &ModelOptions) -> u128 {
        let inner = if model.activation == Activation::Swiglu { 2 } else { 1 } * model.d_ff() as u128;
        if model.bias { inner + model.d_model as u128 } else { 0 }
    }

    /// `[rows, d_model]` to the same, in the pass's kind, without the last bias: see
    /// [`output_bias`](Self::output_bias).
    pub fn forward(&self, x: &Tensor, pass: Pass<'_>) -> Tensor {
        let (input, output) = (self.input.weight(), self.output.weight());
        let draw = self.dropout.draw(pass.dropout, [x.size()[0], input.size()[0]]);
        let x = x.to_kind(pass.compute);
        if let Some(gate) = &self.gate {
            let biases = gate.bias().zip(self.input.bias()).map(|(gate, input)| [gate, input]);
            let weights = GatedWeights { inputs: [gate.weight(), input], biases, output };
            return gated_feed_forward(&x, weights, draw, pass.copies);
        }
        let kind = match self.activation {
            Activation::Relu => activation::Activation::Relu,
            Activation::Gelu => activation::Activation::Gelu,
            Activation::GeluTanh => activation::Activation::GeluTanh,
            Activation::Swiglu => unreachable!("SwiGLU has a gate"),
        };
        let weights = Weights { input, bias: self.input.bias(), output };
        feed_forward(&x, weights, kind, draw, pass.copies)
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
