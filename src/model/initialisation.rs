//! How a model's tensors start.

use super::options::{Initialisation, ModelOptions};
use crate::parameters::{Init, Projected};

impl Initialisation {
    /// How a linear layer starts.
    pub fn projections(self) -> fn(Projected) -> Init {
        match self {
            Initialisation::FanIn => |layer| Init::Normal((layer.inputs as f64).powf(-0.5) * shrink(layer)),
            Initialisation::Gpt2 => |layer| Init::Normal(0.02 * shrink(layer)),
            Initialisation::Xavier => |layer| Init::Uniform((6.0 / (layer.inputs + layer.outputs) as f64).sqrt()),
        }
    }
}

/// What is added to a residual stream starts smaller the more is added (GPT-2).
fn shrink(layer: Projected) -> f64 {
    (layer.summands as f64).powf(-0.5)
}

impl ModelOptions {
    /// Standard deviation at the start of token and position embeddings, and of an output projection of its own.
    pub fn embedding_std(&self) -> f64 {
        match self.init {
            // GPT-2's.
            Initialisation::FanIn | Initialisation::Gpt2 => 0.02,
            Initialisation::Xavier => (self.d_model as f64).powf(-0.5),
        }
    }
}
