//! The Factorized Random Synthesizer (arXiv 2005.00743, section 3.2): `B = R₁·R₂ᵀ` of rank k.
//!
//! R₁ and R₂ are `[heads, max_length, k]`, each layer its own. k is 8 as in the paper; the authors' codes default to
//! 16 (mesh-tensorflow) and 32 (Long Range Arena). Both start normal with the standard deviation s for which the
//! scores have `init_std`: s⁴·k = init_std².

use super::score_source::{Columns, Queries, ScoreSource};
use super::scores::{Scores, rows_of};
use super::variant::Variant;
use crate::kernels::score_operands::{Part, Source};
use crate::parameters::Init;
use tch::Tensor;

/// What the kind tells of itself.
pub const VARIANT: Variant = Variant {
    name: "factorized-random",
    causal: true,
    padding: true,
    length_bound: true,
    batch_independent: true,
    whole_table: false,
    trained: true,
    reads_query: |_| false,
    reads_keys: false,
    parameters: |options, dimensions| {
        let sizes = [dimensions.heads, dimensions.max_length, options.factorized_random.rank];
        2 * sizes.into_iter().map(|n| n as u128).product::<u128>()
    },
    flops: |options, dimensions, work| work.pairs(work.scored, dimensions, options.factorized_random.rank),
    build: |scope, options, dimensions| {
        let options = &options.factorized_random;
        let std = (options.init_std.powi(2) / options.rank as f64).powf(0.25);
        let shape = [dimensions.heads, dimensions.max_length, options.rank];
        let mut scope = scope.enter("factorized-random");
        let r1 = scope.tensor("r1", &shape, Init::Normal(std));
        let r2 = scope.tensor("r2", &shape, Init::Normal(std));
        Box::new(FactorizedRandom { r1, r2 })
    },
};

/// The two factors.
struct FactorizedRandom {
    r1: Tensor, // [heads, max_length, k]
    r2: Tensor, // [heads, max_length, k]
}

impl ScoreSource for FactorizedRandom {
    fn packed(&self, _columns: &Columns<'_>) -> Option<Part> {
        let table = |table: &Tensor| Source::Table(table.shallow_clone());
        Some(Part { queries: table(&self.r1), keys: table(&self.r2), width: self.r1.size()[2], scale: 1.0 })
    }

    fn scores(&self, queries: &Queries<'_>, _keys: Option<&Tensor>, m: i64) -> Scores {
        let q = rows_of(&self.r1, 1, queries.first, queries.count).unsqueeze(0);
        let k = rows_of(&self.r2, 1, 0, m).unsqueeze(0);
        Scores { q: Some(q), k: Some(k), ..Scores::default() }
    }
}
