//! The decoder-only model: causal blocks over one sequence, and the projection to the vocabulary.

#[cfg(test)]
mod kernel_tests;
mod prepared;
mod state;

use super::feed_forward::FeedForward;
use super::norm::Norm;
use super::options::{ModelOptions, NormPosition, Positions, ResidualStream};
use super::positions::PositionEncoding;
use super::relative_positions::RelativePositions;
use crate::attention::options::AttentionOptions;
use crate::attention::projection::project;
use crate::attention::{Kind, Mask, Pass, Path, SynthesizedAttention};
use crate::kernels::add_norm::Branch;
use crate::kernels::dropout::DropoutStreams;
use crate::kernels::dropout::Place;
use crate::kernels::embedding::{Tables, embedding};
use crate::parameters::{Init, Parameters, Role, Scope};
use anyhow::{Result, ensure};
pub use prepared::{Bucket, PreparedDecoder, Step};
pub use state::DecoderState;
use tch::{Device, Kind as Number, Tensor};

/// A decoder without an encoder.
pub struct Decoder {
    embedding: Tensor, // [vocabulary, d_model]
    positions: PositionEncoding,
    relative_positions: Option<RelativePositions>,
    blocks: Vec<Block>,
    /// After the last block, where blocks begin with norms.
    norm: Option<Norm>,
    output: Tensor, // [vocabulary, d_model]; the embedding where they are tied
    dropout: Place,
    residual_stream: ResidualStream,
    max_length: i64,
    /// All places where numbers are dropped.
    streams: DropoutStreams,
}

impl Decoder {
    /// Builds the model for a vocabulary and fills `parameters`.
    pub fn new(
        parameters: &mut Parameters,
        model: &ModelOptions,
        attention: &AttentionOptions,
        vocabulary: i64,
    ) -> Self {
        parameters.start_projections(model.init.projections());
        let mut root = parameters.root();
        let shape = [vocabulary, model.d_model];
        let start = Init::Normal(model.embedding_std());
        let table = |scope: Scope<'_>| scope.with_role(Role::Embedding).tensor("weight", &shape, start);
        let embedding = table(root.enter("embedding"));
        let positions = PositionEncoding::new(&mut root, model, &embedding);
        let mut decoder = root.enter("decoder");
        let relative = model.positions == Positions::Relative;
        let relative_positions = relative.then(|| RelativePositions::causal(&mut decoder, model));
        let layers = attention.decoder_layers(model.layers).into_iter();
        let kinds = layers.flat_map(|(kind, count)| std::iter::repeat_n(kind, count as usize)).enumerate();
        let blocks: Vec<Block> =
            kinds.map(|(i, kind)| Block::new(decoder.enter("layers").enter(i), model, attention, kind)).collect();
        let dropout = Place::new("embedding", model.dropout);
        let streams = DropoutStreams::new(places(dropout, &blocks), embedding.device());
        let ends_with_norm = model.norm_position == NormPosition::Pre;
        let norm = ends_with_norm.then(|| Norm::new(decoder.enter("norm"), model));
        let output = if model.tie_embeddings { embedding.shallow_clone() } else { table(root.enter("output")) };
        let (residual_stream, max_length) = (model.residual_stream, model.max_length);
        Self {
            embedding,
            positions,
            relative_positions,
            blocks,
            norm,
            output,
            dropout,
            residual_stream,
            max_length,
            streams,
        }
    }

    /// Logits `[batch, N, vocabulary]` of the next tokens for `tokens` (int64 `[batch, N]`), in the pass's kind.
    ///
    /// # Errors
    /// Where the input is longer than `model.max_length`.
    pub fn forward(&self, tokens: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        Ok(project(&self.hidden(tokens, pass)?, &self.output, pass))
    }

