//! What a part is, to the layer: a way to scores.

use super::projection::Projection;
use super::scores::Scores;
use crate::kernels::score_operands::Part;
use tch::{Kind, Tensor};

/// What queries are made of.
pub struct Queries<'a> {
    /// The layer's query projection, unscaled, `[batch, heads, N, d_h]`; there where a part reads it.
    pub query: Option<&'a Tensor>,
    /// What [`ScoreSource::projections`] make of the layer's input, in their order, each `[batch, heads, N, width]`.
    pub projected: &'a [Tensor],
    /// Position of the first query.
    pub first: i64,
    /// N.
    pub count: i64,
}

/// First columns in the joined product of what a part reads.
pub struct Columns<'a> {
    /// The layer's query projection.
    pub query: Option<i64>,
    /// The part's own projections.
    pub own: &'a [i64],
    /// The part's keys.
    pub key: Option<i64>,
    /// Number of heads.
    pub heads: i64,
}

/// A part's way to scores. Tables by position are long enough: the layer has checked it.
///
/// The layer takes all products with its input itself: a training step one by one, generation as a single one.
pub trait ScoreSource {
    /// Projections of the queries' input that the part owns.
    fn projections(&self) -> Vec<&Projection> {
        Vec::new()
    }

    /// The projection of the keys' input to `heads · d_h`, where scores depend on it: what it gives is all that
    /// generation keeps of earlier positions.
    fn key(&self) -> Option<&Projection> {
        None
    }

    /// Keys that depend on positions alone, of the first `m`, in `kind`: `[1, heads, M, r]`.
    fn learned_keys(&self, _m: i64, _kind: Kind) -> Option<Tensor> {
        None
    }

    /// What the product of the layer's query and the part's keys is multiplied by, where that is all of its scores.
    fn scale(&self) -> Option<f64> {
        None
    }

    /// The part in the form in which queries and keys of several lie side by side, from `columns` of the joined product of
    /// the layer's projections; `None` where it has none.
    fn packed(&self, _columns: &Columns<'_>) -> Option<Part> {
        None
    }

    /// Scores of the queries over `m` keys. `keys` is what [`ScoreSource::key`] gave for all of them, `[batch, heads,
    /// M, d_h]`, else the learned ones.
    fn scores(&self, queries: &Queries<'_>, keys: Option<&Tensor>, m: i64) -> Scores;
}
