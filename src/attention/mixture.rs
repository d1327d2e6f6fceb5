//! Mixtures of parts (arXiv 2005.00743, section 3): one softmax over the weighted sum of their scores.
//!
//! `B = Σ α_i·B_i`, where α is the softmax of one number per part, zero at the start, for a layer or for each of its
//! heads: the sum of the α is 1, as the paper says without saying how. mesh-tensorflow mixes two parts with a sigmoid,
//! which is the same for two; its modes without `alpha`, and all of Long Range Arena, are a plain sum:
//! `mixture.weights = "sum"`. What is added to scores from outside (relative positions) stays outside the weights, as
//! in mesh-tensorflow.

use super::kind::Kind;
use super::options::AttentionOptions;
use super::scores::Scores;
use super::variant::Dimensions;
use crate::parameters::{Init, Scope};
use tch::Tensor;

/// The learned weights of a mixture's parts.
pub struct Mixture {
    logits: Tensor, // [parts] or [parts, heads]
}

impl Mixture {
    /// The tensor `mixture` below `scope`, where the kind has one.
    pub fn new(scope: &mut Scope<'_>, kind: Kind, options: &AttentionOptions, dimensions: Dimensions) -> Option<Self> {
        let shape = kind.mixture_shape(options, dimensions.heads)?;
        Some(Self { logits: scope.tensor("mixture", &shape, Init::Zeros) })
    }

    /// The parts' scores, in canonical order, each multiplied by its weight.
    pub fn weigh(&self, parts: Vec<Scores>) -> Vec<Scores> {
        parts.into_iter().zip(self.weights()).map(|(scores, weight)| scores.weighted(&weight)).collect()
    }

    /// What all parts are multiplied by, `[parts]` or `[parts, heads]`.
    pub fn shares(&self) -> Tensor {
        self.logits.softmax(0, None::<tch::Kind>)
    }

    /// What each part is multiplied by, `[1, 1 | heads, 1, 1]`.
    pub fn weights(&self) -> Vec<Tensor> {
        let weights = self.shares();
        (0..weights.size()[0]).map(|part| weights.get(part).view([1, -1, 1, 1])).collect()
    }
}
