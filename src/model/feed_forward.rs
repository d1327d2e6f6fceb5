//! The position-wise feed-forward layer (arXiv 1706.03762, section 3.3).

use crate::attention::Pass;
use crate::attention::projection::Projection;
use crate::parameters::Scope;
use tch::Tensor;

/// W₂·dropout(relu(W₁x + b₁)) + b₂. The dropout inside is tensor2tensor's `relu_dropout`.
pub struct FeedForward {
    input: Projection,
    output: Projection,
    dropout: f64,
}

impl FeedForward {
    /// The layers `input` and `output` below `scope`; `output_std` is the start of the second.
    pub fn new(mut scope: Scope<'_>, d_model: i64, d_ff: i64, dropout: f64, output_std: f64) -> Self {
        let input = Projection::new(scope.enter("input"), (d_model, d_ff), (d_model as f64).powf(-0.5), true);
        let output = Projection::new(scope.enter("output"), (d_ff, d_model), output_std, true);
        Self { input, output, dropout }
    }

    /// `[batch, N, d_model]` to the same, in the pass's kind.
    pub fn forward(&self, x: &Tensor, pass: Pass<'_>) -> Tensor {
        let hidden = self.input.forward(x, pass).relu().dropout(self.dropout, pass.training());
        self.output.forward(&hidden, pass)
    }
}
