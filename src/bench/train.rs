//! Whole updates of a model on random text, as training does them.

use super::cell::{Cell, SEED};
use super::limit::wait_for;
use super::random_pairs::RandomPairs;
use super::random_text::RandomText;
use super::timing::{self, Timed};
use crate::exit::Diverged;
use crate::model::Vocabularies;
use crate::model::options::Architecture;
use crate::model::size::forward_flops;
use crate::panics;
use crate::parameters::Parameters;
use crate::tasks::Task;
use crate::train::ema::Ema;
use crate::train::meter::{Meter, MeterState};
use crate::train::optimizer::Optimizer;
use crate::train::schedule::Schedule;
use crate::train::stepper::{Course, Stepper};
use crate::train::update::Update;
use anyhow::Result;
use std::collections::BTreeSet;
use tch::Device;

/// What was measured of updates.
pub struct Updates {
    /// Updates on a batch that is there already.
    pub resident: Timed,
    /// Updates on batches that are made, copied and then computed with, as in training.
    pub loaded: Timed,
    /// Whether they were replayed from a CUDA graph.
    pub captured: bool,
    /// Number of parameters, frozen tables included.
    pub parameters: u64,
    /// The paths of attention, each once, joined by commas, where they could be asked for.
    pub attention_path: Option<String>,
}

/// Builds the cell's model and optimizer on `device` and times updates.
///
/// # Errors
/// What libtorch reports, out of memory first of all; [`Diverged`] where a loss or gradient was not finite: such steps
/// change nothing, so that their time would be none of training.
pub fn measure(cell: &Cell, device: Device) -> Result<Updates> {
    let objective = cell.train.objective();
    let task = task(cell, device)?;
    let optimizer = Optimizer::new(task.parameters(), &cell.optimizer, cell.train.precision.compute())?;
    let ema = Ema::new(task.parameters(), cell.train.ema)?;
    let mut meter = Meter::new(device, MeterState::start(objective));
    let mut stepper =
        Stepper::new(update(cell, task.as_ref(), (&optimizer, ema.as_ref())), course(cell), device, !cell.eager)?;
    let mut updates = Loaded { stepper: &mut stepper, meter: &mut meter, device };
    let loaded = cell.timing.measure(&mut updates)?;
    let mut updates = Resident(updates);
    let resident = Timed { first_ended: loaded.first_ended, ..cell.timing.measure(&mut updates)? };
    let captured = stepper.captured();
    let reading = meter.read()?;
    if reading.skipped > 0 {
        let step = reading.steps + 1;
        return Err(Diverged(format!("the loss or the gradient of step {step} was not finite")).into());
    }
    // Asked last: asking takes memory of its own.
    let attention_path = panics::catch(|| attention_path(cell, task.as_ref())).ok();
    Ok(Updates { resident, loaded, captured, parameters: task.parameters().counts().total, attention_path })
}

/// The cell's model, and batches for it.
fn task(cell: &Cell, device: Device) -> Result<Box<dyn Task>> {
    let parameters = Parameters::new(SEED, device, cell.train.precision.stored());
    let (options, objective) = ((&cell.model, &cell.attention), cell.train.objective());
    let (rows, again) = (cell.batch as usize, cell.train.recompute);
    Ok(match cell.model.architecture {
        Architecture::Decoder => {
            let task = RandomText::new(parameters, options, objective, cell.vocabulary, rows, SEED)?;
            Box::new(task.with_recompute(again))
        }
        Architecture::EncoderDecoder => {
            let task = RandomPairs::new(parameters, options, objective, cell.vocabulary, rows, SEED);
            Box::new(task.with_recompute(again))
        }
    })
}

fn update<'a>(cell: &Cell, task: &'a dyn Task, (optimizer, ema): (&'a Optimizer, Option<&'a Ema>)) -> Update<'a> {
    Update {
        task,
        optimizer,
        ema,
        compute: cell.train.precision.compute(),
        accumulates: cell.train.accumulate > 1,
        clip_norm: cell.optimizer.clip_norm,
    }
}

fn course(cell: &Cell) -> Course {
    let schedule = Schedule::new(&cell.optimizer, cell.model.d_model, cell.train.steps.unwrap_or(u64::MAX));
    let rate = Box::new(move |step| schedule.rate(step + 1));
    Course { seed: SEED, accumulate: cell.train.accumulate as u64, first: 0, end: u64::MAX, rate, log: false }
}

fn attention_path(cell: &Cell, task: &dyn Task) -> Result<String> {
    let paths = task.attention_paths(cell.train.precision.compute())?;
    let names: BTreeSet<&str> = paths.iter().map(|path| path.name()).collect();
    Ok(Vec::from_iter(names).join(","))
}

/// Operations of an update by formula: three times those of the forward pass of all its micro-batches.
pub fn flops(cell: &Cell) -> f64 {
    let length = cell.length() as u64;
    let shape = (cell.batch as u64, length, length);
    let forward = forward_flops(&cell.model, &cell.attention, Vocabularies::joint(cell.vocabulary), shape);
    3.0 * forward as f64 * cell.train.accumulate as f64
}

/// Tokens of an update.
pub fn tokens(cell: &Cell) -> f64 {
    cell.batch as f64 * cell.length() as f64 * cell.train.accumulate as f64
}

/// Updates on batches that come as in training.
struct Loaded<'a, 'b> {
    stepper: &'a mut Stepper<'b>,
    meter: &'a mut Meter,
    device: Device,
}

/// Updates on the newest of these batches, again and again.
struct Resident<'a, 'b>(Loaded<'a, 'b>);

impl timing::Stepper for Loaded<'_, '_> {
    fn step(&mut self) -> Result<()> {
        self.stepper.step(self.meter).map(drop)
    }

    fn wait(&self) -> Result<()> {
        wait_for(self.device);
        Ok(())
    }
}

impl timing::Stepper for Resident<'_, '_> {
    fn step(&mut self) -> Result<()> {
        self.0.stepper.repeat(self.0.meter)
    }

    fn wait(&self) -> Result<()> {
        self.0.wait()
    }
}
