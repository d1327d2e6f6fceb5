//! The Factorized Dense Synthesizer (arXiv 2005.00743, section 3.1): each query predicts two short vectors.
//!
//! A_i and B_i, of widths a and b per head with a·b at least max_length, make the row of scores by their outer
//! product: `B[i, p] = A_i[p div b] · B_i[p mod b]`. Only the paper has the variant; no released code does. It names
//! two tiling functions; the authors' survey (arXiv 2009.06732) calls one a tile and the other a repeat, which is
//! this product. Two tilings alike would give every position only lcm(a, b) different scores.
//!
//! A and B are one linear layer each. Table 1 of the paper counts a d × d layer before them as well; the equations
//! have none, and neither have we.

use super::projection::Projection;
use super::score_source::{Queries, ScoreSource};
use super::scores::{Factors, Scores};
use super::variant::Variant;
use tch::Tensor;

/// What the kind tells of itself.
pub const VARIANT: Variant = Variant {
    name: "factorized-dense",
    causal: true,
    padding: true,
    length_bound: true,
    batch_independent: false,
    whole_table: false,
    trained: true,
    reads_query: |_| false,
    reads_keys: false,
    parameters: |options, dimensions| {
        let (a, b) = options.factorized_dense.widths(dimensions.max_length);
        dimensions.projection(a) + dimensions.projection(b)
    },
    // The outer product is a product over a width of 1.
    flops: |options, dimensions, work| {
        let (a, b) = options.factorized_dense.widths(dimensions.max_length);
        let projections = work.project_queries(dimensions, a) + work.project_queries(dimensions, b);
        projections + work.pairs(work.batch, dimensions, 1)
    },
    build: |scope, options, dimensions| {
        let (a, b) = options.factorized_dense.widths(dimensions.max_length);
        let (d_model, heads) = (dimensions.d_model, dimensions.heads);
        let mut scope = scope.enter("factorized-dense");
        let a = Projection::new(scope.enter("a"), (d_model, heads * a), 1, false);
        let b = Projection::new(scope.enter("b"), (d_model, heads * b), 1, false);
        Box::new(FactorizedDense { a, b })
    },
};

/// The projections to the two factors.
struct FactorizedDense {
    a: Projection, // to [heads · a]
    b: Projection, // to [heads · b]
}

impl ScoreSource for FactorizedDense {
    fn projections(&self) -> Vec<&Projection> {
        vec![&self.a, &self.b]
    }

    fn scores(&self, queries: &Queries<'_>, _keys: Option<&Tensor>, _m: i64) -> Scores {
        let [a, b] = queries.projected else { unreachable!("the part has two projections") };
        let factors = Factors { a: a.shallow_clone(), b: b.shallow_clone() };
        Scores { factors: Some(factors), from_input: true, ..Scores::default() }
    }
}
