//! The decoder-only model: causal blocks over one sequence, and the projection to the vocabulary.

mod block;
#[cfg(test)]
mod kernel_tests;
mod prepared;
#[cfg(test)]
mod recompute_tests;
mod stack;
mod state;

use super::options::{ModelOptions, Positions, ResidualStream};
use super::positions::PositionEncoding;
use super::relative_positions::RelativePositions;
use crate::attention::options::AttentionOptions;
use crate::attention::projection::project;
use crate::attention::{Mask, Pass, Path};
use crate::kernels::dropout::{DropoutKey, DropoutStreams, Place};
use crate::kernels::embedding::{Tables, embedding};
use crate::parameters::{Init, Parameters, Role, Scope};
use anyhow::{Result, ensure};
use block::Block;
pub use prepared::{Bucket, PreparedDecoder, Step};
use stack::{Carried, Stack};
pub use state::DecoderState;
use std::sync::Arc;
use tch::{Device, Kind as Number, Tensor};

/// A decoder without an encoder.
pub struct Decoder {
    embedding: Tensor, // [vocabulary, d_model]
    positions: PositionEncoding,
    relative_positions: Option<RelativePositions>,
    stack: Arc<Stack>,
    /// Blocks keep what they were given alone, and compute the rest again in the backward pass.
    recompute: bool,
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
        let mut stack = Stack::new(&mut decoder, model, attention);
        let output = if model.tie_embeddings { embedding.shallow_clone() } else { table(root.enter("output")) };
        stack.find_parameters(parameters);
        let dropout = Place::new("embedding", model.dropout);
        let streams = DropoutStreams::new(stack.places(dropout), embedding.device());
        let (residual_stream, max_length) = (model.residual_stream, model.max_length);
        Self {
            embedding,
            positions,
            relative_positions,
            stack: stack.shared(),
            recompute: false,
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
        let again = self.recompute && pass.training();
        let key = if again { key.map(DropoutKey::drawn_again) } else { key };
        let pass = Pass { dropout: key.as_ref(), ..pass };
        let stack = &self.stack;
        self.through(tokens, 0, pass, |i, carried, shape, bias| match again {
            true => stack.advance_again(i, carried, shape, bias, pass),
            false => stack.advance(i, carried, pass, |block, x| block.attend(&x.view(shape), bias, pass)),
        })
    }

    /// The same decoder, whose blocks keep what they were given alone in training and compute the rest again in the
    /// backward pass, if `on`: the same numbers, for less memory and more time (arXiv 1604.06174).
    pub fn with_recompute(self, on: bool) -> Self {
        Self { recompute: on, ..self }
    }

    /// The table of that projection, `[vocabulary, d_model]`.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// Embeddings of `tokens`, the first at position `first`, through every block, each by `advance`: from the block's
    /// number, what is carried from block to block, the shape of its input `[batch, N, d_model]`, and what relative
    /// positions add to its scores.
    fn through(
        &self,
        tokens: &Tensor,
        first: i64,
        pass: Pass<'_>,
        mut advance: impl FnMut(usize, Carried, [i64; 3], Option<&Tensor>) -> Result<Carried>,
    ) -> Result<Tensor> {
        let (length, max) = (first + tokens.size()[1], self.max_length);
        ensure!(length <= max, "an input of {length} tokens is longer than model.max_length = {max}");
        let stream = self.embed(tokens, first, pass); // [rows, d_model]
        let shape = [tokens.size()[0], tokens.size()[1], stream.size()[1]];
        let bias = self.relative_bias(first, length);
        let mut carried = self.stack.begin(stream, pass);
        for i in 0..self.stack.blocks.len() {
            carried = advance(i, carried, shape, bias.as_ref())?;
        }
        Ok(carried.x.view(shape))
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
        let key = pass.dropout.map(DropoutKey::share);
        let key = if self.recompute { key.map(DropoutKey::drawn_again) } else { key };
        let pass = Pass { dropout: key.as_ref(), ..pass };
        let path = |block: &Block| block.attention.path_with(bias.as_ref(), (batch, length), &Mask::causal(), pass);
        self.stack.blocks.iter().map(path).collect()
    }
}
