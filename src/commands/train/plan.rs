//! What a training will do, checked before any work starts.

use super::initial::Initial;
use crate::checkpoints::Checkpoints;
use crate::checkpoints::store::Pointer;
use crate::cli::{DeviceChoice, TrainArguments};
use crate::commands::setup;
use crate::commands::texts::Texts;
use crate::data::card::SPLITS;
use crate::data::tokenizer::StoredTokenizer;
use crate::decode::options::DecodeOptions;
use crate::experiment::{self, Experiment, resume};
use crate::metrics::tokenizers::Tokenizer;
use crate::model::options::Architecture;
use crate::refuse;
use crate::runs::{Environment, Mode, RunFolder, Split, Status, Summary};
use crate::train::options::BestOptions;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Device;

/// An experiment, its place and its device.
pub struct Plan {
    /// The resolved experiment.
    pub experiment: Experiment,
    /// Where to compute.
    pub device: Device,
    /// The folder of all results.
    pub results: PathBuf,
    /// The run's name.
    pub run: String,
    /// What to do with a run that is there.
    pub mode: Mode,
    device_choice: DeviceChoice,
}

/// What is learned from.
pub struct Data {
    /// The texts.
    pub texts: Texts,
    /// What cuts them.
    pub tokenizer: StoredTokenizer,
    /// SHA-256 of each text by split, and of the dataset's list by its name.
    pub hashes: BTreeMap<String, String>,
}

impl Plan {
    /// Checks what arguments and configuration show of the run's place.
    ///
    /// # Errors
    /// Refusals.
    pub fn new(arguments: &TrainArguments, experiment: Experiment) -> Result<Self> {
        let device = crate::device::resolve(arguments.device)?;
        let mode = match (arguments.resume, arguments.overwrite) {
            (true, _) => Mode::Resume,
            (_, true) => Mode::Overwrite,
            _ => Mode::New,
        };
        let plan = Self {
            run: arguments.run.clone().unwrap_or_else(|| experiment.default_run()),
            results: arguments.results.clone(),
            device_choice: arguments.device,
            experiment,
            device,
            mode,
        };
        plan.warn_of_unused_keys();
        RunFolder::check(&plan.results, &plan.experiment.name, &plan.run, mode)?;
        if let Some(saved) = plan.saved()? {
            resume::check_resume(&saved, &plan.experiment)?;
        }
        Ok(plan)
    }

    /// Keys that are meant for a part which the architecture lacks, or for what the task does not do.
    fn warn_of_unused_keys(&self) {
        let (attention, model) = (&self.experiment.attention, &self.experiment.model);
        if model.architecture != Architecture::Decoder {
            return;
        }
        let keys = [
            ("attention.encoder", attention.encoder.is_some()),
            ("attention.cross", attention.cross.is_some()),
            ("model.encoder_layers", model.encoder_layers.is_some()),
            ("model.decoder_layers", model.decoder_layers.is_some()),
            ("model.share_embeddings", model.share_embeddings.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, given)| *given) {
            tracing::warn!("{key} has no effect: model.architecture = \"decoder\" has no encoder");
        }
        let task = &self.experiment.task;
        if task.bleu_tokenize != Tokenizer::default() || task.lowercase {
            tracing::warn!("task.bleu_tokenize and task.lowercase have no effect: there are no outputs to measure");
        }
        if self.experiment.decode != DecodeOptions::default() {
            tracing::warn!("[decode] has no effect: task.kind = \"language-modeling\" searches for no outputs");
        }
    }

    /// Checks that the data is there and that the model fits.
    ///
    /// # Errors
    /// Refusals.
    pub fn check_needs(&self) -> Result<()> {
        Texts::check(&self.experiment)?;
        if let (Some(text), false) = (&self.experiment.train.init_from, self.has_checkpoint()?) {
            Initial::find(text)?;
        }
        setup::check_size(&self.experiment, self.device)
    }

