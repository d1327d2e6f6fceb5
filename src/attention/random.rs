//! The Random Synthesizer (arXiv 2005.00743, section 3.2): `B = R`, one trained matrix per head.
//!
//! R is `[heads, max_length, max_length]`, each layer its own, shared by the batch, as in the authors' code
//! (mesh-tensorflow, mode `random`). Shorter inputs take its top-left corner; longer ones are refused. The scale of
//! R at the start is an option, because no source states the paper's.

use super::score_source::{Queries, ScoreSource};
use super::scores::{Scores, rows_of};
use super::variant::{Dimensions, Variant};
use crate::parameters::Init;
use tch::Tensor;

/// What the kind tells of itself.
pub const VARIANT: Variant = Variant {
    name: "random",
    causal: true,
    padding: true,
    length_bound: true,
    batch_independent: true,
    whole_table: true,
    trained: true,
    reads_query: |_| false,
    reads_keys: false,
    parameters: |_, dimensions| elements(dimensions),
    flops: |_, _, _| 0,
    build: |scope, options, dimensions| {
        let init = Init::Normal(options.random.init_std);
        Box::new(Random::new(scope.enter("random").tensor("r", &shape(dimensions), init)))
    },
};

/// Shape of R.
pub(super) fn shape(dimensions: Dimensions) -> [i64; 3] {
    [dimensions.heads, dimensions.max_length, dimensions.max_length]
}

/// Number of elements of R.
pub(super) fn elements(dimensions: Dimensions) -> u128 {
    shape(dimensions).into_iter().map(|n| n as u128).product()
}

/// A matrix of scores per head, trained or not.
pub(super) struct Random {
    r: Tensor, // [heads, max_length, max_length]
}

impl Random {
    /// Scores from `r` `[heads, max_length, max_length]`.
    pub(super) fn new(r: Tensor) -> Self {
        Self { r }
    }
}

impl ScoreSource for Random {
    fn scores(&self, queries: &Queries<'_>, _keys: Option<&Tensor>, m: i64) -> Scores {
        // Never rounded to bfloat16: R is a sum of many small updates, and its softmax is taken in float32.
        let rows = rows_of(&self.r, 1, queries.first, queries.count);
        let table = rows_of(&rows, 2, 0, m).unsqueeze(0); // [1, heads, N, M]
        Scores::of_table(table)
    }
}
