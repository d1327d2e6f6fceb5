//! Scaled dot-product attention (arXiv 1706.03762, section 3.2.1): the baseline.
//!
//! `B = (W_q x / √d_h)·(W_k x)ᵀ`. The scale stands at run time and not in the initialiser of W_q:
//! mesh-tensorflow, which had it there, turned that off for Synthesizers because of NaNs.

use super::projection::Projection;
use super::score_source::{Columns, Queries, ScoreSource};
use super::scores::Scores;
use super::variant::Variant;
use crate::kernels::score_operands::{Part, Source};
use tch::Tensor;

/// What the kind tells of itself.
pub const VARIANT: Variant = Variant {
    name: "vanilla",
    causal: true,
    padding: true,
    length_bound: false,
    batch_independent: false,
    whole_table: false,
    trained: true,
    reads_query: |_| true,
    reads_keys: true,
    parameters: |options, dimensions| {
        dimensions.projection(dimensions.head_width) + if options.bias { dimensions.inner() as u128 } else { 0 }
    },
    flops: |_, dimensions, work| {
        let width = dimensions.head_width;
        work.project_keys(dimensions, width) + work.pairs(work.batch, dimensions, width)
    },
    build: |scope, options, dimensions| {
        let key = Projection::new(scope.enter("key"), (dimensions.d_model, dimensions.inner()), 1, options.bias);
        Box::new(Vanilla { key, scale: (dimensions.head_width as f64).powf(-0.5) })
    },
};

/// Keys from the input; the queries are the layer's.
struct Vanilla {
    key: Projection,
    scale: f64,
}

impl ScoreSource for Vanilla {
    fn key(&self) -> Option<&Projection> {
        Some(&self.key)
    }

    fn scale(&self) -> Option<f64> {
        Some(self.scale)
    }

    fn packed(&self, columns: &Columns<'_>) -> Option<Part> {
        let source = |first: Option<i64>| Some(Source::Columns { first: first?, relu: false });
        let width = self.key.outputs() / columns.heads;
        Some(Part { queries: source(columns.query)?, keys: source(columns.key)?, width, scale: self.scale })
    }

    fn scores(&self, queries: &Queries<'_>, keys: Option<&Tensor>, _m: i64) -> Scores {
        Scores {
            q: queries.query.map(Tensor::shallow_clone),
            scale: Some(self.scale),
            k: keys.map(Tensor::shallow_clone),
            from_input: true,
            ..Scores::default()
        }
    }
}
