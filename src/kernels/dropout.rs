//! Dropout of a matrix by a counter hash: which numbers are dropped follows from the micro-batch's key, a number of the
//! place in the model, the row and the column, in whatever a kernel or its twin computes. `docs/formats.md` has the hash.

use super::Launch;
use crate::randomness::{DropoutKey, HASH_MULTIPLIERS, signed, xor_shift};
use tch::Tensor;

/// What decides over each number of a matrix `[rows, columns]`.
#[derive(Debug)]
pub struct Draw {
    rows: Tensor,    // int32 [rows], hashes
    columns: Tensor, // int32 [columns]
    threshold: i32,
    scale: f64,
}

impl Draw {
    /// The draws at `place` with `probability`; `None` where nothing is dropped.
    pub fn new(key: &DropoutKey, place: u64, probability: f64, sizes: [i64; 2]) -> Option<Self> {
        if probability <= 0.0 {
            return None;
        }
        let [rows, columns] = key.hashes(place, sizes).map(|hashes| hashes.contiguous());
        Some(Self { rows, columns, threshold: threshold(probability), scale: 1.0 / (1.0 - probability) })
    }

    /// `x` `[rows, columns]` with 0 where dropped, the rest divided by the probability of being kept.
    pub fn apply(&self, x: &Tensor) -> Tensor {
        let mut hash = self.rows.view([-1, 1]).bitwise_xor_tensor(&self.columns) * signed(HASH_MULTIPLIERS[0]);
        xor_shift(&mut hash, 15);
        hash *= signed(HASH_MULTIPLIERS[1]);
        (x * self.scale).masked_fill(&hash.less(i64::from(self.threshold)), 0.0)
    }
}

/// What a hash, read as a signed number, must fall below for its number to be dropped.
pub fn threshold(probability: f64) -> i32 {
    ((probability * 2f64.powi(32)).round() as i64 + i64::from(i32::MIN)).min(i32::MAX.into()) as i32
}

impl<'a> Launch<'a> {
    /// The kernels' `Dropout`, with nothing to drop for `None`.
    pub(super) fn dropout(self, draw: Option<&'a Draw>) -> Self {
        let pointer = |tensor: &Tensor| tensor.data_ptr() as u64;
        let words = match draw {
            Some(Draw { rows, columns, threshold, scale }) => {
                vec![pointer(rows), pointer(columns), pack(*threshold as u32, *scale as f32)]
            }
            None => vec![0, 0, pack(0, 1.0)],
        };
        self.words(words)
    }
}

fn pack(first: u32, second: f32) -> u64 {
    u64::from(first) | u64::from(second.to_bits()) << 32
}
