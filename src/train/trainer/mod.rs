//! The training loop: update, log, evaluate, save, stop.

mod rows;
mod saving;
mod validation;

use super::ema::Ema;
use super::meter::Meter;
use super::optimizer::Optimizer;
use super::options::{OptimizerOptions, TrainOptions};
use super::schedule::Schedule;
use super::signals::Signals;
use super::state::TrainState;
use super::stepper::{Course, Stepper};
use super::update::Update;
use crate::checkpoints::Checkpoints;
use crate::runs::{Journal, Split, Summary};
use crate::tasks::Task;
use crate::terminal::Bar;
use anyhow::Result;
use serde_json::Map;
use std::time::Instant;

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// All updates done, or no better evaluation for `train.patience`: the reason in the second case.
    Done(Option<String>),
    /// `train.max_minutes` are over; all is saved.
    TimeLimit,
    /// A signal asked to stop; all is saved.
    Signal(i32),
    /// The step that was not finite; the state before it is saved.
    Diverged(String),
}

/// The settings of a training.
pub struct Settings<'a> {
    /// `[train]`.
    pub train: &'a TrainOptions,
    /// `[optimizer]`.
    pub optimizer: &'a OptimizerOptions,
    /// The learning rate of each update.
    pub schedule: Schedule,
    /// The run's seed.
    pub seed: u64,
    /// Updates in all.
    pub steps: u64,
    /// What checkpoints say of the run they belong to.
    pub metadata: serde_json::Value,
}

/// A training under way.
pub struct Trainer<'a> {
    settings: Settings<'a>,
    task: &'a dyn Task,
    optimizer: &'a Optimizer,
    ema: Option<&'a Ema>,
    checkpoints: &'a Checkpoints,
    journal: Journal,
    signals: &'a Signals,
    state: TrainState,
    meter: Meter,
    saved: Option<u64>,
    started: Instant,
    elapsed_before: f64,
    bar: Bar,
}

impl<'a> Trainer<'a> {
    /// A training that goes on from `state`, whose weights, their average and optimizer are loaded; from a checkpoint,
    /// where it is `saved`.
    pub fn new(
        settings: Settings<'a>,
        (task, optimizer, ema): (&'a dyn Task, &'a Optimizer, Option<&'a Ema>),
        (checkpoints, journal): (&'a Checkpoints, Journal),
        signals: &'a Signals,
        (state, saved): (TrainState, bool),
    ) -> Self {
        let meter = Meter::new(task.parameters().device(), state.meter.clone());
        let bar = Bar::new("training", settings.steps, state.step);
        let saved = saved.then_some(state.step);
        let elapsed_before = state.elapsed_s;
        Self {
            settings,
            task,
            optimizer,
            ema,
            checkpoints,
            journal,
            signals,
            state,
            meter,
            saved,
            started: Instant::now(),
            elapsed_before,
            bar,
        }
    }

    /// Trains to one of the endings, at which all is saved.
    ///
    /// # Errors
    /// What the model, libtorch or the file system reports.
    pub fn run(&mut self) -> Result<Ending> {
        if self.settings.train.save_initial && self.state.step == 0 && self.saved.is_none() {
            self.save()?;
        }
        if let Some(ending) = self.catch_up()? {
            return Ok(ending);
        }
        let mut stepper = self.stepper()?;
        while self.state.step < self.settings.steps {
            self.step(&mut stepper)?;
            if let Some(ending) = self.after_step()? {
                return Ok(ending);
            }
        }
        Ok(Ending::Done(None))
    }

    /// Where training stands.
    pub fn state(&self) -> &TrainState {
        &self.state
    }

    /// Writes the last event, which tells how the run ended.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn finish(&mut self, summary: &Summary) -> Result<()> {
        let mut fields = Map::new();
        fields.insert("status".into(), summary.status.name().into());
        fields.insert("reason".into(), summary.reason.clone().into());
        self.journal.event("end", summary.step, fields)
    }

    /// What was due at the checkpoint's step when a process was stopped, and what a larger `train.steps` or a
    /// finished run leaves to do.
    fn catch_up(&mut self) -> Result<Option<Ending>> {
        let step = self.state.step;
        let at_end = step >= self.settings.steps;
        if step == 0 || !(at_end || self.due(self.settings.train.eval_every)) {
            return Ok(None);
        }
        self.after_step()
    }

    /// Updates from here on.
    fn stepper(&self) -> Result<Stepper<'a>> {
        let (train, optimizer, steps) = (self.settings.train, self.settings.optimizer, self.settings.steps);
        let update = Update {
            task: self.task,
            optimizer: self.optimizer,
            ema: self.ema,
            compute: train.precision.compute(),
            accumulates: train.accumulate > 1,
            clip_norm: optimizer.clip_norm,
        };
        let schedule = self.settings.schedule.clone();
        let course = Course {
            seed: self.settings.seed,
            accumulate: train.accumulate as u64,
            first: self.state.step,
            end: steps,
            rate: Box::new(move |step| schedule.rate(step + 1)),
            log: self.journal.takes_batches(),
        };
        Stepper::new(update, course, self.task.parameters().device(), train.cuda_graph)
    }

