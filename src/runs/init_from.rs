//! What a run took from another before its first update.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The weights that a run began with, `init_from` in `environment.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFrom {
    /// The folder of the run that they are of.
    pub path: String,
    /// Which of its checkpoints, or that it was the mean of several: `step-6`, `average:3`.
    pub checkpoint: String,
    /// SHA-256 of `model.safetensors`; of several, of their bytes one file after the other, ascending.
    pub sha256: String,
    /// What was taken.
    #[serde(flatten)]
    pub taken: Taken,
}

/// The tensors of a model beside those of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The names of the model's tensors that the file has in the same shape.
    pub loaded: Vec<String>,
    /// Of those that it lacks.
    pub missing: Vec<String>,
    /// The names that it has and the model lacks.
    pub left_over: Vec<String>,
    /// Those that both have, in other shapes.
    pub shapes: BTreeMap<String, OtherShape>,
}

/// Two shapes of a tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherShape {
    /// The file's.
    pub found: Vec<i64>,
    /// The model's.
    pub expected: Vec<i64>,
}
