//! One sequence from its tokens through a stack of blocks: a decoder, or one half of an encoder-decoder.

use super::options::{ModelOptions, Positions, ResidualStream};
use super::positions::PositionEncoding;
use super::relative_positions::RelativePositions;
use super::stack::{Carried, Layers, Memory, Sight, Stack};
use crate::attention::options::AttentionOptions;
use crate::attention::{Mask, Pass};
use crate::kernels::dropout::Place;
use crate::kernels::embedding::{Tables, embedding};
use crate::parameters::Scope;
use anyhow::{Result, ensure};
use std::sync::Arc;
use tch::{Kind as Number, Tensor};

/// Embedding, positions and blocks.
pub(super) struct Sequence {
    pub(super) embedding: Tensor, // [vocabulary, d_model]
    pub(super) positions: PositionEncoding,
    pub(super) relative_positions: Option<RelativePositions>,
    pub(super) stack: Arc<Stack>,
    dropout: Place,
    residual_stream: ResidualStream,
    pub(super) max_length: i64,
}

/// What tokens become before the first block.
pub(super) struct Entrance {
    /// `[vocabulary, d_model]`.
    pub(super) embedding: Tensor,
    pub(super) positions: PositionEncoding,
    /// Of the sum of both.
    pub(super) dropout: Place,
}

impl Sequence {
    /// The tensors of the blocks, and of relative positions, below `scope`. Self-attention sees what stands before alone if
    /// it is `causal`.
    pub(super) fn new(
        scope: &mut Scope<'_>,
        (model, attention): (&ModelOptions, &AttentionOptions),
        layers: Layers,
        causal: bool,
        Entrance { embedding, positions, dropout }: Entrance,
    ) -> Self {
        let relative = if causal { RelativePositions::causal } else { RelativePositions::bidirectional };
        let relative_positions = (model.positions == Positions::Relative).then(|| relative(scope, model));
        let stack = Stack::new(scope, model, attention, layers).shared();
        let (residual_stream, max_length) = (model.residual_stream, model.max_length);
        Self { embedding, positions, relative_positions, stack, dropout, residual_stream, max_length }
    }

    /// What the last block gives for `tokens` (int64 `[batch, N]`), normalised where a norm follows it: `[batch, N, d_model]`
    /// in the kind of products. `again`: blocks keep what they were given alone.
    ///
    /// # Errors
    /// Where there are more tokens than `model.max_length`.
    pub(super) fn forward(
        &self,
        tokens: &Tensor,
        mask: &Mask,
        memory: Option<&Memory>,
        again: bool,
        pass: Pass<'_>,
    ) -> Result<Tensor> {
        self.through(tokens, 0, pass, |i, carried, shape, bias| {
            let sight = Sight { mask, bias, memory };
            match again {
                true => self.stack.advance_again(i, carried, shape, sight, pass),
                false => self.stack.advance_over(i, carried, shape, sight, pass),
            }
        })
    }

    /// Embeddings of `tokens`, the first at position `first`, through every block, each by `advance`: from the block's
    /// number, what is carried from block to block, the shape of its input `[batch, N, d_model]`, and what relative
    /// positions add to its scores.
    pub(super) fn through(
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
    pub(super) fn relative_bias(&self, first: i64, length: i64) -> Option<Tensor> {
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

    /// The numbers of all places where numbers are dropped, those of masks of one shape together.
    pub(super) fn places(&self) -> Vec<Vec<u64>> {
        self.stack.places(self.dropout)
    }
}
