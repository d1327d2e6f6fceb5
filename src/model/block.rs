//! One block of a stack.

use crate::attention::options::AttentionOptions;
use crate::attention::{Kind, Pass, SynthesizedAttention};
use crate::kernels::add_norm::Branch;
use crate::kernels::dropout::Place;
use crate::model::feed_forward::FeedForward;
use crate::model::norm::Norm;
use crate::model::options::ModelOptions;
use crate::parameters::Scope;
use anyhow::Result;
use tch::Tensor;

/// x + dropout(attention(norm(x))), with a memory x + dropout(cross_attention(norm(x), memory)), then x +
/// dropout(feed_forward(norm(x))); or each norm around its sum.
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
    /// Of blocks that read a memory.
    pub(super) cross: Option<Cross>,
    pub(super) feed_forward_norm: Norm,
    pub(super) feed_forward: FeedForward,
    pub(super) feed_forward_dropout: Place,
}

/// A block's attention over a memory.
pub(super) struct Cross {
    pub(super) norm: Norm,
    pub(super) attention: SynthesizedAttention,
    pub(super) dropout: Place,
}

/// An attention of a block that is asked to mix what it is given.
pub(super) enum Mixes<'a> {
    /// Over its own input.
    Itself(&'a SynthesizedAttention),
    /// Over the memory.
    Memory(&'a SynthesizedAttention),
}

/// The kinds of a block's attentions.
#[derive(Clone, Copy)]
pub(super) struct Kinds {
    pub(super) own: Kind,
    pub(super) cross: Option<Kind>,
}

impl Block {
    /// The tensors of a block below `scope`, each of whose branches is one of `summands` that its stream collects.
    pub(super) fn new(
        mut scope: Scope<'_>,
        model: &ModelOptions,
        attention: &AttentionOptions,
        kinds: Kinds,
        summands: i64,
    ) -> Self {
        let dimensions = model.dimensions();
        let dropout = attention.dropout.unwrap_or(model.dropout);
        let name = scope.name().to_string();
        let place = |branch: &str| Place::new(&format!("{name}.{branch}"), model.dropout);
        let mixer = |scope: Scope<'_>, kind: Kind| {
            SynthesizedAttention::new(scope, kind, attention, dimensions, dropout, summands)
        };
        Self {
            attention_norm: Norm::new(scope.enter("attention_norm"), model),
            attention: mixer(scope.enter("attention"), kinds.own),
            attention_dropout: place("attention_dropout"),
            cross: kinds.cross.map(|kind| Cross {
                norm: Norm::new(scope.enter("cross_attention_norm"), model),
                attention: mixer(scope.enter("cross_attention"), kind),
                dropout: place("cross_attention_dropout"),
            }),
            feed_forward_norm: Norm::new(scope.enter("feed_forward_norm"), model),
            feed_forward: FeedForward::new(scope.enter("feed_forward"), model, summands),
            feed_forward_dropout: place("feed_forward_dropout"),
        }
    }

    /// From the `stream` and what `mix`, given the normalised stream `x`, makes of it to the stream after all branches and
    /// what `next` makes of it; all `[rows, d_model]`. Branches in bfloat16 join a float32 stream, or one in bfloat16 in
    /// float32 arithmetic: each sum is rounded once.
    pub(super) fn join(
        &self,
        stream: &Tensor,
        x: Tensor,
        next: &Norm,
        pass: Pass<'_>,
        mut mix: impl FnMut(Mixes<'_>, &Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let mixed = mix(Mixes::Itself(&self.attention), &x)?;
        drop(x);
        let after_attention = self.cross.as_ref().map_or(&self.feed_forward_norm, |cross| &cross.norm);
        let (mut stream, mut x) =
            after_attention.add(stream, Some(dropped(&mixed, self.attention_dropout, pass)), pass.compute);
        if let Some(cross) = &self.cross {
            let mixed = mix(Mixes::Memory(&cross.attention), &x)?;
            (stream, x) = self.feed_forward_norm.add(&stream, Some(dropped(&mixed, cross.dropout, pass)), pass.compute);
        }
        let answer = self.feed_forward.forward(&x, pass);
        Ok(next.add(&stream, Some(self.answered(&answer, pass)), pass.compute))
    }

    /// The same where each sum is normalised and goes on as the stream.
    pub(super) fn join_and_normalise(
        &self,
        stream: &Tensor,
        x: Tensor,
        pass: Pass<'_>,
        mut mix: impl FnMut(Mixes<'_>, &Tensor) -> Result<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let kind = stream.kind();
        let mixed = mix(Mixes::Itself(&self.attention), &x)?;
        drop(x);
        let (_, mut stream) =
            self.attention_norm.add(stream, Some(dropped(&mixed, self.attention_dropout, pass)), kind);
        if let Some(cross) = &self.cross {
            let mixed = mix(Mixes::Memory(&cross.attention), &stream.to_kind(pass.compute))?;
            (_, stream) = cross.norm.add(&stream, Some(dropped(&mixed, cross.dropout, pass)), kind);
        }
        let answer = self.feed_forward.forward(&stream, pass);
        let (_, stream) = self.feed_forward_norm.add(&stream, Some(self.answered(&answer, pass)), kind);
        let x = stream.to_kind(pass.compute);
        Ok((stream, x))
    }

    /// What joins the stream of the feed-forward layer's answer `[rows, d_model]`.
    fn answered<'a>(&'a self, answer: &'a Tensor, pass: Pass<'_>) -> Branch<'a> {
        Branch { bias: self.feed_forward.output_bias(), ..dropped(answer, self.feed_forward_dropout, pass) }
    }
}

/// What joins the stream of a branch `[rows, d_model]`.
fn dropped<'a>(x: &'a Tensor, dropout: Place, pass: Pass<'_>) -> Branch<'a> {
    Branch { x, bias: None, draw: dropout.draw(pass.dropout, [x.size()[0], x.size()[1]]) }
}
