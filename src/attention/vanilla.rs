//! Scaled dot-product attention (arXiv 1706.03762, section 3.2.1): the baseline.
//!
//! `B = (W_q x / √d_h)·(W_k x)ᵀ`. The scale stands at run time and not in the initialiser of W_q:
//! mesh-tensorflow, which had it there, turned that off for Synthesizers because of NaNs.

use super::heads::{project, split_heads};
use super::kind::Dimensions;
use super::mixer::Pass;
use super::score_source::ScoreSource;
use super::scores::Scores;
use crate::parameters::{Init, Scope};
use anyhow::Result;
use tch::Tensor;

/// Queries and keys, both from the input.
pub struct Vanilla {
    query: Tensor, // [heads · d_h, d_model]
    key: Tensor,   // [heads · d_h, d_model]
    heads: i64,
    scale: f64,
}

impl Vanilla {
    /// The projections `query.weight` and `key.weight` below `scope`.
    pub fn new(scope: &mut Scope<'_>, dimensions: Dimensions) -> Self {
        let shape = [dimensions.heads * dimensions.head_width, dimensions.d_model];
        let init = Init::Normal((dimensions.d_model as f64).powf(-0.5));
        let query = scope.enter("query").tensor("weight", &shape, init);
        let key = scope.enter("key").tensor("weight", &shape, init);
        Self { query, key, heads: dimensions.heads, scale: (dimensions.head_width as f64).powf(-0.5) }
    }
}

impl ScoreSource for Vanilla {
    fn scores(&self, x: &Tensor, memory: &Tensor, pass: Pass) -> Result<Scores> {
        let q = split_heads(&project(x, &self.query, pass), self.heads) * self.scale;
        let k = split_heads(&project(memory, &self.key, pass), self.heads);
        Ok(Scores { q: Some(q), k: Some(k), bias: None })
    }
}
