//! What a task is: its data, its loss, its metrics.

pub mod corpus;
pub mod feed;
pub mod language_modeling;
pub mod options;
pub mod pair_corpus;
pub mod samples;

use crate::attention::{Pass, Path};
use crate::model::vocabulary_loss::Loss;
use crate::parameters::Parameters;
use crate::runs::{Sample, Split};
use anyhow::Result;
use feed::HostBatch;
use samples::SampleRequest;
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

    /// Rows and tokens per row of the largest micro-batches.
    fn largest_micro_batch(&self) -> (u64, u64);

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
    fn metric_names(&self) -> &'static [&'static str];

    /// Measures a split without dropout. `request.watch` is called before each batch with the numbers of
    /// batches done and in all; the evaluation is given up, with `None`, once it answers false.
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
    /// Told of progress; answers whether to go on.
    pub watch: &'a mut dyn FnMut(u64, u64) -> bool,
}

/// What was measured on a split.
#[derive(Debug, Clone, PartialEq)]
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
