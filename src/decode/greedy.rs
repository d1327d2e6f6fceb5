//! The most likely continuation of every sequence of a batch, for measurements: nothing but steps.

use super::sequences::Sequences;
use crate::model::Decoder;
use crate::model::decoder::PreparedDecoder;
use anyhow::{Context, Result};
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// Continues a batch by the most likely tokens, from position 0 on.
pub struct GreedyDecoder<'a> {
    model: Rc<PreparedDecoder<'a>>,
    length: i64,
    graphs: bool,
    sequences: Option<Sequences<'a>>,
}

impl<'a> GreedyDecoder<'a> {
    /// Continues sequences of up to `length` tokens, with products in `compute`; on CUDA by replaying recorded steps,
    /// where `graphs`.
    pub fn new(decoder: &'a Decoder, compute: Kind, length: i64, graphs: bool) -> Self {
        Self { model: Rc::new(PreparedDecoder::new(decoder, compute)), length, graphs, sequences: None }
    }

    /// Begins anew with `batch` sequences, each at its first token, which is 0. What was recorded stays, as long as
    /// the batch does.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn reset(&mut self, batch: i64) -> Result<()> {
        let fits = self.sequences.as_ref().is_some_and(|sequences| sequences.fit(batch, self.length));
        if !fits {
            self.sequences = None; // its memory first
            let model = Rc::clone(&self.model);
            self.sequences = Some(Sequences::new(model, (batch, self.length), None, self.graphs)?);
        }
        let first = Tensor::zeros([batch, 1], (Kind::Int64, self.model.decoder().device()));
        self.sequences()?.begin(&first)
    }

    /// One more token for every sequence. The host does not wait.
    ///
    /// # Errors
    /// No reset before; no more room; what libtorch reports.
    pub fn step(&mut self) -> Result<()> {
        self.sequences()?.step(true)
    }

    /// Waits for the steps so far; answers the tokens of each sequence.
    ///
    /// # Errors
    /// No reset before; what the steps report.
    pub fn wait(&mut self) -> Result<Vec<Vec<i64>>> {
        let sequences = self.sequences()?;
        let tokens = sequences.tokens(0..sequences.length() + 1).f_to_device(Device::Cpu)?;
        Ok(Vec::<Vec<i64>>::try_from(tokens.contiguous())?)
    }

    /// Whether steps are replayed from records.
    pub fn captured(&self) -> bool {
        self.sequences.as_ref().is_some_and(Sequences::captured)
    }

    fn sequences(&mut self) -> Result<&mut Sequences<'a>> {
        self.sequences.as_mut().context("no batch has begun: call `reset` first")
    }
}
