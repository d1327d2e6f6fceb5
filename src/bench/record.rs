//! A row of a benchmark: the cell's shape, how it ended, what was measured, and what that depends on.

use super::cell::{Cell, Measured};
use super::facts::Facts;
use crate::runs::Status;
use crate::runs::cells::significant;
use serde::{Deserialize, Serialize};

/// A row, in the order of its columns. Fields that the peers' lines have too mean the same there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was asked for.
    #[serde(flatten)]
    pub shape: Shape,
    /// How the cell ended.
    pub status: Status,
    /// Why it ended so, where it is not done.
    pub reason: Option<String>,
    /// What was measured; empty where the cell is not done.
    #[serde(flatten)]
    pub figures: Figures,
    /// The device's limit in 10¹² operations per second: see [`limit`](super::limit).
    pub limit_tflops: Option<f64>,
    /// `tflops` / `limit_tflops`.
    pub share_of_limit: Option<f64>,
    /// Where and with what it was measured.
    #[serde(flatten)]
    pub facts: Facts,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// `train` or `decode`.
    pub task: Measured,
    /// The architecture: `decoder`.
    pub model: String,
    /// The kind of attention.
    pub attention: String,
    /// The length of every sequence; in decoding, of what is kept of it at most.
    pub seq_len: i64,
    /// Sequences of a batch.
    pub batch: i64,
    /// Tokens that decoding generates.
    pub new: Option<i64>,
    /// Width of the residual stream.
    pub d_model: i64,
    /// Heads of every attention.
    pub heads: i64,
    /// Width of the feed-forward layer.
    pub d_ff: i64,
    /// Number of blocks.
    pub layers: i64,
    /// Tokens that there are.
    pub vocab: i64,
    /// Dropout outside attention; 0 in decoding.
    pub dropout: f64,
    /// Dropout of the attention weights; 0 in decoding.
    pub attention_dropout: f64,
    /// The arithmetic of the products.
    pub precision: String,
    /// Rank of `factorized-random`.
    pub rank: i64,
    /// Whether the same bytes were asked for.
    pub deterministic: bool,
    /// Further settings, as `--set` texts, joined by spaces.
    pub set: String,
}

/// What was measured of a cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// `captured` in a CUDA graph, or `eager`.
    pub run: Option<String>,
    /// The paths that attention takes in training, joined by commas.
    pub attention_path: Option<String>,
    /// Tokens per second: in training of all sequences' tokens, in decoding of generated ones.
    pub tokens_per_s: Option<f64>,
    /// Milliseconds of an update, or of one generated token of every sequence: the median of the rounds.
    pub step_ms: Option<f64>,
    /// In training, milliseconds of an update on batches that are made and copied meanwhile, where `step_ms` is on one
    /// that is there already.
    pub loaded_step_ms: Option<f64>,
    /// (slowest − fastest round) / median.
    pub spread: Option<f64>,
    /// Steps of each round.
    pub steps: Option<u32>,
    /// The most memory in GiB: in tensors on a GPU, of the process on the CPU.
    pub peak_gib: Option<f64>,
    /// Parameters, frozen tables included.
    pub params: Option<u64>,
    /// Floating-point operations of a step by formula.
    pub flops: Option<f64>,
    /// `flops` over the time of a step, in 10¹² per second.
    pub tflops: Option<f64>,
    /// Seconds from the process's start to the end of its first step.
    pub start_s: Option<f64>,
    /// Seconds of the warm-up.
    pub warmup_s: Option<f64>,
}

impl Shape {
    /// The shape of a cell.
    pub fn of(cell: &Cell) -> Self {
        let decoding = cell.measured == Measured::Decode;
        let drops = |probability: f64| if decoding { 0.0 } else { probability };
        Self {
            task: cell.measured,
            model: "decoder".into(),
            attention: cell.kind(),
            seq_len: cell.length(),
            batch: cell.batch,
            new: decoding.then_some(cell.new),
            d_model: cell.model.d_model,
            heads: cell.model.heads,
            d_ff: cell.model.d_ff(),
            layers: cell.model.layers,
            vocab: cell.vocabulary,
            dropout: drops(cell.model.dropout),
            attention_dropout: drops(cell.attention.dropout.unwrap_or(cell.model.dropout)),
            precision: cell.train.precision.name().into(),
            rank: cell.attention.factorized_random.rank,
            deterministic: cell.train.deterministic,
            set: cell.set.join(" "),
        }
    }
}

impl Record {
    /// The row of a cell that ended so; `limit` is the device's, in 10¹² operations per second.
    pub fn new(
        cell: &Cell,
        (status, reason): (Status, Option<String>),
        figures: Figures,
        limit: Option<f64>,
        facts: &Facts,
    ) -> Self {
        let share = figures.tflops.zip(limit).map(|(tflops, limit)| significant(tflops / limit, 4));
        let limit_tflops = limit.map(|limit| significant(limit, 5));
        let (shape, facts) = (Shape::of(cell), facts.clone());
        Self { shape, status, reason, figures, limit_tflops, share_of_limit: share, facts }
    }
}
