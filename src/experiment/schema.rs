//! The whole of a configuration: the rooms' option structs under the names of the TOML.

use crate::attention::options::AttentionOptions;
use crate::data::options::{DataOptions, TokenizerOptions};
use crate::decode::options::DecodeOptions;
use crate::model::options::ModelOptions;
use crate::runs::is_name;
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
    /// `[decode]`.
    #[serde(default)]
    #[garde(dive)]
    pub decode: DecodeOptions,
}

impl Experiment {
    /// One name for what its self-attentions are: a kind, or the runs of layers of a hybrid.
    pub fn kind(&self) -> String {
        self.attention.label(self.model.depth())
    }

    /// The name of a run that is given none: `<kind>-s<seed>`.
    pub fn default_run(&self) -> String {
        let run = |kind: &str| format!("{kind}-s{}", self.seed);
        let named = run(&self.kind());
        if is_name(&named) { named } else { run("hybrid") }
    }

    /// Whether sources and targets have one table of embeddings, where there are both.
    pub fn shares_embeddings(&self) -> bool {
        self.model.share_embeddings.unwrap_or(self.tokenizer.joint)
    }
}

fn default_seed() -> u64 {
    1
}