    fn step(&mut self, stepper: &mut Stepper<'_>) -> Result<()> {
        let begun = Instant::now();
        self.state.tokens += stepper.step(&mut self.meter)?;
        self.state.step += 1;
        self.meter.add_seconds(begun.elapsed().as_secs_f64());
        self.journal.batches(&stepper.take_lines())?;
        self.bar.set(self.state.step);
        Ok(())
    }

    /// Logs, evaluates and saves what is due after a step.
    fn after_step(&mut self) -> Result<Option<Ending>> {
        let train = self.settings.train;
        let at_end = self.state.step >= self.settings.steps;
        if (at_end || self.due(train.log_every))
            && self.meter.steps() > 0
            && let Some(ending) = self.log()?
        {
            return Ok(Some(ending));
        }
        let evaluate = (at_end || self.due(train.eval_every)) && self.state.evaluated != Some(self.state.step);
        let mut better = false;
        if evaluate && self.task.has(Split::Validation) {
            if let Some(ending) = self.check()? {
                return Ok(Some(ending));
            }
            better = self.evaluate()?;
        }
        let ending = self.ending();
        let asked = self.signals.take_save();
        if (better || asked || at_end || ending.is_some() || self.due(train.checkpoint_every))
            && let Some(diverged) = self.save()?
        {
            return Ok(Some(diverged));
        }
        Ok(ending)
    }

    fn ending(&self) -> Option<Ending> {
        let train = self.settings.train;
        if let Some(signal) = self.signals.stop() {
            return Some(Ending::Signal(signal));
        }
        if train.patience > 0 && self.state.evaluations_without_better >= train.patience {
            let metric = &train.best.metric;
            return Some(Ending::Done(Some(format!("no better {metric} in {} evaluations", train.patience))));
        }
        let minutes = self.started.elapsed().as_secs_f64() / 60.0;
        (train.max_minutes.is_some_and(|limit| minutes >= limit) && self.state.step < self.settings.steps)
            .then_some(Ending::TimeLimit)
    }

    fn due(&self, every: u64) -> bool {
        every > 0 && self.state.step.is_multiple_of(every)
    }

    fn rate(&self, step: u64) -> f64 {
        self.settings.schedule.rate(step)
    }

    fn epoch(&self, step: u64) -> f64 {
        let examples = step * self.settings.train.accumulate as u64 * self.task.examples_per_micro_batch();
        examples as f64 / self.task.examples() as f64
    }

    fn elapsed(&self) -> f64 {
        self.elapsed_before + self.started.elapsed().as_secs_f64()
    }
}
