//! From an experiment to a model with its data on a device.

use super::texts::Texts;
use crate::data::batches::BatchSize;
use crate::data::datasets;
use crate::data::options::TokenizerKind;
use crate::data::pairs::{Keep, PairSplits};
use crate::data::splits::Splits;
use crate::data::tokenizer::{StoredTokenizer, Tokenizer};
use crate::experiment::Experiment;
use crate::kernels;
use crate::libtorch::context;
use crate::memory::available_bytes;
use crate::model::size::{Size, model_size, training_bytes};
use crate::model::{Decoder, EncoderDecoder, Vocabularies};
use crate::parameters::Parameters;
use crate::refuse;
use crate::runs::{Environment, regular};
use crate::tasks::Task;
use crate::tasks::corpus::{self, Corpus, CorpusOptions};
use crate::tasks::language_modeling::LanguageModeling;
use crate::tasks::options::TaskKind;
use crate::tasks::pair_corpus::{self, PairCorpus, PairCorpusOptions};
use crate::tasks::sequence_to_sequence::{self, SequenceToSequence, vocabularies};
use crate::train::options::kept_numbers;
use crate::train::state::ComputedOn;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use tch::Device;

/// Refuses a model whose training cannot fit into the device's memory, before anything is allocated.
pub fn check_size(experiment: &Experiment, device: Device) -> Result<()> {
    let size = least_size(experiment);
    let kept = kept_numbers(&experiment.optimizer, &experiment.train);
    let needed = training_bytes(size, kept, u128::from(experiment.train.precision.bytes()));
    let Some(available) = available_bytes(device) else { return Ok(()) };
    if needed > u128::from(available) {
        let gib = |bytes: u128| bytes as f64 / (1u64 << 30) as f64;
        refuse!(
            "the model has {} parameters and training needs at least {:.1} GiB (weights, gradients and {kept} \
             more numbers for each, with optimizer.kind = \"{}\"); {} has {:.1} GiB available: lower model.d_model, \
             model.layers, model.max_length or the attention's own widths",
            size.total,
            gib(needed),
            experiment.optimizer.kind.name(),
            crate::device::label(device),
            gib(u128::from(available))
        );
    }
    Ok(())
}

/// The numbers of parameters, or the least of them: most vocabularies are not known before the text is read.
pub fn least_size(experiment: &Experiment) -> Size {
    let texts = match experiment.tokenizer.kind {
        TokenizerKind::Byte | TokenizerKind::Bpe => 256,
        TokenizerKind::Unigram | TokenizerKind::Word | TokenizerKind::Char => 1,
    };
    let special = match experiment.task.kind.has_sources() {
        true => pair_corpus::SPECIAL.len(),
        false => corpus::special(&experiment.data).len(),
    };
    let vocabularies = Vocabularies::alike(texts + special as i64, experiment.shares_embeddings());
    model_size(&experiment.model, &experiment.attention, vocabularies)
}

/// Builds the experiment's task with initial weights, over its texts.
///
/// # Errors
/// Texts that the task cannot use.
pub fn task(
    experiment: &Experiment,
    texts: &Texts,
    tokenizer: &StoredTokenizer,
    device: Device,
) -> Result<Box<dyn Task>> {
    kernels::switch(experiment.train.kernels);
    let parameters = parameters(experiment, device);
    let models = (&experiment.model, &experiment.attention);
    let (objective, graphs) = (experiment.train.objective(), experiment.train.cuda_graph);
    match texts {
        Texts::Streams(splits) => {
            let corpus = corpus(experiment, splits, tokenizer)?;
            let tokenizer = tokenizer.tokenizer()?.clone();
            let task = LanguageModeling::new(parameters, models, tokenizer, corpus, (objective, graphs))?;
            Ok(Box::new(task.with_recompute(experiment.train.recompute)))
        }
        Texts::Pairs(splits) => {
            let corpus = pair_corpus(experiment, splits, tokenizer)?;
            let (task, decode) = (experiment.task.clone(), experiment.decode.clone());
            let options = sequence_to_sequence::Options { task, decode, objective, graphs };
            let tokenizers = tokenizer.tokenizers.clone();
            let task = SequenceToSequence::new(parameters, models, tokenizers, corpus, options)?;
            Ok(Box::new(task.with_recompute(experiment.train.recompute)))
        }
    }
}

