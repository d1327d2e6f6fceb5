//! The tables `[train]` and, in a file of its own, `[optimizer]` of a configuration.

mod optimizer;

use garde::Validate;
pub use optimizer::*;
use serde::{Deserialize, Serialize};

/// The table `[train]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// Updates. Exactly one of `steps` and `epochs` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub steps: Option<u64>,
    /// Passes over the train split.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.000001)))]
    pub epochs: Option<f64>,
    /// Stop cleanly, all saved, after so many minutes of this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0)))]
    pub max_minutes: Option<f64>,
    /// Blocks per micro-batch. At most one of `batch_size` and `batch_tokens` is given; 32 without either.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub batch_size: Option<i64>,
    /// Tokens per micro-batch, rounded down to whole blocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub batch_tokens: Option<i64>,
    /// Begin with the weights of another run, `RUN_DIR[:checkpoint]`: those that fit by name and shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub init_from: Option<String>,
    /// Micro-batches per update; the gradient is that of one large batch.
    #[garde(range(min = 1))]
    pub accumulate: i64,
    /// How much of the weights' moving average goes on at each update; 0 = none is kept.
    #[garde(range(min = 0.0, max = 0.9999999))]
    pub ema: f64,
    /// The share of the target's probability that all tokens get alike (label smoothing, arXiv 1512.00567); 0 = none.
    #[garde(range(min = 0.0, max = 0.99))]
    pub label_smoothing: f64,
    /// What the square of log Σ exp(logits) counts beside the loss (z-loss, arXiv 2204.02311); 0 = nothing.
    #[garde(range(min = 0.0))]
    pub z_loss: f64,
    /// The arithmetic of the products.
    #[garde(skip)]
    pub precision: Precision,
    /// The same bytes on CUDA, at a cost; always so on the CPU.
    #[garde(skip)]
    pub deterministic: bool,
    /// On CUDA each step is recorded once and replayed; no effect on the CPU.
    #[garde(skip)]
    pub cuda_graph: bool,
    /// On CUDA own kernels and timed products run where they can, else plain operations; no effect on the CPU.
    #[garde(skip)]
    pub kernels: bool,
    /// Blocks keep what they were given alone and are computed again in the backward pass.
    #[garde(skip)]
    pub recompute: bool,
    /// Updates between evaluations on the validation split; 0 = at the end only.
    #[garde(skip)]
    pub eval_every: u64,
    /// Batches of the validation split that an evaluation in training reads; 0 = all.
    #[garde(skip)]
    pub eval_batches: u64,
    /// Evaluations in training write outputs for sources, too, and measure them; without effect on language models.
    #[garde(skip)]
    pub eval_generate: bool,
    /// Updates between train rows.
    #[garde(range(min = 1))]
    pub log_every: u64,
    /// Updates between checkpoints; 0 = at the end only.
    #[garde(skip)]
    pub checkpoint_every: u64,
    /// Newest checkpoints that stay, besides `best`.
    #[garde(range(min = 1))]
    pub keep: usize,
    /// As many of the newest checkpoints stay, and their mean is what is measured and generated with; 0 = none.
    #[garde(skip)]
    pub average: usize,
    /// A checkpoint of the weights before the first update, which stays.
    #[garde(skip)]
    pub save_initial: bool,
    /// Write which rows stood in which micro-batch: `batches.jsonl`.
    #[garde(skip)]
    pub log_batches: bool,
    /// Rows of the validation split that evaluations in training continue, to be read.
    #[garde(range(max = 10_000))]
    pub samples: usize,
    /// Tokens of such a continuation at most, and of the row's beginning before it.
    #[garde(range(min = 1, max = 100_000))]
    pub sample_tokens: usize,
    /// Write events for TensorBoard: `tensorboard/`.
    #[garde(skip)]
    pub tensorboard: bool,
    /// Stop after so many evaluations without a better one; 0 = never.
    #[garde(skip)]
    pub patience: u64,
    /// What the best checkpoint is the best of.
    #[garde(skip)]
    pub best: BestOptions,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            steps: None,
            epochs: None,
            max_minutes: None,
            batch_size: None,
            batch_tokens: None,
            init_from: None,
            accumulate: 1,
            ema: 0.0,
            label_smoothing: 0.0,
            z_loss: 0.0,
            precision: Precision::Fp32,
            deterministic: false,
            cuda_graph: true,
            kernels: true,
            recompute: false,
            eval_every: 500,
            eval_batches: 0,
            eval_generate: true,
            log_every: 50,
            checkpoint_every: 500,
            keep: 1,
            average: 0,
            save_initial: false,
            log_batches: false,
            samples: 0,
            sample_tokens: 64,
            tensorboard: false,
            patience: 0,
            best: BestOptions::default(),
        }
    }
}

/// `train.best`: a metric of the validation rows and whether more or less of it is better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BestOptions {
    /// `loss`, `perplexity`, or a metric of the task (`bits_per_byte`, `accuracy`).
    pub metric: String,
    /// Which end is better.
    pub mode: BestMode,
}

impl Default for BestOptions {
    fn default() -> Self {
        Self { metric: "loss".into(), mode: BestMode::Min }
    }
}

/// `train.best.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BestMode {
    /// Less is better.
    Min,
    /// More is better.
    Max,
}

/// `train.precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// float32 throughout.
    Fp32,
    /// Products in bfloat16; weights, norms, softmax and loss in float32, and the residual stream unless told otherwise.
    Bf16,
    /// float64 throughout, for tests.
    Fp64,
}
