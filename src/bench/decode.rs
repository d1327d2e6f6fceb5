//! Greedy generation, token by token, through what the decoder keeps.

use super::cell::{Cell, SEED};
use super::limit::wait_for;
use super::random_text::tokens;
use super::timing::{Stepper, Timed};
use crate::attention::Pass;
use crate::model::size::decoder_step_flops;
use crate::model::{Decoder, DecoderState};
use crate::parameters::Parameters;
use anyhow::Result;
use tch::{Device, Tensor};

/// A model that generates.
pub struct Decoding<'a> {
    cell: &'a Cell,
    parameters: Parameters,
    decoder: Decoder,
    state: DecoderState,
    first: Tensor, // int64 [batch, 1]
    token: Tensor, // int64 [batch, 1]
}

impl<'a> Decoding<'a> {
    /// Builds the cell's model on `device`, and draws the first token of every sequence.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(cell: &'a Cell, device: Device) -> Result<Self> {
        let mut parameters = Parameters::new(SEED, device, cell.train.precision.stored());
        let decoder = Decoder::new(&mut parameters, &cell.model, &cell.attention, cell.vocabulary);
        let first = tokens(SEED, "bench inputs", cell.vocabulary, [cell.batch, 1], device)?;
        let token = first.shallow_clone();
        Ok(Self { cell, parameters, decoder, state: DecoderState::default(), first, token })
    }

    /// Times the generation of `new` tokens from the first position on.
    ///
    /// # Errors
    /// What the model or libtorch reports.
    pub fn measure(&mut self) -> Result<Timed> {
        let _no_grad = tch::no_grad_guard();
        self.cell.timing.measure_rounds_of(self.cell.new as u32, self)
    }

    /// How steps run.
    pub fn run(&self) -> &'static str {
        "eager"
    }

    /// Number of parameters, frozen tables included.
    pub fn parameters(&self) -> u64 {
        self.parameters.counts().total
    }
}

/// Operations by formula of one token of every sequence: the mean of the positions that are generated.
pub fn flops(cell: &Cell) -> f64 {
    let step = |visible| {
        let sizes = (cell.batch as u64, visible as u64);
        decoder_step_flops(&cell.model, &cell.attention, cell.vocabulary as u64, sizes) as f64
    };
    // They grow linearly from position to position.
    (step(1) + step(cell.new)) / 2.0
}

impl Stepper for Decoding<'_> {
    fn step(&mut self) -> Result<()> {
        if self.state.length() == self.cell.length() {
            self.restart()?;
        }
        let pass = Pass::evaluation(self.cell.train.precision.compute());
        let logits = self.decoder.step(&self.token, &mut self.state, pass)?; // [batch, 1, vocabulary]
        self.token = logits.f_argmax(-1, false)?;
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        wait_for(self.token.device());
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.state = DecoderState::default();
        self.token = self.first.shallow_clone();
        Ok(())
    }
}
