//! The whole of a configuration: the rooms' option structs under the names of the TOML.

use crate::attention::options::AttentionOptions;
use crate::data::options::{DataOptions, TokenizerOptions};
use crate::model::options::ModelOptions;
use crate::tasks::options::TaskOptions;
use crate::train::options::{OptimizerOptions, TrainOptions};
use garde::Validate;
use serde::{Deserialize, Serialize};

/// An experiment: what `synth train` needs to know, and what `config.toml` keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Names the folder of results.
    #[garde(skip)]
    pub name: String,
    /// Seed of everything random.
    #[serde(default = "default_seed")]
    #[garde(skip)]
    pub seed: u64,
    /// `[task]`.
    #[garde(dive)]
    pub task: TaskOptions,
    /// `[data]`.
    #[garde(dive)]
    pub data: DataOptions,
    /// `[tokenizer]`.
    #[serde(default)]
    #[garde(dive)]
    pub tokenizer: TokenizerOptions,
    /// `[model]`.
    #[serde(default)]
    #[garde(dive)]
    pub model: ModelOptions,
    /// `[attention]`.
    #[serde(default)]
    #[garde(dive)]
    pub attention: AttentionOptions,
    /// `[optimizer]`.
    #[serde(default)]
    #[garde(dive)]
    pub optimizer: OptimizerOptions,
    /// `[train]`.
    #[garde(dive)]
    pub train: TrainOptions,
}

fn default_seed() -> u64 {
    1
}
