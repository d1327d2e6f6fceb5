//! A decoder over a sequence that grows at its end.

use super::Decoder;
use crate::attention::projection::project;
use crate::attention::{Pass, State};
use crate::model::block::Mixes;
use anyhow::Result;
use tch::{Kind, Tensor};

/// What a decoder keeps of growing sequences: tensors that stay where they are.
#[derive(Debug)]
pub struct DecoderState {
    pub(super) layers: Vec<State>,
}

impl DecoderState {
    /// Number of positions so far.
    pub fn length(&self) -> i64 {
        self.layers.first().map_or(0, State::length)
    }

    /// Number of positions that there is room for.
    pub fn capacity(&self) -> i64 {
        self.layers.first().map_or(0, State::capacity)
    }

    /// Says how many positions are kept now: 0 to begin anew, one more after a
    /// [`PreparedDecoder::step`](super::PreparedDecoder::step).
    pub fn set_length(&mut self, length: i64) {
        for layer in &mut self.layers {
            layer.set_length(length);
        }
    }
}

impl Decoder {
    /// Room for `capacity` positions of `batch` sequences, in the kind in which products are computed.
    pub fn state(&self, batch: i64, capacity: i64, compute: Kind) -> DecoderState {
        let layers = self.sequence.stack.blocks.iter().map(|block| block.attention.state(batch, capacity, compute));
        DecoderState { layers: layers.collect() }
    }

    /// Logits as [`Decoder::forward`] of the next tokens `[batch, n]` of a growing sequence, of which `state` holds
    /// what came before.
    ///
    /// # Errors
    /// Where the sequence becomes longer than `model.max_length`, or than the state has room for.
    pub fn step(&self, tokens: &Tensor, state: &mut DecoderState, pass: Pass<'_>) -> Result<Tensor> {
        Ok(project(&self.read(tokens, state, pass)?, &self.output, pass))
    }

    /// [`Decoder::step`] without its logits: what they are projected from, `[batch, n, d_model]`.
    ///
    /// # Errors
    /// As [`Decoder::step`].
    pub fn read(&self, tokens: &Tensor, state: &mut DecoderState, pass: Pass<'_>) -> Result<Tensor> {
        let (first, sequence) = (state.length(), &self.sequence);
        sequence.through(tokens, first, pass, |i, carried, shape, bias| {
            let state = &mut state.layers[i];
            sequence.stack.advance(i, carried, pass, |mixes, x| match mixes {
                Mixes::Itself(attention) => Ok(attention.step(&x.view(shape), bias, state, pass)?.flatten(0, 1)),
                Mixes::Memory(_) => unreachable!("a decoder without an encoder reads no memory"),
            })
        })
    }
}
