//! The table `[optimizer]` of a configuration.

use super::TrainOptions;
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
