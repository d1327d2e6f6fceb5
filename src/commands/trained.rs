//! A run that was trained, opened to be used.

use super::setup;
use crate::checkpoints::store::{Pointer, name_of, step_of};
use crate::checkpoints::{Checkpoints, tensors};
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

/// A trained run, one of its checkpoints, and where to compute.
pub struct Trained {
    /// The run's folder.
    pub folder: RunFolder,
    /// What it trained.
    pub experiment: Experiment,
    /// Where to compute.
    pub device: Device,
    /// The step of the checkpoint.
    pub step: u64,
    /// Which of its weights are used.
    pub weights: WeightsChoice,
}

/// What of a run is asked for.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
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
    pub fn open(run: &Path, sets: &[String], device: DeviceChoice, choice: Choice<'_>) -> Result<Self> {
        let folder = RunFolder::open(run)?;
        let experiment = experiment::load_for_evaluation(&folder.config(), sets)?.experiment;
        let device = crate::device::resolve(device)?;
        let weights = chosen_weights(&experiment, choice.weights)?;
        let step = chosen_step(&folder, choice.checkpoint)?;
        Ok(Self { folder, experiment, device, step, weights })
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
        let checkpoint = Checkpoints::new(self.folder.checkpoints()).path(self.step)?;
        let hint = "choose another with --checkpoint, or train anew";
        let mut read = tensors::read_into(&checkpoint.join("model.safetensors"), &parameters.named());
        if self.weights == WeightsChoice::Ema {
            let trained = parameters.trainable().map(|one| (one.name.clone(), one.tensor.shallow_clone()));
            let trained = Vec::from_iter(trained);
            read = read.and_then(|()| tensors::read_into(&checkpoint.join(ema::FILE), &trained));
        }
        read.with_context(|| format!("cannot use {}; {hint}", name_of(self.step)))
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

/// The checkpoint asked for; by default the best, else the last.
fn chosen_step(folder: &RunFolder, choice: Option<&str>) -> Result<u64> {
    let checkpoints = Checkpoints::new(folder.checkpoints());
    let step = match choice {
        None => match checkpoints.pointed(Pointer::Best)? {
            None => checkpoints.pointed(Pointer::Last)?,
            best => best,
        },
        Some("best") => checkpoints.pointed(Pointer::Best)?,
        Some("last") => checkpoints.pointed(Pointer::Last)?,
        Some(name) => match step_of(name) {
            Some(step) => match checkpoints.path(step) {
                Ok(_) => Some(step),
                Err(error) => refuse!("--checkpoint {name}: {error:#}"),
            },
            None => refuse!("--checkpoint {name}: expected best, last or a name such as step-100"),
        },
    };
    match step {
        Some(step) => Ok(step),
        None => refuse!(
            "{} has no checkpoint {}yet: train it first",
            folder.path().display(),
            choice.map_or(String::new(), |name| format!("{name:?} "))
        ),
    }
}
