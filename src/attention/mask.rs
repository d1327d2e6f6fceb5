//! What a query may not see.

use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// What a query may not see.
#[derive(Debug, Default)]
pub struct Mask {
    /// Position i sees no position after i. The queries are the last of the keys' positions: where keys of earlier
    /// steps are kept, query i of N over M keys stands at position M − N + i.
    pub causal: bool,
    /// Keys of sample b from `key_lengths[b]` on are hidden (right padding): int64 `[batch]`.
    pub key_lengths: Option<Tensor>,
}

impl Mask {
    /// Position i sees positions up to i.
    pub fn causal() -> Self {
        Mask { causal: true, key_lengths: None }
    }

    /// Keys of sample b from `lengths[b]` on (int64 `[batch]`) are hidden, from all queries.
    pub fn of_lengths(lengths: &Tensor) -> Self {
        Mask { causal: false, key_lengths: Some(lengths.shallow_clone()) }
    }

    /// The same mask once more.
    pub fn share(&self) -> Self {
        Mask { causal: self.causal, key_lengths: self.key_lengths.as_ref().map(Tensor::shallow_clone) }
    }

    /// The same mask without its lengths.
    pub fn without_lengths(&self) -> Mask {
        Mask { causal: self.causal, key_lengths: None }
    }

    /// Which samples have no key at all, `[batch, 1, 1, 1]`; `None` without lengths.
    pub fn empty(&self) -> Option<Tensor> {
        self.key_lengths.as_ref().map(|lengths| lengths.eq(0).view([-1, 1, 1, 1]))
    }

    /// How many keys some of `n` queries see at most, of `m`.
    pub fn visible(&self, rows: &Range<i64>, (n, m): (i64, i64)) -> i64 {
        if self.causal { (rows.end + m - n).clamp(0, m) } else { m }
    }

    /// Which of the first `keys` keys some of `n` queries over `m` may not see, broadcastable to `[batch, heads, rows,
    /// keys]`; `None` where all are seen.
    pub fn hidden(&self, rows: &Range<i64>, keys: i64, (n, m): (i64, i64), device: Device) -> Option<Tensor> {
        let first = rows.start + m - n;
        let future = (self.causal && first + 1 < keys).then(|| {
            let count = rows.end - rows.start;
            Tensor::ones([1, 1, count, keys], (Kind::Bool, device)).triu(first + 1)
        });
        let padding = self.key_lengths.as_ref().map(|lengths| {
            let positions = Tensor::arange(keys, (Kind::Int64, device));
            positions.greater_equal_tensor(&lengths.view([-1, 1])).view([-1, 1, 1, keys])
        });
        match (future, padding) {
            (Some(future), Some(padding)) => Some(future.logical_or(&padding)),
            (future, padding) => future.or(padding),
        }
    }
}
