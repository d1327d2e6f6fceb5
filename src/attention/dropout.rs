//! Dropout of attention weights from a counter hash: a mask that is computed again is the same.
//!
//! Whether the weight of query i and key j is dropped depends on the micro-batch's key, the layer, the row's number
//! (sample · heads + head)·N + i, and j; never on the path, the block or the device. `docs/formats.md` has the hash.

use super::scores::rows_of;
use crate::kernels::dropout::{Draw, DropoutKey, threshold};
use crate::libtorch::dropout::drop_into;
use crate::randomness::{HASH_MULTIPLIERS, signed, xor_shift};
use std::ops::Range;
use tch::{Device, Tensor};

/// The dropout of one attention in one pass.
#[derive(Clone, Copy)]
pub struct Dropout<'a> {
    probability: f64,
    key: Option<&'a DropoutKey>,
    layer: u64,
}

impl<'a> Dropout<'a> {
    /// Nothing is dropped.
    pub const NONE: Dropout<'static> = Dropout { probability: 0.0, key: None, layer: 0 };

    /// Each weight is dropped with `probability`, below 1; `layer` sets the masks of layers apart.
    pub fn new(probability: f64, key: &'a DropoutKey, layer: u64) -> Self {
        Dropout { probability, key: Some(key), layer }
    }

    /// The probability with which a weight is dropped.
    pub fn probability(self) -> f64 {
        if self.key.is_some() { self.probability } else { 0.0 }
    }

    /// Whether stock kernels, which take a generator, may draw.
    pub fn allows_stock_kernels(self) -> bool {
        self.probability() == 0.0 || self.key.is_none_or(DropoutKey::allows_generator)
    }

    /// What the kept weights are multiplied by.
    pub fn scale(self) -> f64 {
        1.0 / (1.0 - self.probability())
    }

    /// The same draws for weights as one matrix `[rows, m]`, as kernels take them.
    pub fn matrix(self, [rows, m]: [i64; 2]) -> Option<Draw> {
        Draw::new(self.key?, self.layer, self.probability, [rows, m])
    }

    /// The draws for weights `[batch, heads, n, m]`; `None` where nothing is dropped.
    pub fn draws(self, (batch, heads): (i64, i64), (n, m): (i64, i64)) -> Option<Draws> {
        let key = self.key.filter(|_| self.probability > 0.0)?;
        let [rows, columns] = key.hashes(self.layer, [batch * heads * n, m]);
        Some(Draws {
            rows: rows.view([batch, heads, n, 1]),
            columns,
            threshold: i64::from(threshold(self.probability)),
        })
    }
}

/// What each weight's draw is made of.
pub struct Draws {
    rows: Tensor,    // int32 [batch, heads, N, 1]
    columns: Tensor, // int32 [M]
    threshold: i64,
}

impl Draws {
    /// Which weights of some queries over the first `keys` keys are dropped: bool `[batch, heads, rows, keys]`.
    pub fn dropped(&self, rows: &Range<i64>, keys: i64) -> Tensor {
        let rows = self.rows.narrow(2, rows.start, rows.end - rows.start);
        let mut x = rows.bitwise_xor_tensor(&self.columns.narrow(0, 0, keys)) * signed(HASH_MULTIPLIERS[0]);
        xor_shift(&mut x, 15);
        x *= signed(HASH_MULTIPLIERS[1]);
        // The product's high bits are the best mixed: they decide.
        x.less(self.threshold)
    }

    /// The same in the form that clears weights fastest.
    pub fn block(&self, rows: &Range<i64>, keys: i64) -> Dropped {
        if self.rows.device() != Device::Cpu {
            return Dropped::Mask(self.dropped(rows, keys));
        }
        let [rows, columns] =
            [rows_of(&self.rows, 2, rows.start, rows.end - rows.start), self.columns.narrow(0, 0, keys)];
        Dropped::Hashes { rows, columns, threshold: self.threshold as i32 }
    }
}

/// Which weights `[batch, heads, rows, keys]` are dropped.
pub enum Dropped {
    /// True where a weight is.
    Mask(Tensor),
    /// On the CPU no mask is stored: drawing it again takes one pass, which clears at once.
    Hashes {
        /// int32 `[batch, heads, rows, 1]`.
        rows: Tensor,
        /// int32 `[keys]`.
        columns: Tensor,
        /// What is less is dropped.
        threshold: i32,
    },
}

impl Dropped {
    /// `x` with 0 where dropped; the mask of a batch of one serves all of a larger one.
    ///
    /// # Panics
    /// Where libtorch refuses an operation, as all of tch's operators.
    pub fn clear(&self, x: &Tensor) -> Tensor {
        match self {
            Dropped::Mask(mask) => x.masked_fill(mask, 0.0),
            Dropped::Hashes { rows, columns, threshold } => {
                let (x, cleared) = (x.contiguous(), x.empty_like().contiguous());
                drop_into(&cleared, &x, rows, columns, *threshold).unwrap_or_else(|error| panic!("{error}"));
                cleared
            }
        }
    }

    /// [`Dropped::clear`] in place, of a contiguous tensor.
    ///
    /// # Panics
    /// As [`Dropped::clear`].
    pub fn clear_(&self, x: &mut Tensor) {
        match self {
            Dropped::Mask(mask) => drop(x.masked_fill_(mask, 0.0)),
            Dropped::Hashes { rows, columns, threshold } => {
                drop_into(x, x, rows, columns, *threshold).unwrap_or_else(|error| panic!("{error}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
