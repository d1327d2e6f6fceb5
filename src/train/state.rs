//! `state.json`: where training stands, but for weights and optimizer.

use super::meter::MeterState;
use crate::kernels::vocabulary_loss::Objective;
use crate::libtorch::context::Algorithms;
use crate::runs::{Best, regular};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The version of a checkpoint's files.
pub const FORMAT: u32 = 1;

/// Where training stands. The position in the data and all randomness follow from seed and step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Version of the checkpoint's files.
    pub format: u32,
    /// Updates done.
    pub step: u64,
    /// Target tokens seen.
    pub tokens: u64,
    /// The best evaluation so far, by `train.best`.
    pub best: Option<Best>,
    /// Evaluations since then.
    pub evaluations_without_better: u64,
    /// The step of the newest evaluation.
    pub evaluated: Option<u64>,
    /// Sums since the newest train row.
    pub meter: MeterState,
    /// Seconds of training up to the newest train row, evaluation and saving left out.
    pub train_s: f64,
    /// Target tokens of those seconds.
    pub timed_tokens: u64,
    /// Seconds in all, over all processes of the run.
    pub elapsed_s: f64,
    /// Where it was computed: the same bytes are promised for the same of these.
    pub computed_on: ComputedOn,
    /// With `train.deterministic` on CUDA, what the choice of algorithms follows from: a resumed run takes it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithms: Option<Algorithms>,
}

/// What the last bits of a result depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputedOn {
    /// `cpu`, or the name of the GPU.
    pub device: String,
    /// Threads of one operation.
    pub threads: u64,
    /// libtorch's version.
    pub libtorch: String,
    /// The NVIDIA driver's version, on a GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}

impl TrainState {
    /// The start of a training towards `objective`.
    pub fn start(computed_on: ComputedOn, objective: Objective) -> Self {
        Self {
            format: FORMAT,
            step: 0,
            tokens: 0,
            best: None,
            evaluations_without_better: 0,
            evaluated: None,
            meter: MeterState::start(objective),
            train_s: 0.0,
            timed_tokens: 0,
            elapsed_s: 0.0,
            computed_on,
            algorithms: None,
        }
    }

    /// Reads a checkpoint's `state.json`.
    ///
    /// # Errors
    /// A file that is absent, damaged, or of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = regular::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        let state: Self = serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
        let found = state.format;
        ensure!(found == FORMAT, "{} has format {found}, this synth reads {FORMAT}", path.display());
        Ok(state)
    }
}
