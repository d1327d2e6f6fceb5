//! Greedy generation, token by token, through what the decoder keeps.

use super::cell::{Cell, SEED};
use super::limit::wait_for;
use super::timing::{Stepper, Timed, Timing};
use crate::decode::GreedyDecoder;
use crate::model::size::step_flops;
use crate::model::{Decoder, Vocabularies};
use crate::parameters::Parameters;
use anyhow::Result;
use tch::Device;

/// What was measured of decoding.
pub struct Tokens {
    /// Steps of one token for every sequence.
    pub timed: Timed,
    /// Whether they were replayed from CUDA graphs.
    pub captured: bool,
    /// Number of parameters, frozen tables included.
    pub parameters: u64,
}

/// Builds the cell's model on `device` and times the generation of the cell's number of tokens from the first position
/// on.
///
/// # Errors
/// What libtorch reports, out of memory first of all.
pub fn measure(cell: &Cell, device: Device) -> Result<Tokens> {
    let _no_grad = tch::no_grad_guard();
    let mut parameters = Parameters::new(SEED, device, cell.train.precision.stored());
    let decoder = Decoder::new(&mut parameters, &cell.model, &cell.attention, cell.vocabulary);
    let greedy = GreedyDecoder::new(&decoder, cell.train.precision.compute(), cell.length(), !cell.eager);
    let mut decoding = Decoding { cell, greedy, device, done: cell.new };
    // Whatever is recorded for some of the positions is recorded in the second pass over them.
    let timing = Timing { warmup: cell.timing.warmup.max(2 * cell.new as u32), ..cell.timing };
    let timed = timing.measure_rounds_of(cell.new as u32, &mut decoding)?;
    Ok(Tokens { timed, captured: decoding.greedy.captured(), parameters: parameters.counts().total })
}

struct Decoding<'a> {
    cell: &'a Cell,
    greedy: GreedyDecoder<'a>,
    device: Device,
    done: i64,
}

/// Operations by formula of one token of every sequence: the mean of the positions that are generated.
pub fn flops(cell: &Cell) -> f64 {
    let step = |visible| {
        let sizes = (cell.batch as u64, cell.length() as u64, visible as u64);
        step_flops(&cell.model, &cell.attention, Vocabularies::joint(cell.vocabulary), sizes) as f64
    };
    // They grow linearly from position to position.
    (step(1) + step(cell.new)) / 2.0
}

impl Stepper for Decoding<'_> {
    fn step(&mut self) -> Result<()> {
        if self.done == self.cell.new {
            self.restart()?;
        }
        self.done += 1;
        self.greedy.step()
    }

    fn wait(&self) -> Result<()> {
        wait_for(self.device);
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.done = 0;
        self.greedy.reset(self.cell.batch)
    }
}
