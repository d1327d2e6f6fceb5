//! A cell: what one process builds and times.

use super::timing::Timing;
use crate::attention::options::AttentionOptions;
use crate::model::Vocabularies;
use crate::model::options::ModelOptions;
use crate::model::size::{Size, model_size, training_bytes};
use crate::train::options::{OptimizerOptions, TrainOptions, kept_numbers};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The seed of weights, tokens and dropout of every cell.
pub const SEED: u64 = 1;

/// What a cell measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// Updates of the weights: forward, loss, backward, clipping, optimizer.
    Train,
    /// Greedy generation, one token of every sequence at a time.
    Decode,
}

impl Measured {
    /// The name in records.
    pub fn name(self) -> &'static str {
        match self {
            Measured::Train => "train",
            Measured::Decode => "decode",
        }
    }
}

/// What one process builds and times: checked options, as an experiment has them. The length is `model.max_length`,
/// the batch `train.batch_size`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What is timed.
    pub measured: Measured,
    /// Sequences of a batch.
    pub batch: i64,
    /// Tokens that there are.
    pub vocabulary: i64,
    /// Tokens that decoding generates, at most `model.max_length`.
    pub new: i64,
    /// `[model]`.
    pub model: ModelOptions,
    /// `[attention]`.
    pub attention: AttentionOptions,
    /// `[optimizer]`.
    pub optimizer: OptimizerOptions,
    /// `[train]`.
    pub train: TrainOptions,
    /// The settings beside those that shape a cell, as `--set` texts.
    pub set: Vec<String>,
    /// Every operation is launched by itself.
    pub eager: bool,
    /// How long is timed.
    pub timing: Timing,
}

impl Cell {
    /// The longest input: of training, every input.
    pub fn length(&self) -> i64 {
        self.model.max_length
    }

    /// The kind of every attention.
    pub fn kind(&self) -> String {
        self.attention.label(self.model.depth())
    }

    /// Numbers of parameters by formula.
    pub fn size(&self) -> Size {
        model_size(&self.model, &self.attention, Vocabularies::joint(self.vocabulary))
    }

    /// Bytes that the cell needs at least: weights, and in training gradients and what the optimizer keeps.
    pub fn least_bytes(&self) -> u128 {
        let bytes = u128::from(self.train.precision.bytes());
        match self.measured {
            Measured::Train => training_bytes(self.size(), kept_numbers(&self.optimizer, &self.train), bytes),
            Measured::Decode => self.size().total.saturating_mul(bytes),
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}x{}", self.measured.name(), self.kind(), self.batch, self.length())
    }
}
