//! An encoder-decoder over targets that grow at their end.

use super::{EncoderDecoder, Memory};
use crate::attention::{KeptMemory, Pass, State};
use crate::kernels::multiply::multiply_wide;
use crate::model::block::{Block, Mixes};
use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// What an encoder-decoder keeps of growing targets.
#[derive(Debug)]
pub struct EncoderDecoderState {
    layers: Vec<LayerState>,
}

/// What one block keeps.
#[derive(Debug)]
struct LayerState {
    /// Of the targets so far.
    own: State,
    /// Of their sources.
    memory: KeptMemory,
}

impl EncoderDecoderState {
    /// Number of targets.
    pub fn rows(&self) -> i64 {
        self.layers.first().map_or(0, |layer| layer.own.rows())
    }

    /// Number of positions so far.
    pub fn length(&self) -> i64 {
        self.layers.first().map_or(0, |layer| layer.own.length())
    }

    /// Row i becomes what row `rows[i]` (int64, any number of rows) was. `same_sources`: row i keeps its source, so that
    /// what comes from the memory stays.
    pub fn select(&mut self, rows: &Tensor, same_sources: bool) {
        let stays = same_sources && rows.size()[0] == self.rows();
        for layer in &mut self.layers {
            layer.own.select(rows);
            if !stays {
                layer.memory.select(rows);
            }
        }
    }
}

impl EncoderDecoder {
    /// Room for `capacity` positions of `copies` targets to each source, whose keys and values are computed here, once:
    /// row r belongs to source r div `copies`.
    ///
    /// # Errors
    /// Where a source is longer than the tables by position of a kind that has some.
    pub fn state(&self, memory: &Memory, copies: i64, capacity: i64, pass: Pass<'_>) -> Result<EncoderDecoderState> {
        let rows = memory.sources() * copies;
        let of_block = |block: &Block| -> Result<Option<LayerState>> {
            let Some(cross) = &block.cross else { return Ok(None) };
            let own = block.attention.state(rows, capacity, pass.compute);
            let memory = cross.attention.keep(&memory.states, &memory.mask, copies, pass)?;
            Ok(Some(LayerState { own, memory }))
        };
        let layers = self.decoder.stack.blocks.iter().filter_map(|block| of_block(block).transpose());
        Ok(EncoderDecoderState { layers: layers.collect::<Result<_>>()? })
    }

    /// Logits `[rows, n, vocabulary]`, as [`EncoderDecoder::forward`] but in float32 at least, of what follows the next `tokens` (int64 `[rows, n]`)
    /// of growing targets, of which `state` holds what came before.
    ///
    /// # Errors
    /// Where the targets become longer than `model.max_length`, or than the state has room for.
    pub fn step(&self, tokens: &Tensor, state: &mut EncoderDecoderState, pass: Pass<'_>) -> Result<Tensor> {
        let (first, decoder) = (state.length(), &self.decoder);
        let hidden = decoder.through(tokens, first, pass, |i, carried, shape, bias| {
            let LayerState { own, memory } = &mut state.layers[i];
            decoder.stack.advance(i, carried, pass, |mixes, x| {
                let x = x.view(shape);
                let mixed = match mixes {
                    Mixes::Itself(attention) => attention.step(&x, bias, own, pass)?,
                    Mixes::Memory(attention) => attention.step_over(&x, first, memory, pass)?,
                };
                Ok(mixed.flatten(0, 1))
            })
        })?;
        Ok(self.wide_logits(&hidden, pass))
    }

    /// The product of the kind of products, not rounded to it: sums of many logarithms of its softmax are compared.
    fn wide_logits(&self, hidden: &Tensor, pass: Pass<'_>) -> Tensor {
        let [rows, n, _] = hidden.size()[..] else { unreachable!("activations have three axes") };
        let [x, table] = [hidden, &self.output].map(|tensor| tensor.to_kind(pass.compute));
        let x = x.flatten(0, 1);
        let logits = match x.device() {
            Device::Cpu if pass.compute != Kind::Double => {
                x.to_kind(Kind::Float).matmul(&table.to_kind(Kind::Float).tr())
            }
            _ => multiply_wide(&x, &table.tr()),
        };
        logits.view([rows, n, -1])
    }
}
