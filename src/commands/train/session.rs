//! A training in its claimed folder: what is written before, after, and where it fails.

use super::plan::{Data, Plan};
use super::setup;
use super::start::Start;
use crate::checkpoints::Checkpoints;
use crate::checkpoints::store::Pointer;
use crate::commands::Build;
use crate::experiment;
use crate::libtorch::{context, memory};
use crate::memory::peak_memory_mib;
use crate::model::size::forward_flops;
use crate::panics;
use crate::runs::{
    Environment, Flops, InitFrom, Journal, JournalOptions, Metrics, RunFolder, Split, Status, Summary, atomic,
    environment, index, metrics,
};
use crate::tasks::sequence_to_sequence::vocabularies;
use crate::tasks::{MicroBatch, Task};
use crate::train::objective;
use crate::train::schedule::Schedule;
use crate::train::signals::{self, Signals};
use crate::train::state::{FORMAT, TrainState};
use crate::train::trainer::{Ending, Settings, Trainer};
use anyhow::{Context, Result};
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use tch::Device;

/// A training that has its folder.
pub struct Session<'a> {
    plan: &'a Plan,
    task: &'a dyn Task,
    data: Data,
    init_from: Option<InitFrom>,
    build: Build,
    folder: RunFolder,
    checkpoints: Checkpoints,
}

impl<'a> Session<'a> {
    /// Claims the run's folder. The weights of the task's model are those of `init_from` already.
    ///
    /// # Errors
    /// Refusals of folders that are not free.
    pub fn claim(
        plan: &'a Plan,
        task: &'a dyn Task,
        data: Data,
        init_from: Option<InitFrom>,
        build: Build,
    ) -> Result<Self> {
        let folder = RunFolder::create(&plan.results, &plan.experiment.name, &plan.run, plan.mode)?;
        let checkpoints = Checkpoints::new(folder.checkpoints());
        Ok(Self { plan, task, data, init_from, build, folder, checkpoints })
    }

    /// Trains to an ending and writes the summary.
    ///
    /// # Errors
    /// What the model, libtorch or the file system reports.
    pub fn train(&self, start: Start, signals: &Signals) -> Result<Summary> {
        let experiment = &self.plan.experiment;
        let Start { optimizer, ema, state, last } = start;
        self.prepare_device(&state)?;
        self.checkpoints.discard_after(last)?;
        if let Some(best) = &state.best {
            self.checkpoints.point(Pointer::Best, best.step)?;
        }
        // First: of files that cannot go on nothing else is changed.
        let mut journal = self.journal(last)?;
        self.write_records()?;
        let event = if last.is_some() { "resume" } else { "start" };
        journal.event(event, state.step, self.event_fields())?;
        let steps = setup::steps(experiment, self.task);
        let settings = Settings {
            train: &experiment.train,
            optimizer: &experiment.optimizer,
            schedule: Schedule::new(&experiment.optimizer, experiment.model.d_model, steps),
            seed: experiment.seed,
            steps,
            metadata: json!({ "format": FORMAT, "kind": experiment.kind() }),
        };
        let files = (&self.checkpoints, journal);
        let (trained, state) = ((self.task, &optimizer, ema.as_ref()), (state, last.is_some()));
        let mut trainer = Trainer::new(settings, trained, files, signals, state);
        let ending = trainer.run()?;
        let summary = self.summary(&ending, trainer.state())?;
        trainer.finish(&summary)?;
        summary.write(&self.folder.summary())?;
        Ok(summary)
    }

