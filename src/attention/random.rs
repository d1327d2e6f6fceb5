//! The Random Synthesizer (arXiv 2005.00743, section 3.2): `B = R`, one trained matrix per head.
//!
//! R is `[heads, max_length, max_length]`, each layer its own, shared by the batch, as in the authors'
//! code. Shorter inputs take its top-left corner; longer ones are refused.

use super::kind::Dimensions;
use super::mixer::Pass;
use super::score_source::ScoreSource;
use super::scores::Scores;
use crate::parameters::{Init, Scope};
use anyhow::{Result, ensure};
use tch::Tensor;

/// The matrix R.
pub struct Random {
    r: Tensor, // [heads, max_length, max_length]
}

impl Random {
    /// The matrix `random.r` below `scope`, which starts normal with `init_std`.
    pub fn new(scope: &mut Scope<'_>, dimensions: Dimensions, init_std: f64) -> Self {
        let shape = [dimensions.heads, dimensions.max_length, dimensions.max_length];
        Self { r: scope.enter("random").tensor("r", &shape, Init::Normal(init_std)) }
    }
}

impl ScoreSource for Random {
    fn scores(&self, x: &Tensor, memory: &Tensor, _pass: Pass) -> Result<Scores> {
        let (n, m, max) = (x.size()[1], memory.size()[1], self.r.size()[1]);
        ensure!(n.max(m) <= max, "an input of {} tokens is longer than model.max_length = {max}", n.max(m));
        // Never rounded to bfloat16: R is a sum of many small updates, and its softmax is taken in float32.
        let corner = self.r.narrow(1, 0, n).narrow(2, 0, m).unsqueeze(0);
        Ok(Scores { bias: Some(corner), ..Scores::default() })
    }
}