    /// The run's folder.
    pub fn folder(&self) -> PathBuf {
        self.results.join(&self.experiment.name).join(&self.run)
    }

    /// The command that goes on with this run.
    pub fn resume_command(&self) -> String {
        let quoted = |path: &Path| format!("'{}'", path.display().to_string().replace('\'', r"'\''"));
        let mut command = format!("synth train {} --resume", quoted(&self.folder().join("config.toml")));
        command += &format!(" --results {} --run {}", quoted(&self.results), self.run);
        if self.device_choice != DeviceChoice::Auto {
            command += &format!(" --device {}", self.device_choice);
        }
        command
    }

    /// The summary of a run that was asked to go on and has nothing left to do.
    pub fn finished(&self) -> Result<Option<Summary>> {
        let path = self.folder().join("summary.json");
        let Some(saved) = self.saved()? else { return Ok(None) };
        if !path.exists() {
            return Ok(None);
        }
        let summary = Summary::read(&path)?;
        let reached = resume::is_reached(&saved, &self.experiment, summary.step)?;
        Ok((summary.status == Status::Done && reached).then_some(summary))
    }

    /// Reads the texts, and builds the tokenizer or takes the run's own.
    ///
    /// # Errors
    /// Unusable texts; texts that are not those that the run to resume began with.
    pub fn read_data(&self) -> Result<Data> {
        let texts = Texts::load(&self.experiment, &SPLITS)?;
        self.check_splits(&texts.splits())?;
        let hashes = texts.hashes();
        let tokenizer = if self.has_checkpoint()? {
            self.check_hashes(&hashes)?;
            setup::run_tokenizer(&self.folder())?
        } else {
            texts.tokenizer(&self.experiment)?
        };
        Ok(Data { texts, tokenizer, hashes })
    }

    /// Refuses data without a text to learn from, and what looks at evaluations where there is nothing to evaluate.
    fn check_splits(&self, found: &[&str]) -> Result<()> {
        if !found.contains(&Split::Train.name()) {
            refuse!("the data has no train split to learn from; it has {}", found.join(", "));
        }
        let train = &self.experiment.train;
        let wanted = [
            ("train.patience", train.patience > 0),
            ("train.samples", train.samples > 0),
            ("train.best", train.best != BestOptions::default()),
        ];
        for (key, given) in wanted {
            if given && !found.contains(&Split::Validation.name()) {
                refuse!("{key}: the data has no validation split to measure on; leave it out");
            }
        }
        Ok(())
    }

    /// Whether the run goes on from a checkpoint.
    ///
    /// # Errors
    /// A file `last` that names none.
    pub fn has_checkpoint(&self) -> Result<bool> {
        if self.mode != Mode::Resume {
            return Ok(false);
        }
        Ok(Checkpoints::new(self.folder().join("checkpoints")).pointed(Pointer::Last)?.is_some())
    }

    fn check_hashes(&self, now: &BTreeMap<String, String>) -> Result<()> {
        let path = self.folder().join("environment.json");
        let saved = Environment::read(&path)?.datasets;
        if let Some((name, hash)) = saved.iter().find(|(name, hash)| now.get(*name) != Some(hash)) {
            let found = now.get(name).map_or("absent", String::as_str);
            bail!(
                "the data changed since this run began: {name} had SHA-256 {hash} and is now {found}; restore it, or \
                 train anew with --overwrite or another --run"
            );
        }
        Ok(())
    }

    /// The experiment of the run that is to be resumed, where there is one.
    fn saved(&self) -> Result<Option<Experiment>> {
        let path = self.folder().join("config.toml");
        if self.mode != Mode::Resume || !path.exists() {
            return Ok(None);
        }
        let saved = experiment::load(&path, &[]);
        match saved {
            Ok(loaded) => Ok(Some(loaded.experiment)),
            Err(error) => refuse!("cannot resume, the run's configuration is damaged: {error:#}"),
        }
    }
}
