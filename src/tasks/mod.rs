//! What a task is: its data, its loss, its metrics.

pub mod corpus;
pub mod feed;
pub mod language_modeling;
pub mod measuring;
pub mod options;
pub mod outputs;
pub mod pair_corpus;
pub mod samples;
pub mod sequence_to_sequence;

use crate::attention::{Pass, Path};
use crate::model::vocabulary_loss::Loss;
use crate::parameters::Parameters;
use crate::runs::{Sample, Split};
use anyhow::Result;
use feed::HostBatch;
use samples::SampleRequest;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// What the training loop and evaluation need of a task.
pub trait Task {
    /// The model's tensors.
    fn parameters(&self) -> &Parameters;

    /// What it is trained on.
    fn batches(&self) -> Arc<dyn Batches>;

    /// Training examples: an epoch sees each once. Where micro-batches are made anew each epoch of rows of like lengths,
    /// a micro-batch is one.
    fn examples(&self) -> u64;

    /// Examples of a micro-batch.
    fn examples_per_micro_batch(&self) -> u64;

    /// The shape of the largest micro-batches.
    fn largest_micro_batch(&self) -> MicroBatch;

    /// Which share of the batches of each split holds no target, where rows are filled up to a common length.
    fn padding(&self) -> BTreeMap<String, f64> {
        BTreeMap::new()
    }

    /// The sums over the micro-batch's targets of what is minimised and of the negative log-likelihood in nats: float32
    /// scalars (float64 in float64) on the model's device. `arrays` are those of the task's batches, in their order.
    ///
    /// Nothing in it waits for the device, and shapes follow from the arrays' shapes alone: it is recorded.
    ///
    /// # Errors
    /// Inputs that the model cannot take.
    fn loss(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<Loss>;

    /// The names of the task's own columns in `metrics.csv` that evaluations fill.
    fn metric_names(&self) -> Vec<&'static str>;

    /// Measures a split without dropout. `request.watch` is called before each batch, and each step of an
    /// output, with how much is done and in all; the evaluation is given up, with `None`, once it answers false.
    ///
    /// # Errors
    /// A split that the data lacks.
    fn evaluate(&self, split: Split, request: Request<'_>) -> Result<Option<Evaluation>>;

    /// How the model goes on with the beginnings of rows of the validation split; `None` once the request's watch answered
    /// false. A task whose model writes nothing has none. No random numbers are drawn.
    ///
    /// # Errors
    /// A split that the data lacks; logits that are not finite.
    fn samples(&self, _request: SampleRequest<'_>) -> Result<Option<Vec<Sample>>> {
        Ok(Some(Vec::new()))
    }

    /// The path of each layer's attention in training, where products are computed in `compute`.
    ///
    /// # Errors
    /// Inputs that the model cannot take.
    fn attention_paths(&self, compute: Kind) -> Result<Vec<Path>>;

    /// Whether there is such a split.
    fn has(&self, split: Split) -> bool;
}

/// The shape of a micro-batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MicroBatch {
    /// Its rows.
    pub rows: u64,
    /// Tokens of a source; 0 where there are none.
    pub source: u64,
    /// Tokens of a target, or of a row where there are no sources.
    pub target: u64,
}

/// Training batches, made on a thread of their own.
pub trait Batches: Send + Sync {
    /// Micro-batch number `index`, counted from the start of training; a pure function of the seed and `index`.
    ///
    /// # Errors
    /// Data that cannot be read any more.
    fn micro_batch(&self, index: u64) -> Result<HostBatch>;
}

/// How a split is to be measured.
pub struct Request<'a> {
    /// The kind in which products are computed.
    pub compute: Kind,
    /// Batches to read; 0 = all.
    pub max_batches: u64,
    /// Keep what was predicted.
    pub predictions: bool,
    /// Write outputs for sources, and measure them; without effect on a task that has none.
    pub generate: bool,
    /// Told of progress; answers whether to go on.
    pub watch: &'a mut dyn FnMut(u64, u64) -> bool,
}

/// What was measured on a split.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// Targets measured.
    pub tokens: u64,
    /// Mean negative log-likelihood in nats per token.
    pub loss: f64,
    /// exp(loss).
    pub perplexity: f64,
    /// exp of the nats per white-space word and end of line.
    pub word_perplexity: Option<f64>,
    /// Bits per byte of the original text.
    pub bits_per_byte: Option<f64>,
    /// The task's other metrics.
    pub metrics: BTreeMap<String, f64>,
    /// What was predicted, where asked for.
    pub predictions: Option<String>,
    /// What each of the metrics depends on, where that is told.
    pub signatures: BTreeMap<String, String>,
    /// What was written for sources, where that was asked for.
    pub generation: Option<Generation>,
}

/// How the outputs for a split's sources came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Generation {
    /// Outputs.
    pub outputs: u64,
    /// Those of empty sources, which are empty.
    pub empty_sources: u64,
    /// Sources of the split that are longer than the model reads, and were cut.
    pub cut_sources: u64,
    /// Those that reached their greatest length without an end.
    pub unended: u64,
    /// Tokens of an output in the mean, the end not counted.
    pub mean_tokens: f64,
    /// Score of an output in the mean.
    pub mean_score: f64,
}

impl Generation {
    /// In words, what is nothing left out.
    pub fn told(&self) -> String {
        let Self { outputs, empty_sources, cut_sources, unended, mean_tokens, .. } = self;
        let counts =
            [(empty_sources, "of empty sources"), (cut_sources, "sources were cut"), (unended, "without an end")];
        let counts = counts.into_iter().filter(|(count, _)| **count > 0);
        let counts: String = counts.map(|(count, what)| format!(", {count} {what}")).collect();
        format!("{outputs}, of {mean_tokens:.1} tokens in the mean{counts}")
    }
}

impl Evaluation {
    /// A figure by its name in `metrics.csv`.
    pub fn figure(&self, name: &str) -> Option<f64> {
        match name {
            "loss" => Some(self.loss),
            "perplexity" => Some(self.perplexity),
            "word_perplexity" => self.word_perplexity,
            "bits_per_byte" => self.bits_per_byte,
            _ => self.metrics.get(name).copied(),
        }
    }
}
