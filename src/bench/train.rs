//! Whole updates of a model on random text, as training does them.

use super::cell::{Cell, SEED};
use super::limit::wait_for;
use super::random_text::RandomText;
use super::timing::{Stepper, Timed};
use crate::exit::Diverged;
use crate::model::size::decoder_flops;
use crate::parameters::Parameters;
use crate::tasks::Task;
use crate::train::meter::{Meter, MeterState};
use crate::train::optimizer::AdamW;
use crate::train::schedule::learning_rate;
use crate::train::update::Update;
use anyhow::Result;
use std::collections::BTreeSet;
use tch::Device;

/// A model under training.
pub struct Training<'a> {
    cell: &'a Cell,
    task: RandomText,
    optimizer: AdamW,
    meter: Meter,
    step: u64,
}

impl<'a> Training<'a> {
    /// Builds the cell's model, batch and optimizer on `device`.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(cell: &'a Cell, device: Device) -> Result<Self> {
        let parameters = Parameters::new(SEED, device, cell.train.precision.stored());
        let task = RandomText::new(parameters, (&cell.model, &cell.attention), cell.vocabulary, cell.batch, SEED)?;
        let optimizer = AdamW::new(task.parameters(), &cell.optimizer)?;
        Ok(Self { cell, task, optimizer, meter: Meter::new(device, MeterState::default()), step: 0 })
    }

    /// Times updates.
    ///
    /// # Errors
    /// What libtorch reports; [`Diverged`] where a loss or gradient was not finite: such steps change nothing, so that
    /// their time would be none of training.
    pub fn measure(&mut self) -> Result<Timed> {
        let timed = self.cell.timing.measure(self)?;
        let reading = self.meter.read()?;
        if reading.skipped > 0 {
            let step = reading.steps + 1;
            return Err(Diverged(format!("the loss or the gradient of step {step} was not finite")).into());
        }
        Ok(timed)
    }

    /// How steps run.
    pub fn run(&self) -> &'static str {
        "eager"
    }

    /// Number of parameters, frozen tables included.
    pub fn parameters(&self) -> u64 {
        self.task.parameters().counts().total
    }

    /// The paths of attention, each once, joined by commas.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn attention_path(&self) -> Result<String> {
        let paths = self.task.attention_paths(self.cell.train.precision.compute())?;
        let names: BTreeSet<&str> = paths.iter().map(|path| path.name()).collect();
        Ok(Vec::from_iter(names).join(","))
    }
}

/// Operations of an update by formula: three times those of the forward pass of all its micro-batches.
pub fn flops(cell: &Cell) -> f64 {
    let shape = (cell.batch as u64, cell.length() as u64);
    let forward = decoder_flops(&cell.model, &cell.attention, cell.vocabulary as u64, shape);
    3.0 * forward as f64 * cell.train.accumulate as f64
}

/// Tokens of an update.
pub fn tokens(cell: &Cell) -> f64 {
    cell.batch as f64 * cell.length() as f64 * cell.train.accumulate as f64
}

impl Stepper for Training<'_> {
    fn step(&mut self) -> Result<()> {
        let update = Update {
            task: &self.task,
            optimizer: &self.optimizer,
            compute: self.cell.train.precision.compute(),
            seed: SEED,
            accumulate: self.cell.train.accumulate as u64,
            clip_norm: self.cell.optimizer.clip_norm,
        };
        let steps = self.cell.train.steps.unwrap_or(u64::MAX);
        update.run(self.step, learning_rate(&self.cell.optimizer, self.step + 1, steps), &mut self.meter)?;
        self.step += 1;
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        wait_for(self.task.parameters().device());
        Ok(())
    }
}
