//! A run that was trained, opened to be used.

use super::setup;
use crate::checkpoints::{Checkpoints, Choice, Chosen, mean};
use crate::cli::{DeviceChoice, WeightsChoice};
use crate::data::tokenizer::StoredTokenizer;
use crate::experiment::{self, Experiment};
use crate::parameters::Parameters;
use crate::refuse;
use crate::runs::RunFolder;
use crate::train::ema;
use anyhow::{Context, Result};
use std::path::Path;
use tch::Device;

/// A trained run, one of its checkpoints or the mean of several, and where to compute.
pub struct Trained {
    /// The run's folder.
    pub folder: RunFolder,
    /// What it trained.
    pub experiment: Experiment,
    /// Where to compute.
    pub device: Device,
    /// The checkpoint, or several whose mean is meant.
    pub chosen: Chosen,
    /// Which of its weights are used.
    pub weights: WeightsChoice,
}

/// What of a run is asked for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// `--checkpoint`.
    pub checkpoint: Option<&'a str>,
    /// `--weights`.
    pub weights: Option<WeightsChoice>,
}

impl Trained {
    /// Opens the run in the folder `run`; `sets` change its data.
    ///
    /// # Errors
    /// Refusals of a folder, device, checkpoint or weights that are not there; damaged files.
    pub fn open(run: &Path, sets: &[String], device: DeviceChoice, wanted: Wanted<'_>) -> Result<Self> {
        let folder = RunFolder::open(run)?;
        let experiment = experiment::load_for_evaluation(&folder.config(), sets)?.experiment;
        let device = crate::device::resolve(device)?;
        let weights = chosen_weights(&experiment, wanted.weights)?;
        let chosen = choose(&folder, experiment.train.average, wanted.checkpoint)?;
        Ok(Self { folder, experiment, device, chosen, weights })
    }

    /// What the run's text was cut with.
    ///
    /// # Errors
    /// A file that is absent, was not written by synth, or is not the one that the run began with.
    pub fn tokenizer(&self) -> Result<StoredTokenizer> {
        setup::run_tokenizer(self.folder.path())
    }

    /// Fills `parameters` from the checkpoint; of an average there are the trained tensors alone.
    ///
    /// # Errors
    /// Weights that are damaged or belong to another model.
    pub fn load_weights(&self, parameters: &Parameters) -> Result<()> {
        let checkpoints = Checkpoints::new(self.folder.checkpoints());
        let files = self.chosen.files(&checkpoints, "model.safetensors")?;
        let hint = "choose another with --checkpoint, or train anew";
        let mut read = mean::read_mean_into(&files, &parameters.named());
        if self.weights == WeightsChoice::Ema {
            let trained = parameters.trainable().map(|one| (one.name.clone(), one.tensor.shallow_clone()));
            let files = self.chosen.files(&checkpoints, ema::FILE)?;
            read = read.and_then(|()| mean::read_mean_into(&files, &Vec::from_iter(trained)));
        }
        read.with_context(|| format!("cannot use {}; {hint}", self.chosen.name()))
    }
}

/// The weights asked for; by default the average where there is one.
fn chosen_weights(experiment: &Experiment, choice: Option<WeightsChoice>) -> Result<WeightsChoice> {
    let averages = experiment.train.ema > 0.0;
    match choice {
        Some(WeightsChoice::Ema) if !averages => {
            refuse!(
                "--weights ema: the run has no average of its weights (train.ema = 0); leave it out, or take trained"
            )
        }
        Some(choice) => Ok(choice),
        None if averages => Ok(WeightsChoice::Ema),
        None => Ok(WeightsChoice::Trained),
    }
}

/// The checkpoint asked for; by default the mean that the run asks for, else the best, else the last.
fn choose(folder: &RunFolder, average: usize, name: Option<&str>) -> Result<Chosen> {
    let (choice, asked) = match name {
        None if average > 0 => {
            let asked = format!("train.average = {average} of this run (--checkpoint chooses another)");
            (Some(Choice::Average(average)), asked)
        }
        None => (None, String::new()),
        Some(name) => match name.parse() {
            Ok(choice) => (Some(choice), format!("--checkpoint {name}")),
            Err(expected) => refuse!("--checkpoint {name}: {expected}"),
        },
    };
    match Checkpoints::new(folder.checkpoints()).choose(choice, &asked)? {
        Some(chosen) => Ok(chosen),
        None => refuse!(
            "{} has no checkpoint {}yet: train it first",
            folder.path().display(),
            name.map_or(String::new(), |name| format!("{name:?} "))
        ),
    }
}