    /// Enters the run into the experiment's `runs.csv` and `runs.json`.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn index(&self) -> Result<()> {
        index::rebuild(self.folder.experiment())
    }

    fn prepare_device(&self, state: &TrainState) -> Result<()> {
        if let Device::Cuda(index) = self.plan.device {
            memory::reset_cuda_peak(index)?;
        }
        if let Some(algorithms) = &state.algorithms {
            algorithms.fix()?;
        }
        Ok(())
    }

    /// Writes what tells how the run is made. How an earlier process ended goes: the run is under way.
    fn write_records(&self) -> Result<()> {
        for ended in [self.folder.summary(), self.folder.log()] {
            if ended.exists() {
                std::fs::remove_file(&ended).with_context(|| format!("cannot remove {}", ended.display()))?;
            }
        }
        atomic::write(&self.folder.config(), experiment::config_toml(&self.plan.experiment)?.as_bytes())?;
        atomic::write(&self.folder.tokenizer(), self.data.tokenizer.json.as_bytes())?;
        self.environment()?.write(&self.folder.environment())
    }

    fn environment(&self) -> Result<Environment> {
        let experiment = &self.plan.experiment;
        let paths = self.task.attention_paths(experiment.train.precision.compute())?;
        let path = distinct(paths.iter().map(|path| path.name()));
        tracing::info!(
            "attention {} takes the {path} path in training on {}",
            experiment.kind(),
            crate::device::label(self.plan.device)
        );
        for (split, share) in self.task.padding() {
            tracing::info!("{:.1}% of the {split} batches is padding", 100.0 * share);
        }
        let dropout = experiment.attention.dropout.unwrap_or(experiment.model.dropout);
        let layers = experiment.attention.all_layers(experiment.model.depth());
        let shared = layers.iter().map(|(kind, _)| kind.capabilities().batch_independent);
        let masks = distinct(shared.map(|shared| if shared { "shared" } else { "per-sample" }));
        Ok(Environment {
            synth: env!("CARGO_PKG_VERSION").into(),
            git_commit: self.build.commit.map(str::to_string),
            libtorch: context::loaded_version(),
            cuda: context::cuda_version(),
            device: crate::device::label(self.plan.device),
            device_name: crate::device::name(self.plan.device),
            threads: tch::get_num_threads() as u64,
            os: std::env::consts::OS.into(),
            arch: std::env::consts::ARCH.into(),
            argv: environment::redact(std::env::args()),
            start_time: environment::now(),
            seed: experiment.seed,
            datasets: self.data.hashes.clone(),
            tokenizer_sha256: Some(self.data.tokenizer.sha256.clone()),
            padding: self.task.padding(),
            parameters: self.task.parameters().counts(),
            flops: Some(self.flops()),
            dropout_mask: (dropout > 0.0).then_some(masks),
            attention_path: path,
            precision: experiment.train.precision.name().into(),
            init_from: self.init_from.clone(),
        })
    }

    /// Operations by formula, of the micro-batches as they are.
    fn flops(&self) -> Flops {
        let experiment = &self.plan.experiment;
        let MicroBatch { rows, source, target } = self.task.largest_micro_batch();
        let vocabularies = vocabularies(&self.data.tokenizer.tokenizers, &experiment.model);
        let shape = (rows, source, target);
        let forward = forward_flops(&experiment.model, &experiment.attention, vocabularies, shape);
        Flops {
            forward_per_token: forward as f64 / (rows * (source + target)) as f64,
            training_step: 3.0 * forward as f64 * experiment.train.accumulate as f64,
        }
    }

    /// The files that grow, begun anew or cut back to the checkpoint of the step `last`.
    fn journal(&self, last: Option<u64>) -> Result<Journal> {
        let train = &self.plan.experiment.train;
        let options = JournalOptions {
            columns: &[&self.task.metric_names()[..], &[objective::COLUMN]].concat(),
            batches: train.log_batches,
            tensorboard: train.tensorboard,
            config: &experiment::config_toml(&self.plan.experiment)?,
        };
        Journal::open(&self.folder, options, last)
    }

    fn event_fields(&self) -> Map<String, serde_json::Value> {
        let mut fields = Map::new();
        fields.insert("time".into(), environment::now().into());
        fields.insert("device".into(), crate::device::label(self.plan.device).into());
        fields
    }

    fn summary(&self, ending: &Ending, state: &TrainState) -> Result<Summary> {
        let (status, reason) = match ending {
            Ending::Done(reason) => (Status::Done, reason.clone()),
            Ending::TimeLimit => (Status::Stopped, Some("train.max_minutes are over".into())),
            Ending::Signal(signal) => (Status::Stopped, Some(signals::name(*signal))),
            Ending::Diverged(reason) => (Status::Diverged, Some(reason.clone())),
        };
        Ok(Summary {
            final_metrics: self.newest_figures(state.evaluated)?,
            best: state.best.clone(),
            tokens_per_second: (state.train_s > 0.0).then(|| state.timed_tokens as f64 / state.train_s),
            peak_memory_mib: peak_memory_mib(self.plan.device),
            elapsed_s: Some(state.elapsed_s),
            ..self.bare_summary(status, reason, state.step)
        })
    }

    /// The figures of the newest evaluation, of this process or one before it: the rows are the truth.
    fn newest_figures(&self, evaluated: Option<u64>) -> Result<BTreeMap<String, Metrics>> {
        let rows = metrics::read(&self.folder.metrics_csv())?;
        let newest = rows.iter().rfind(|row| row.split == Split::Validation && Some(row.step) == evaluated);
        let figures = newest.map(|row| {
            let names = ["loss", "perplexity"].into_iter().chain(self.task.metric_names());
            let figures = names.map(|name| (name.to_string(), row.value(name))).collect();
            (Split::Validation.name().to_string(), figures)
        });
        Ok(figures.into_iter().collect())
    }

    fn bare_summary(&self, status: Status, reason: Option<String>, step: u64) -> Summary {
        Summary {
            run: self.plan.run.clone(),
            status,
            reason,
            kind: self.plan.experiment.kind(),
            seed: self.plan.experiment.seed,
            step,
            final_metrics: BTreeMap::new(),
            best: None,
            parameters: Some(self.task.parameters().counts()),
            tokens_per_second: None,
            peak_memory_mib: None,
            elapsed_s: None,
        }
    }

    /// Leaves what is known of a training that failed. Its own failures, on a full disk say, are only logged:
    /// the first error is the one that the user needs.
    pub fn record_failure(&self, error: &anyhow::Error) {
        let status = if panics::out_of_memory(error) { Status::OutOfMemory } else { Status::Failed };
        let step = self.checkpoints.pointed(Pointer::Last).ok().flatten().unwrap_or(0);
        let summary = self.bare_summary(status, Some(panics::one_line(error)), step);
        let recorded = atomic::write(&self.folder.log(), format!("{error:?}\n").as_bytes())
            .and_then(|()| summary.write(&self.folder.summary()))
            .and_then(|()| index::rebuild(self.folder.experiment()));
        if let Err(second) = recorded {
            tracing::debug!("cannot record the failure: {second:#}");
        }
    }
}

/// Each name once, joined by commas.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> String {
    Vec::from_iter(names.collect::<BTreeSet<_>>()).join(",")
}