fn parameters(experiment: &Experiment, device: Device) -> Parameters {
    Parameters::new(experiment.seed, device, experiment.train.precision.stored())
}

/// Text as rows of tokens.
fn corpus(experiment: &Experiment, splits: &Splits, tokenizer: &StoredTokenizer) -> Result<Corpus> {
    let options = CorpusOptions {
        data: &experiment.data,
        tokenizer,
        longest: experiment.model.max_length as usize,
        batch: batch_size(experiment),
        seed: experiment.seed,
        folder: &tokens_folder(),
    };
    Corpus::new(splits, &options)
}

/// Pairs as rows of tokens.
fn pair_corpus(experiment: &Experiment, splits: &PairSplits, tokenizer: &StoredTokenizer) -> Result<PairCorpus> {
    let options = PairCorpusOptions {
        data: &experiment.data,
        tokenizer,
        joint: experiment.tokenizer.joint,
        longest: experiment.model.max_length as usize,
        keep: keep(experiment.task.kind),
        batch: batch_size(experiment),
        seed: experiment.seed,
        folder: &tokens_folder(),
    };
    PairCorpus::new(splits, &options)
}

/// What stays of a source that is too long: the newest turns of a dialogue, the beginning of any other text.
pub fn keep(kind: TaskKind) -> Keep {
    match kind {
        TaskKind::Dialogue => Keep::Last,
        TaskKind::LanguageModeling | TaskKind::Translation | TaskKind::Summarization => Keep::First,
    }
}

/// Where token files and trained tokenizers are kept for other runs: what lies there is made anew where it is absent.
pub fn tokens_folder() -> PathBuf {
    datasets::root().join(".tokens")
}

/// Builds the experiment's language model with initial weights, without any data.
pub fn language_model(experiment: &Experiment, tokenizer: &Tokenizer, device: Device) -> (Parameters, Decoder) {
    let mut parameters = parameters(experiment, device);
    let vocabulary = tokenizer.vocab_size() as i64;
    let decoder = Decoder::new(&mut parameters, &experiment.model, &experiment.attention, vocabulary);
    (parameters, decoder)
}

/// Builds the experiment's encoder-decoder with initial weights, without any data.
///
/// # Errors
/// Another number of vocabularies than `tokenizer.joint` says.
pub fn encoder_decoder(
    experiment: &Experiment,
    tokenizer: &StoredTokenizer,
    device: Device,
) -> Result<(Parameters, EncoderDecoder)> {
    tokenizer.check_joint(experiment.tokenizer.joint)?;
    let mut parameters = parameters(experiment, device);
    let vocabularies = vocabularies(&tokenizer.tokenizers, &experiment.model);
    let model = EncoderDecoder::new(&mut parameters, &experiment.model, &experiment.attention, vocabularies);
    Ok((parameters, model))
}

/// Reads the `tokenizer.json` of the run in `folder`, and compares it with the hash in `environment.json`. Where there is
/// no such file nothing is compared, and that is said.
///
/// # Errors
/// A file that is absent, was not written by synth, or is not the one that the run began with, by its path; an
/// `environment.json` that cannot be read.
pub fn run_tokenizer(folder: &Path) -> Result<StoredTokenizer> {
    let path = folder.join("tokenizer.json");
    let json = regular::read_text(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let tokenizer = StoredTokenizer::read(json).with_context(|| path.display().to_string())?;
    let environment = folder.join("environment.json");
    if !fs::exists(&environment).with_context(|| format!("cannot read {}", environment.display()))? {
        tracing::warn!("no {}: whether tokenizer.json is the run's own is not known", environment.display());
        return Ok(tokenizer);
    }
    if let Some(expected) = Environment::read(&environment)?.tokenizer_sha256
        && expected != tokenizer.sha256
    {
        bail!(
            "{} is not the one that the run began with: its SHA-256 is {}, expected {expected}; restore it",
            path.display(),
            tokenizer.sha256
        );
    }
    Ok(tokenizer)
}

/// The size of a micro-batch.
fn batch_size(experiment: &Experiment) -> BatchSize {
    let train = &experiment.train;
    match train.batch_tokens {
        Some(tokens) => BatchSize::Tokens(tokens as usize),
        None => BatchSize::Rows(train.batch_size.unwrap_or(32) as usize),
    }
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
