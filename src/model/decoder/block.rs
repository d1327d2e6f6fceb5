//! One block of a decoder.

use crate::attention::options::AttentionOptions;
use crate::attention::{Kind, Mask, Pass, SynthesizedAttention};
use crate::kernels::add_norm::Branch;
use crate::kernels::dropout::Place;
use crate::model::feed_forward::FeedForward;
use crate::model::norm::Norm;
use crate::model::options::ModelOptions;
use crate::parameters::Scope;
use anyhow::Result;
use tch::Tensor;

/// x + dropout(attention(norm(x))), then x + dropout(feed_forward(norm(x))); or each norm around its sum.
///
/// Bytes per token that one keeps on CUDA for its backward pass, with or without dropout, by relu, with d = d_model =
/// heads · head_width and f = d_ff, in the fused path of `vanilla`:
///
/// | what | bf16 | the stream in bfloat16, too | fp32 |
/// |---|---|---|---|
/// | inputs of both norms (the stream) | 8d | 4d | 8d |
/// | what the norms give | 4d | 4d | 8d |
/// | queries, keys, values, as one product gave them | 6d | 6d | 12d |
/// | attention's output, before its projection | 2d | 2d | 4d |
/// | activations after dropout | 2f | 2f | 4f |
///
/// With f = 4d 28d, 24d and 48d; whatever d is, 28 + 4 · heads more: mean and deviation of both norms, the rows' hashes of
/// three dropouts, attention's logsumexp. Where bits stand for relu's sign, f/8 more; by gelu the activations twice,
/// before and after it. What else a kind keeps is in `docs/attention.md`.
pub(super) struct Block {
    pub(super) attention_norm: Norm,
    pub(super) attention: SynthesizedAttention,
    pub(super) attention_dropout: Place,
    pub(super) feed_forward_norm: Norm,
    pub(super) feed_forward: FeedForward,
    pub(super) feed_forward_dropout: Place,
}

impl Block {
    /// The tensors of a block below `scope`.
    pub(super) fn new(mut scope: Scope<'_>, model: &ModelOptions, attention: &AttentionOptions, kind: Kind) -> Self {
        let dimensions = model.dimensions();
        let summands = 2 * model.layers;
        let dropout = attention.dropout.unwrap_or(model.dropout);
        let name = scope.name().to_string();
        let place = |branch: &str| Place::new(&format!("{name}.{branch}"), model.dropout);
        Self {
            attention_norm: Norm::new(scope.enter("attention_norm"), model),
            attention: {
                let scope = scope.enter("attention");
                SynthesizedAttention::new(scope, kind, attention, dimensions, dropout, summands)
            },
            attention_dropout: place("attention_dropout"),
            feed_forward_norm: Norm::new(scope.enter("feed_forward_norm"), model),
            feed_forward: FeedForward::new(scope.enter("feed_forward"), model, summands),
            feed_forward_dropout: place("feed_forward_dropout"),
        }
    }

    /// Causal self-attention of `x` `[batch, N, d_model]`; `bias` `[1, heads, N, N]` is added to its scores.
    pub(super) fn attend(&self, x: &Tensor, bias: Option<&Tensor>, pass: Pass<'_>) -> Result<Tensor> {
        self.attention.attend_to(x, x, bias, &Mask::causal(), pass)
    }

    /// What the attention mixed joins the stream, then the feed-forward layer's answer to it; both `[rows, d_model]`.
    /// Answers the stream and what `next` makes of it. Branches in bfloat16 join a float32 stream, or one in bfloat16 in
    /// float32 arithmetic: each sum is rounded once.
    pub(super) fn join(&self, stream: &Tensor, mixed: &Tensor, next: &Norm, pass: Pass<'_>) -> (Tensor, Tensor) {
        let (stream, x) = self.feed_forward_norm.add(stream, Some(self.attended(mixed, pass)), pass.compute);
        let answer = self.feed_forward.forward(&x, pass);
        next.add(&stream, Some(self.answered(&answer, pass)), pass.compute)
    }

    /// The same where each sum is normalised and goes on as the stream.
    pub(super) fn join_and_normalise(&self, stream: &Tensor, mixed: &Tensor, pass: Pass<'_>) -> (Tensor, Tensor) {
        let kind = stream.kind();
        let (_, stream) = self.attention_norm.add(stream, Some(self.attended(mixed, pass)), kind);
        let answer = self.feed_forward.forward(&stream, pass);
        let (_, stream) = self.feed_forward_norm.add(&stream, Some(self.answered(&answer, pass)), kind);
        let x = stream.to_kind(pass.compute);
        (stream, x)
    }

    /// What joins the stream of the attention's output `[rows, d_model]`.
    fn attended<'a>(&self, mixed: &'a Tensor, pass: Pass<'_>) -> Branch<'a> {
        Branch { x: mixed, bias: None, draw: self.attention_dropout.draw(pass.dropout, sizes(mixed)) }
    }

    /// What joins the stream of the feed-forward layer's answer `[rows, d_model]`.
    fn answered<'a>(&'a self, answer: &'a Tensor, pass: Pass<'_>) -> Branch<'a> {
        let draw = self.feed_forward_dropout.draw(pass.dropout, sizes(answer));
        Branch { x: answer, bias: self.feed_forward.output_bias(), draw }
    }
}

fn sizes(x: &Tensor) -> [i64; 2] {
    [x.size()[0], x.size()[1]]
}
