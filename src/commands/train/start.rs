//! Where a training starts: afresh, or with what a checkpoint holds.

use super::plan::Plan;
use crate::checkpoints::store::{Pointer, name_of};
use crate::checkpoints::{Checkpoints, tensors};
use crate::commands::setup;
use crate::libtorch::context::Algorithms;
use crate::tasks::Task;
use crate::train::ema::{self, Ema};
use crate::train::optimizer::Optimizer;
use crate::train::state::{ComputedOn, TrainState};
use anyhow::{Context, Result};
use std::path::Path;
use tch::Device;

/// The state that a training starts from; the weights are in the task's model.
pub struct Start {
    /// The optimizer with its moments.
    pub optimizer: Optimizer,
    /// The weights' average, where there is one.
    pub ema: Option<Ema>,
    /// Where training stands.
    pub state: TrainState,
    /// The step of the checkpoint, where there is one.
    pub last: Option<u64>,
}

impl Start {
    /// Reads the checkpoint that `last` names into the task's model. Nothing is written: where this fails, the
    /// run's folder stays as it was.
    ///
    /// # Errors
    /// A checkpoint that is damaged or belongs to another model; what libtorch reports.
    pub fn read(plan: &Plan, task: &dyn Task) -> Result<Self> {
        let checkpoints = Checkpoints::new(plan.folder().join("checkpoints"));
        let last = checkpoints.pointed(Pointer::Last)?;
        let train = &plan.experiment.train;
        let optimizer = Optimizer::new(task.parameters(), &plan.experiment.optimizer, train.precision.compute())?;
        let now = setup::computed_on(plan.device);
        let fixed = train.deterministic && plan.device != Device::Cpu;
        let Some(step) = last else {
            let mut state = TrainState::start(now, plan.experiment.train.objective());
            state.algorithms = fixed.then(Algorithms::of_this_process);
            return Ok(Self { optimizer, ema: Ema::new(task.parameters(), train.ema)?, state, last });
        };
        let ema = Ema::new(task.parameters(), train.ema)?;
        let mut state = load(&checkpoints.path(step)?, task, &optimizer, ema.as_ref()).with_context(|| {
            format!("cannot go on from {}; restore it, or start anew with --overwrite or --run NAME", name_of(step))
        })?;
        if state.computed_on != now {
            warn_of_another_machine(&state.computed_on, &now);
            state.computed_on = now;
        }
        state.algorithms = fixed.then(|| state.algorithms.unwrap_or_else(Algorithms::of_this_process));
        tracing::info!("going on from {} in {}", name_of(step), plan.folder().display());
        Ok(Self { optimizer, ema, state, last })
    }
}

/// Fills weights, their average and the optimizer from the checkpoint in `folder`.
fn load(folder: &Path, task: &dyn Task, optimizer: &Optimizer, ema: Option<&Ema>) -> Result<TrainState> {
    let state = TrainState::read(&folder.join("state.json"))?;
    tensors::read_into(&folder.join("model.safetensors"), &task.parameters().named())?;
    tensors::read_into(&folder.join("optimizer.safetensors"), &optimizer.state())?;
    if let Some(average) = ema {
        tensors::read_into(&folder.join(ema::FILE), &average.state())?;
    }
    optimizer.refresh()?;
    Ok(state)
}

fn warn_of_another_machine(before: &ComputedOn, now: &ComputedOn) {
    let told = |on: &ComputedOn| {
        let driver = on.driver.as_ref().map_or(String::new(), |driver| format!(" and driver {driver}"));
        format!("{} with {} threads, libtorch {}{driver}", on.device, on.threads, on.libtorch)
    };
    tracing::warn!("the run was computed on {}, now on {}: the last bits may differ", told(before), told(now));
}
