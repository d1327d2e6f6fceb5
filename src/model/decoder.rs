//! The decoder-only model: causal blocks over one sequence, and the projection to the vocabulary.

#[cfg(test)]
mod kernel_tests;
mod prepared;
mod state;

use super::feed_forward::FeedForward;
use super::norm::LayerNorm;
use super::options::{ModelOptions, ResidualStream};
use super::positions::{EMBEDDING_STD, PositionEncoding};
use crate::attention::options::AttentionOptions;
use crate::attention::projection::project;
use crate::attention::{Kind, Mask, Pass, Path, SynthesizedAttention, TokenMixer};
use crate::kernels::add_norm::Branch;
use crate::kernels::dropout::DropoutStreams;
use crate::kernels::dropout::Place;
use crate::kernels::embedding::{Tables, embedding};
use crate::parameters::{Init, Parameters, Role, Scope};
use anyhow::{Result, ensure};
pub use prepared::{Bucket, PreparedDecoder, Step};
pub use state::DecoderState;
use tch::{Device, Kind as Number, Tensor};

/// A pre-norm decoder without an encoder, as GPT-2's but for the feed-forward activation.
pub struct Decoder {
    embedding: Tensor, // [vocabulary, d_model]
    positions: PositionEncoding,
    blocks: Vec<Block>,
    norm: LayerNorm,
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
        parameters.start_projections(model.init.std());
        let mut root = parameters.root();
        let shape = [vocabulary, model.d_model];
        let table =
            |scope: Scope<'_>| scope.with_role(Role::Embedding).tensor("weight", &shape, Init::Normal(EMBEDDING_STD));
        let embedding = table(root.enter("embedding"));
        let positions = PositionEncoding::new(&mut root, model.positions, model.max_length, model.d_model, &embedding);
        let mut decoder = root.enter("decoder");
        let layers = attention.decoder_layers(model.layers).into_iter();
        let kinds = layers.flat_map(|(kind, count)| std::iter::repeat_n(kind, count as usize)).enumerate();
        let blocks: Vec<Block> =
            kinds.map(|(i, kind)| Block::new(decoder.enter("layers").enter(i), model, attention, kind)).collect();
        let dropout = Place::new("embedding", model.dropout);
        let streams = DropoutStreams::new(places(dropout, &blocks), embedding.device());
        let norm = LayerNorm::new(decoder.enter("norm"), model.d_model, model.bias);
        let output = if model.tie_embeddings { embedding.shallow_clone() } else { table(root.enter("output")) };
        let (residual_stream, max_length) = (model.residual_stream, model.max_length);
        Self { embedding, positions, blocks, norm, output, dropout, residual_stream, max_length, streams }
    }

    /// Logits `[batch, N, vocabulary]` of the next tokens for `tokens` (int64 `[batch, N]`), in the pass's kind.
    ///
    /// # Errors
    /// Where the input is longer than `model.max_length`.
    pub fn forward(&self, tokens: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        Ok(project(&self.hidden(tokens, pass)?, &self.output, pass))
    }

    /// What [`Decoder::forward`] projects to the vocabulary: the last norm's output, `[batch, N, d_model]`.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn hidden(&self, tokens: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        let key = pass.dropout.map(|key| key.for_pass(&self.streams));
        let pass = Pass { dropout: key.as_ref(), ..pass };
        self.through(tokens, 0, pass, |_, block, x| block.attention.forward(x, &Mask::causal(), pass))
    }

    /// The table of that projection, `[vocabulary, d_model]`.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// Embeddings of `tokens`, the first at position `first`, through every block and the last norm. `mix` is what a
    /// block's attention makes of its normalised input.
    fn through(
        &self,
        tokens: &Tensor,
        first: i64,
        pass: Pass<'_>,
        mut mix: impl FnMut(usize, &Block, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (length, max) = (first + tokens.size()[1], self.max_length);
        ensure!(length <= max, "an input of {length} tokens is longer than model.max_length = {max}");
        let stream = self.embed(tokens, first, pass); // [rows, d_model]
        let shape = [tokens.size()[0], tokens.size()[1], stream.size()[1]];
        let norms = self.blocks.iter().map(|block| &block.attention_norm).chain([&self.norm]);
        let norms: Vec<&LayerNorm> = norms.collect();
        let (mut stream, mut x) = norms[0].add(&stream, None, pass.compute);
        for (i, block) in self.blocks.iter().enumerate() {
            let mixed = mix(i, block, &x.view(shape))?;
            (stream, x) = block.join(&stream, &mixed.flatten(0, 1), norms[i + 1], pass);
        }
        drop(stream);
        Ok(x.view(shape))
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
        self.blocks.iter().map(|block| block.attention.path(batch, length, &Mask::causal(), pass)).collect()
    }
}

/// x + dropout(attention(norm(x))), then x + dropout(feed_forward(norm(x))).
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
    attention_norm: LayerNorm,
    attention: SynthesizedAttention,
    attention_dropout: Place,
    feed_forward_norm: LayerNorm,
    feed_forward: FeedForward,
    feed_forward_dropout: Place,
}

impl Block {
    fn new(mut scope: Scope<'_>, model: &ModelOptions, attention: &AttentionOptions, kind: Kind) -> Self {
        let dimensions = model.dimensions();
        // What is added to the residual stream starts smaller the more is added (GPT-2).
        let shrink = (2.0 * model.layers as f64).powf(-0.5);
        let dropout = attention.dropout.unwrap_or(model.dropout);
        let name = scope.name().to_string();
        let place = |branch: &str| Place::new(&format!("{name}.{branch}"), model.dropout);
        Self {
            attention_norm: LayerNorm::new(scope.enter("attention_norm"), model.d_model, model.bias),
            attention: {
                let scope = scope.enter("attention");
                SynthesizedAttention::new(scope, kind, attention, dimensions, dropout, shrink)
            },
            attention_dropout: place("attention_dropout"),
            feed_forward_norm: LayerNorm::new(scope.enter("feed_forward_norm"), model.d_model, model.bias),
            feed_forward: FeedForward::new(scope.enter("feed_forward"), model, shrink),
            feed_forward_dropout: place("feed_forward_dropout"),
        }
    }

    /// What the attention mixed joins the stream, then the feed-forward layer's answer to it; both `[rows, d_model]`.
    /// Answers the stream and what `next` makes of it. Branches in bfloat16 join a float32 stream, or one in bfloat16 in
    /// float32 arithmetic: each sum is rounded once.
    fn join(&self, stream: &Tensor, mixed: &Tensor, next: &LayerNorm, pass: Pass<'_>) -> (Tensor, Tensor) {
        let sizes = [mixed.size()[0], mixed.size()[1]];
        let branch = |x, bias, place: Place| Branch { x, bias, draw: place.draw(pass.dropout, sizes) };
        let attended = branch(mixed, None, self.attention_dropout);
        let (stream, x) = self.feed_forward_norm.add(stream, Some(attended), pass.compute);
        let answer = self.feed_forward.forward(&x, pass);
        let answer = branch(&answer, self.feed_forward.output_bias(), self.feed_forward_dropout);
        next.add(&stream, Some(answer), pass.compute)
    }
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