    /// What [`Decoder::forward`] projects to the vocabulary, `[batch, N, d_model]`.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn hidden(&self, tokens: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        let key = pass.dropout.map(|key| key.for_pass(&self.streams));
        let pass = Pass { dropout: key.as_ref(), ..pass };
        self.through(tokens, 0, pass, |_, block, x, bias| block.attention.attend_to(x, x, bias, &Mask::causal(), pass))
    }

    /// The table of that projection, `[vocabulary, d_model]`.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// Embeddings of `tokens`, the first at position `first`, through every block and the last norm. `mix` is what a
    /// block's attention makes of its input with what relative positions add to its scores.
    fn through(
        &self,
        tokens: &Tensor,
        first: i64,
        pass: Pass<'_>,
        mut mix: impl FnMut(usize, &Block, &Tensor, Option<&Tensor>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (length, max) = (first + tokens.size()[1], self.max_length);
        ensure!(length <= max, "an input of {length} tokens is longer than model.max_length = {max}");
        let stream = self.embed(tokens, first, pass); // [rows, d_model]
        let shape = [tokens.size()[0], tokens.size()[1], stream.size()[1]];
        let bias = self.relative_bias(first, length);
        let (mut stream, mut x) = match self.norm_before(0) {
            Some(norm) => norm.add(&stream, None, pass.compute),
            None => (stream.shallow_clone(), stream.to_kind(pass.compute)),
        };
        for (i, block) in self.blocks.iter().enumerate() {
            let mixed = mix(i, block, &x.view(shape), bias.as_ref())?.flatten(0, 1);
            (stream, x) = match self.norm_before(i + 1) {
                Some(next) => block.join(&stream, &mixed, next, pass),
                None => block.join_and_normalise(&stream, &mixed, pass),
            };
        }
        drop(stream);
        Ok(x.view(shape))
    }

    /// The norm of block `i`'s input, or of the last block's output; `None` where norms follow sums.
    fn norm_before(&self, i: usize) -> Option<&Norm> {
        let last = self.norm.as_ref()?;
        Some(self.blocks.get(i).map_or(last, |block| &block.attention_norm))
    }

    /// What relative positions add to the scores of queries from position `first` on, over all `length` keys.
    fn relative_bias(&self, first: i64, length: i64) -> Option<Tensor> {
        self.relative_positions.as_ref().map(|positions| positions.bias(first, length - first, length))
    }

    /// Where the residual stream begins, `[batch · N, d_model]` in its kind.
    fn embed(&self, tokens: &Tensor, first: i64, pass: Pass<'_>) -> Tensor {
        let [batch, count, width] = [tokens.size()[0], tokens.size()[1], self.embedding.size()[1]];
        let positions = self.positions.rows(first, count);
        let tables = Tables { tokens: &self.embedding, factor: self.positions.factor(), positions: positions.as_ref() };
        let draw = self.dropout.draw(pass.dropout, [batch * count, width]);
        embedding(tokens, tables, draw, self.stream_kind(pass))
    }

    fn stream_kind(&self, pass: Pass<'_>) -> Number {
        match self.residual_stream {
            ResidualStream::Float32 => self.embedding.kind(),
            ResidualStream::Bfloat16 => pass.compute,
        }
    }

    /// Number of tokens that it knows.
    pub fn vocabulary(&self) -> i64 {
        self.output.size()[0]
    }

    /// Where its tensors lie.
    pub fn device(&self) -> Device {
        self.output.device()
    }

    /// The longest input.
    pub fn max_length(&self) -> i64 {
        self.max_length
    }

    /// The path that each block's attention takes over `[batch, length]` tokens.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn attention_paths(&self, batch: i64, length: i64, pass: Pass<'_>) -> Result<Vec<Path>> {
        let bias = self.relative_bias(0, length);
        let path = |block: &Block| block.attention.path_with(bias.as_ref(), (batch, length), &Mask::causal(), pass);
        self.blocks.iter().map(path).collect()
    }
}

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
struct Block {
    attention_norm: Norm,
    attention: SynthesizedAttention,
    attention_dropout: Place,
    feed_forward_norm: Norm,
    feed_forward: FeedForward,
    feed_forward_dropout: Place,
}

impl Block {
    fn new(mut scope: Scope<'_>, model: &ModelOptions, attention: &AttentionOptions, kind: Kind) -> Self {
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

    /// What the attention mixed joins the stream, then the feed-forward layer's answer to it; both `[rows, d_model]`.
    /// Answers the stream and what `next` makes of it. Branches in bfloat16 join a float32 stream, or one in bfloat16 in
    /// float32 arithmetic: each sum is rounded once.
    fn join(&self, stream: &Tensor, mixed: &Tensor, next: &Norm, pass: Pass<'_>) -> (Tensor, Tensor) {
        let (stream, x) = self.feed_forward_norm.add(stream, Some(self.attended(mixed, pass)), pass.compute);
        let answer = self.feed_forward.forward(&x, pass);
        next.add(&stream, Some(self.answered(&answer, pass)), pass.compute)
    }

    /// The same where each sum is normalised and goes on as the stream.
    fn join_and_normalise(&self, stream: &Tensor, mixed: &Tensor, pass: Pass<'_>) -> (Tensor, Tensor) {
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

/// The numbers of all places where numbers are dropped, those of masks of one shape together.
fn places(embedding: Place, blocks: &[Block]) -> Vec<Vec<u64>> {
    let branches = blocks.iter().flat_map(|block| [block.attention_dropout, block.feed_forward_dropout]);
    vec![
        [embedding].into_iter().chain(branches).map(Place::number).collect(),
        blocks.iter().map(|block| block.feed_forward.place().number()).collect(),
        blocks.iter().map(|block| block.attention.stream()).collect(),
    ]
}
