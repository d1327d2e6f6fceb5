//! The position of a step, in device memory: the same recorded work serves every position.

use tch::{Device, Kind, Tensor};

/// The position at which each of some rows stands, one for all. Kernels want it in two forms: an int64 index, and the
/// number of positions up to it as int32. Both lie in one tensor, so that one addition moves them.
pub struct Clock {
    /// int64: the position, once per row; then pairs of int32, position + 1 once per row.
    words: Tensor,
    /// What a step adds to `words`.
    step: Tensor,
    rows: i64,
}

/// Two int32 that are one, as an int64.
const ONES: i64 = 1 | 1 << 32;

impl Clock {
    /// A clock of `rows` rows at position 0.
    pub fn new(rows: i64, device: Device) -> Self {
        let pairs = (rows + 1) / 2;
        let step = [vec![1; rows as usize], vec![ONES; pairs as usize]].concat();
        let step = Tensor::from_slice(&step).to_device(device);
        let mut clock = Self { words: step.zeros_like(), step, rows };
        clock.set(0);
        clock
    }

    /// Moves to `position`. To be called outside of a recorded step.
    pub fn set(&mut self, position: i64) {
        // Position times the step, and one more in the second form.
        self.words.copy_(&(&self.step * position));
        let pairs = self.words.size()[0] - self.rows;
        let _ = self.words.narrow(0, self.rows, pairs).g_add_scalar_(ONES);
    }

    /// Moves by one position.
    pub fn advance(&mut self) {
        let _ = self.words.g_add_(&self.step);
    }

    /// The position, int64 `[1]`.
    pub fn position(&self) -> Tensor {
        self.words.narrow(0, 0, 1)
    }

    /// The position, once for each of the first `rows` rows: int64 `[rows]`.
    pub fn positions(&self, rows: i64) -> Tensor {
        self.words.narrow(0, 0, rows)
    }

    /// The number of positions up to the step's own, once for each of the first `rows` rows: int32 `[rows]`.
    pub fn lengths(&self, rows: i64) -> Tensor {
        let pairs = self.words.narrow(0, self.rows, self.words.size()[0] - self.rows);
        pairs.view_dtype(Kind::Int).narrow(0, 0, rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_move_together() {
        for rows in [1, 2, 5] {
            let mut clock = Clock::new(rows, Device::Cpu);
            let expect = |clock: &Clock, position: i64| {
                assert_eq!(clock.position(), Tensor::from_slice(&[position]));
                assert_eq!(clock.positions(rows), Tensor::from_slice(&vec![position; rows as usize]));
                assert_eq!(clock.lengths(rows), Tensor::from_slice(&vec![position as i32 + 1; rows as usize]));
            };
            expect(&clock, 0);
            clock.advance();
            clock.advance();
            expect(&clock, 2);
            clock.set(1000);
            clock.advance();
            expect(&clock, 1001);
        }
    }
}
