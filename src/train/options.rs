//! The tables `[optimizer]` and `[train]` of a configuration.

use garde::Validate;
use serde::{Deserialize, Serialize};

/// The table `[optimizer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerOptions {
    /// The update rule.
    #[garde(skip)]
    pub kind: OptimizerKind,
    /// The largest learning rate.
    #[garde(range(min = 0.0))]
    pub lr: f64,
    /// AdamW's decay rates of the first and second moment.
    #[garde(inner(range(min = 0.0, max = 0.9999999)))]
    pub betas: [f64; 2],
    /// AdamW's ε.
    #[garde(range(min = 0.0))]
    pub eps: f64,
    /// Decoupled weight decay (arXiv 1711.05101) of every tensor with two or more axes.
    #[garde(range(min = 0.0))]
    pub weight_decay: f64,
    /// Largest global L2 norm of the gradient; 0 = no clipping.
    #[garde(range(min = 0.0))]
    pub clip_norm: f64,
    /// How much of SGD's earlier steps goes on in each.
    #[garde(range(min = 0.0, max = 0.9999999))]
    pub momentum: f64,
    /// SGD's momentum as Nesterov has it.
    #[garde(skip)]
    pub nesterov: bool,
    /// `[optimizer.adafactor]`.
    #[garde(dive)]
    pub adafactor: AdafactorOptions,
    /// `[optimizer.schedule]`.
    #[garde(dive)]
    pub schedule: ScheduleOptions,
}

impl Default for OptimizerOptions {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adamw,
            lr: 1e-3,
            betas: [0.9, 0.98],
            eps: 1e-8,
            weight_decay: 0.01,
            clip_norm: 1.0,
            momentum: 0.0,
            nesterov: false,
            adafactor: AdafactorOptions::default(),
            schedule: ScheduleOptions::default(),
        }
    }
}

/// Numbers that training keeps at least for each trained one, besides the weight and its gradient.
pub fn kept_numbers(optimizer: &OptimizerOptions, train: &TrainOptions) -> u64 {
    let moments = match optimizer.kind {
        OptimizerKind::Adamw => 2,
        OptimizerKind::Adafactor => u64::from(optimizer.adafactor.beta1 > 0.0),
        OptimizerKind::Sgd => u64::from(optimizer.momentum > 0.0),
    };
    moments + u64::from(train.ema > 0.0)
}

/// `optimizer.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay (arXiv 1711.05101).
    Adamw,
    /// Adafactor (arXiv 1804.04235).
    Adafactor,
    /// Stochastic gradient descent, with momentum or without.
    Sgd,
}

impl OptimizerKind {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            OptimizerKind::Adamw => "adamw",
            OptimizerKind::Adafactor => "adafactor",
            OptimizerKind::Sgd => "sgd",
        }
    }
}

/// The table `[optimizer.adafactor]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct AdafactorOptions {
    /// The second moments' decay at update t is 1 − t^−`decay_exponent`.
    #[garde(range(min = 0.0))]
    pub decay_exponent: f64,
    /// Largest root mean square of a tensor's update, before the rate; 0 = any.
    #[garde(range(min = 0.0))]
    pub clip_threshold: f64,
    /// The rate is relative to the root mean square of the tensor itself.
    #[garde(skip)]
    pub scale_by_parameter: bool,
    /// A tensor's second moment is factored where its second-largest axis has so many entries.
    #[garde(range(min = 1))]
    pub min_factored: i64,
    /// Decay rate of the mean of steps; 0 = none is kept.
    #[garde(range(min = 0.0, max = 0.9999999))]
    pub beta1: f64,
    /// What is added to squared gradients, and the least root mean square that a tensor counts as.
    #[garde(inner(range(min = 0.0)))]
    pub eps: [f64; 2],
}

impl Default for AdafactorOptions {
    fn default() -> Self {
        Self {
            decay_exponent: 0.8,
            clip_threshold: 1.0,
            scale_by_parameter: true,
            min_factored: 128,
            beta1: 0.0,
            eps: [1e-30, 1e-3],
        }
    }
}

/// The table `[optimizer.schedule]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleOptions {
    /// The curve after the warm-up.
    #[garde(skip)]
    pub kind: ScheduleKind,
    /// Updates over which the rate grows to the peak, which is `optimizer.lr`.
    #[garde(skip)]
    pub warmup: u64,
    /// What the warm-up begins at, as a share of the peak.
    #[garde(range(min = 0.0, max = 1.0))]
    pub warmup_start: f64,
    /// What cosine and straight line end at, as a share of the peak.
    #[garde(range(min = 0.0, max = 1.0))]
    pub final_fraction: f64,
    /// `inverse-sqrt` only: the peak is constant · d_model^−½ · warmup^−½ instead of `optimizer.lr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0)))]
    pub constant: Option<f64>,
}

impl Default for ScheduleOptions {
    fn default() -> Self {
        Self { kind: ScheduleKind::Cosine, warmup: 0, warmup_start: 0.0, final_fraction: 0.1, constant: None }
    }
}

/// `optimizer.schedule.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// `optimizer.lr` throughout.
    Constant,
    /// Half a cosine down to `final_fraction` at the last step.
    Cosine,
    /// A straight line down to `final_fraction` at the last step.
    Linear,
    /// √(warmup / step).
    InverseSqrt,
    /// Half a cosine up to the peak at the end of the warm-up, and another down to almost nothing (arXiv 1708.07120).
    OneCycle,
}

impl ScheduleKind {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            ScheduleKind::Constant => "constant",
            ScheduleKind::Cosine => "cosine",
            ScheduleKind::Linear => "linear",
            ScheduleKind::InverseSqrt => "inverse-sqrt",
            ScheduleKind::OneCycle => "one-cycle",
        }
    }
}

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
