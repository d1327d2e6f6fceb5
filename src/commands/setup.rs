//! From an experiment to a model with its data on a device.

use crate::data::options::TokenizerKind;
use crate::data::splits::Splits;
use crate::data::tokenizer::Tokenizer;
use crate::experiment::Experiment;
use crate::libtorch::context;
use crate::memory::available_bytes;
use crate::model::Decoder;
use crate::model::size::{Size, decoder_size, training_bytes};
use crate::parameters::Parameters;
use crate::refuse;
use crate::runs::regular;
use crate::tasks::Task;
use crate::tasks::language_modeling::LanguageModeling;
use crate::tasks::options::TaskKind;
use crate::train::state::ComputedOn;
use anyhow::{Context, Result};
use std::path::Path;
use tch::Device;

/// Refuses a model whose training cannot fit into the device's memory, before anything is allocated.
pub fn check_size(experiment: &Experiment, device: Device) -> Result<()> {
    let size = least_size(experiment);
    let needed = training_bytes(size, u128::from(experiment.train.precision.bytes()));
    let Some(available) = available_bytes(device) else { return Ok(()) };
    if needed > u128::from(available) {
        let gib = |bytes: u128| bytes as f64 / (1u64 << 30) as f64;
        refuse!(
            "the model has {} parameters and training needs at least {:.1} GiB (weights, gradients, AdamW's \
             two moments); {} has {:.1} GiB available: lower model.d_model, model.layers, model.max_length or the attention's own widths",
            size.total,
            gib(needed),
            crate::device::label(device),
            gib(u128::from(available))
        );
    }
    Ok(())
}

/// The numbers of parameters, or the least of them: a char tokenizer's vocabulary is not known before the text is read.
pub fn least_size(experiment: &Experiment) -> Size {
    let vocabulary = if experiment.tokenizer.kind == TokenizerKind::Byte { 256 } else { 1 };
    decoder_size(&experiment.model, &experiment.attention, vocabulary)
}

/// Builds the experiment's task with initial weights.
///
/// # Errors
/// Texts that the task cannot use.
pub fn task(experiment: &Experiment, splits: Splits, tokenizer: Tokenizer, device: Device) -> Result<Box<dyn Task>> {
    let parameters = Parameters::new(experiment.seed, device, experiment.train.precision.stored());
    match experiment.task.kind {
        TaskKind::LanguageModeling => {
            let options = (&experiment.model, &experiment.attention);
            let rows = rows(experiment);
            let graphs = experiment.train.cuda_graph;
            Ok(Box::new(LanguageModeling::new(parameters, options, tokenizer, splits, experiment.seed, rows, graphs)?))
        }
    }
}

/// Builds the experiment's language model with initial weights, without any data.
pub fn language_model(experiment: &Experiment, tokenizer: &Tokenizer, device: Device) -> (Parameters, Decoder) {
    let mut parameters = Parameters::new(experiment.seed, device, experiment.train.precision.stored());
    let vocabulary = tokenizer.vocab_size() as i64;
    match experiment.task.kind {
        TaskKind::LanguageModeling => {
            let decoder = Decoder::new(&mut parameters, &experiment.model, &experiment.attention, vocabulary);
            (parameters, decoder)
        }
    }
}

/// Reads a run's `tokenizer.json`.
///
/// # Errors
/// A file that is absent or was not written by synth, by its path.
pub fn read_tokenizer(path: &Path) -> Result<Tokenizer> {
    let json = regular::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    Tokenizer::from_json(&json).with_context(|| path.display().to_string())
}

/// Blocks per micro-batch.
fn rows(experiment: &Experiment) -> usize {
    let train = &experiment.train;
    let rows = train.batch_size.or_else(|| train.batch_tokens.map(|tokens| tokens / experiment.model.max_length));
    rows.unwrap_or(32) as usize
}

/// Updates in all: `train.steps`, or as many as `train.epochs` take.
pub fn steps(experiment: &Experiment, task: &dyn Task) -> u64 {
    let train = &experiment.train;
    train.steps.unwrap_or_else(|| {
        let per_update = task.examples_per_micro_batch() * train.accumulate as u64;
        // Divided once: a quotient on the way could round above a whole number of updates.
        (train.epochs.unwrap_or(1.0) * task.examples() as f64 / per_update as f64).ceil() as u64
    })
}

/// What the last bits of a result depend on, here and now.
pub fn computed_on(device: Device) -> ComputedOn {
    ComputedOn {
        device: match device {
            Device::Cuda(_) => crate::device::name(device).unwrap_or_else(|| "cuda".into()),
            _ => "cpu".into(),
        },
        threads: tch::get_num_threads() as u64,
        libtorch: context::loaded_version(),
        driver: matches!(device, Device::Cuda(_)).then(crate::device::driver_version).flatten(),
    }
}
