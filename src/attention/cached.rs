//! The stock kernel for one query per sample over kept keys and values, of which the device alone knows how many are
//! in use.

use super::clock::Clock;
use super::state::State;
use crate::libtorch::attention::{Starts, flash_over_cache};
use tch::{Device, Kind, Tensor};

/// What the kernel is told of a state besides its tensors; one serves all layers.
pub struct Cached {
    starts: Starts,
    batch: i64,
}

impl Cached {
    /// For states of `batch` sequences with room for `capacity` positions, where the kernel takes them: on CUDA in
    /// bfloat16, for heads whose width is a multiple of 8 and at most 256. It is asked, not assumed.
    pub fn where_taken(state: &State) -> Option<Self> {
        let kept = &state.kept;
        let [_, batch, heads, capacity, _] = kept.size()[..] else { unreachable!("states have five axes") };
        let rows = i32::try_from(batch * heads * capacity);
        if !matches!(kept.device(), Device::Cuda(_)) || kept.kind() != Kind::BFloat16 || rows.is_err() {
            return None;
        }
        let starts = |step: i64| {
            let starts: Vec<i32> = (0..=batch).map(|sample| (sample * step) as i32).collect();
            Tensor::from_slice(&starts).to_device(kept.device())
        };
        let cached = Self { starts: Starts { queries: starts(1), keys: starts(heads * capacity) }, batch };
        let q = kept.select(0, 0).select(2, 0).contiguous(); // [batch, heads, d_h]
        let lengths = cached.starts.queries.narrow(0, 0, batch).ones_like();
        cached.run(&q, state, 0, &lengths, 1.0).is_ok().then_some(cached)
    }

    /// `softmax(scale·q·Kᵀ)·V` for `q` `[batch, heads, d_h]` over the positions up to the clock's own; the keys are
    /// those at place `keys` of the state.
    ///
    /// # Panics
    /// Where libtorch refuses, as all of tch's operators: the first call has shown that it does not.
    pub(super) fn attend(&self, q: &Tensor, state: &State, keys: i64, clock: &Clock, scale: f64) -> Tensor {
        let output = self.run(q, state, keys, &clock.lengths(self.batch), scale);
        output.unwrap_or_else(|error| panic!("{error}"))
    }

    fn run(&self, q: &Tensor, state: &State, keys: i64, lengths: &Tensor, scale: f64) -> Result<Tensor, tch::TchError> {
        let [k, v] = [keys, state.values()].map(|place| rows(&state.kept.get(place)));
        flash_over_cache(q, (&k, &v), &self.starts, (lengths, state.capacity()), scale)
    }
}

/// `[batch, heads, capacity, d_h]` as the kernel reads it, `[rows, heads, d_h]`: row r of head h stands h·capacity rows
/// further, so that sample b begins at row b·heads·capacity.
fn rows(x: &Tensor) -> Tensor {
    let [batch, heads, capacity, width] = x.size()[..] else { unreachable!("heads have four axes") };
    let rows = (batch - 1) * heads * capacity + capacity;
    x.as_strided([rows, heads, width], [width, capacity * width, 1], None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_where_the_kernel_looks_for_them() {
        let x = Tensor::arange(2 * 3 * 4 * 5, (Kind::Int64, Device::Cpu)).view([2, 3, 4, 5]);
        let rows = rows(&x);
        for (sample, head, position) in [(0, 0, 0), (0, 2, 3), (1, 0, 1), (1, 2, 3)] {
            let found = rows.get(sample * 3 * 4 + position).get(head);
            assert_eq!(found, x.get(sample).get(head).get(position), "{sample} {head} {position}");
        }
    }
}
