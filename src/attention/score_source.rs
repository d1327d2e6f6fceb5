//! What a part is, to the layer: a way to scores.

use super::mixer::Pass;
use super::scores::Scores;
use tch::Tensor;

/// What queries are made of.
pub struct Queries<'a> {
    /// The layer's input, `[batch, N, d_model]`.
    pub x: &'a Tensor,
    /// The query projection, unscaled, `[batch, heads, N, d_h]`; there where a part reads it.
    pub query: Option<&'a Tensor>,
    /// Position of the first query.
    pub first: i64,
}

/// A part's way to scores. Tables by position are long enough: the layer has checked it.
pub trait ScoreSource {
    /// What a part makes of the keys' input `[batch, M, d_model]`: `[batch, heads, M, d_h]`. `None` where its
    /// scores do not depend on the keys' input, so that nothing of it need be kept.
    fn keys(&self, _memory: &Tensor, _pass: Pass<'_>) -> Option<Tensor> {
        None
    }

    /// Scores of the queries over `m` keys, of which `keys` is what [`ScoreSource::keys`] gave for all of them.
    fn scores(&self, queries: &Queries<'_>, keys: Option<&Tensor>, m: i64, pass: Pass<'_>) -> Scores;
}
