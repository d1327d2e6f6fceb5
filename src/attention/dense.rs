//! The Dense Synthesizer (arXiv 2005.00743, section 3.1): each query predicts its own row of scores.
//!
//! `B_i = W₂·relu(W₁ x_i + b₁) + b₂`, per head, without a scale. W₁ maps d_model to a hidden width r of each head
//! (default d_h, so that W₁ is d × d as in the paper), W₂ maps r to one score per position. Where the sources differ:
//!
//! - Biases: in the paper's first version, neither in its third nor in the authors' code: `dense.bias`, default off.
//! - W₂: per head as in the paper; mesh-tensorflow (`dense_minus`) shares one `[d_h, 512]` among the heads:
//!   `dense.shared_output`.
//! - The hidden layer: its own W₁; mesh-tensorflow takes relu of the query projection, in mixtures the one that the
//!   dot product uses, too: `dense.shared_query`. Ours is unscaled; the scale 1/√d_h belongs to the dot product only.
//! - Long Range Arena's code reshapes heads and positions into one another without a transpose, so that later
//!   positions leak into earlier ones: not followed.
//!
//! In the form Q·Kᵀ: Q is the hidden layer, K is W₂, one row per position; b₂ is a column of K beside ones in Q.

use super::options::AttentionOptions;
use super::projection::{Projection, split_heads};
use super::score_source::{Columns, Queries, ScoreSource};
use super::scores::{Scores, rows_of};
use super::variant::{Dimensions, Variant};
use crate::kernels::score_operands::{Part, Source};
use crate::parameters::{Init, Projected, Scope};
use tch::{Kind, Tensor};

/// What the kind tells of itself.
pub const VARIANT: Variant = Variant {
    name: "dense",
    causal: true,
    padding: true,
    length_bound: true,
    batch_independent: false,
    whole_table: false,
    trained: true,
    reads_query: |options| options.dense.shared_query,
    reads_keys: false,
    parameters,
    flops: |options, dimensions, work| {
        let width = hidden(options, dimensions);
        let first = if options.dense.shared_query { 0 } else { work.project_queries(dimensions, width) };
        first + work.pairs(work.batch, dimensions, width)
    },
    build: |scope, options, dimensions| Box::new(Dense::new(scope.enter("dense"), options, dimensions)),
};

/// r.
fn hidden(options: &AttentionOptions, dimensions: Dimensions) -> i64 {
    options.dense.hidden.unwrap_or(dimensions.head_width)
}

fn parameters(options: &AttentionOptions, dimensions: Dimensions) -> u128 {
    let width = hidden(options, dimensions);
    let first = if options.dense.shared_query { 0 } else { dimensions.projection(width) };
    let tables = if options.dense.shared_output { 1 } else { dimensions.heads as u128 };
    let second = tables * dimensions.max_length as u128 * width as u128;
    let biases = (dimensions.heads as u128 * width as u128) + tables * dimensions.max_length as u128;
    first + second + if options.dense.bias { biases } else { 0 }
}

/// The two layers.
struct Dense {
    first: First,
    first_bias: Option<Tensor>,  // [heads · r]
    second: Tensor,              // [heads, max_length, r], without heads where they share
    second_bias: Option<Tensor>, // [heads, max_length], likewise
    heads: i64,
}

/// What the hidden layer is made of.
enum First {
    Own(Projection),
    Query,
}

impl Dense {
    fn new(mut scope: Scope<'_>, options: &AttentionOptions, dimensions: Dimensions) -> Self {
        let Dimensions { d_model, heads, max_length, .. } = dimensions;
        let options = (&options.dense, hidden(options, dimensions));
        let (dense, width) = options;
        let first = if dense.shared_query {
            First::Query
        } else {
            First::Own(Projection::new(scope.enter("w1"), (d_model, heads * width), 1, false))
        };
        let first_bias = dense.bias.then(|| scope.enter("w1").tensor("bias", &[heads * width], Init::Zeros));
        // The heads' axis is absent where they share.
        let skip = usize::from(dense.shared_output);
        let shape = |full: &[i64]| full[skip..].to_vec();
        let init = Init::Projection(Projected { inputs: width, outputs: max_length, summands: 1 });
        let second = scope.tensor("w2", &shape(&[heads, max_length, width]), init);
        let second_bias = dense.bias.then(|| scope.tensor("b2", &shape(&[heads, max_length]), Init::Zeros));
        Self { first, first_bias, second, second_bias, heads }
    }

    /// relu(W₁x + b₁), `[batch, heads, N, r]`.
    fn hidden(&self, queries: &Queries<'_>) -> Tensor {
        let first = match &self.first {
            First::Own(_) => &queries.projected[0],
            First::Query => queries.query.expect("the layer projects the query that a part reads"),
        };
        match &self.first_bias {
            Some(bias) => {
                let bias = split_heads(&bias.to_kind(first.kind()).view([1, 1, -1]), self.heads);
                (first + bias).relu()
            }
            None => first.relu(),
        }
    }

    /// W₂ as `[heads | 1, max_length, r]`. Made when it is read: the optimizer may move a parameter's numbers, and a view
    /// would stay with the old ones.
    fn second(&self) -> Tensor {
        by_head(&self.second, 3)
    }

    /// W₂'s first `m` rows for every head, `[1, heads, M, r]`, with b₂ as one more column.
    fn output(&self, m: i64) -> Tensor {
        let rows = rows_of(&self.second(), 1, 0, m);
        let rows = match &self.second_bias {
            Some(bias) => Tensor::cat(&[rows, rows_of(&by_head(bias, 2), 1, 0, m).unsqueeze(-1)], 2),
            None => rows,
        };
        rows.unsqueeze(0).expand([-1, self.heads, -1, -1], false)
    }
}

/// `x` of `axes` axes, the first of which is absent where heads share.
fn by_head(x: &Tensor, axes: usize) -> Tensor {
    if x.dim() < axes { x.unsqueeze(0) } else { x.shallow_clone() }
}

impl ScoreSource for Dense {
    fn projections(&self) -> Vec<&Projection> {
        match &self.first {
            First::Own(projection) => vec![projection],
            First::Query => Vec::new(),
        }
    }

    fn learned_keys(&self, m: i64, kind: Kind) -> Option<Tensor> {
        Some(self.output(m).to_kind(kind))
    }

    fn packed(&self, columns: &Columns<'_>) -> Option<Part> {
        if self.first_bias.is_some() || self.second_bias.is_some() {
            return None;
        }
        let first = match self.first {
            First::Own(_) => columns.own[0],
            First::Query => columns.query?,
        };
        let (second, queries) = (self.second(), Source::Columns { first, relu: true });
        Some(Part { queries, width: second.size()[2], keys: Source::Table(second), scale: 1.0 })
    }

    fn scores(&self, queries: &Queries<'_>, keys: Option<&Tensor>, _m: i64) -> Scores {
        let hidden = self.hidden(queries);
        let q = match &self.second_bias {
            Some(_) => {
                let ones = hidden.narrow(3, 0, 1).ones_like().detach();
                Tensor::cat(&[&hidden, &ones], 3)
            }
            None => hidden,
        };
        Scores { q: Some(q), k: keys.map(Tensor::shallow_clone), from_input: true, ..Scores::default() }
    }
}
