//! What attention keeps from step to step when a sequence grows at its end.

use super::layer::SynthesizedAttention;
use super::mask::Mask;
use super::mixer::Pass;
use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// Keys and values of the positions so far, in a tensor that stays where it is: a recorded step writes into it and
/// reads it. Only a part whose scores depend on the keys' input (dot product) keeps keys: rows of R, R₁ and W₂ follow
/// from positions, so a pure Synthesizer keeps values alone.
#[derive(Debug)]
pub struct State {
    /// `[kept, batch, heads, capacity, d_h]`: the keys of each part that keeps some, then the values. What stands
    /// after the last position has no meaning, but is finite.
    pub(super) kept: Tensor,
    length: i64,
}

impl State {
    /// Number of positions so far.
    pub fn length(&self) -> i64 {
        self.length
    }

    /// Number of positions that there is room for.
    pub fn capacity(&self) -> i64 {
        self.kept.size()[3]
    }

    /// Number of sequences.
    pub fn rows(&self) -> i64 {
        self.kept.size()[1]
    }

    /// Sequence i becomes what sequence `rows[i]` (int64, any number) was; where the number stays, so does the tensor.
    pub(crate) fn select(&mut self, rows: &Tensor) {
        let chosen = self.kept.narrow(3, 0, self.length).index_select(1, rows);
        let mut shape = self.kept.size();
        if shape[1] != rows.size()[0] {
            shape[1] = rows.size()[0];
            self.kept = self.kept.new_zeros(shape, (self.kept.kind(), self.kept.device()));
        }
        self.kept.narrow(3, 0, self.length).copy_(&chosen);
    }

    /// Number of numbers that there is room for.
    pub fn elements(&self) -> usize {
        self.kept.numel()
    }

    /// Says how many positions are kept now: 0 to begin anew, or one more for a step that wrote on the device alone.
    pub(crate) fn set_length(&mut self, length: i64) {
        self.length = length;
    }

    /// The first `m` positions of what is kept at place `i`, `[batch, heads, m, d_h]`.
    pub(super) fn first(&self, i: i64, m: i64) -> Tensor {
        self.kept.get(i).narrow(2, 0, m)
    }

    /// The place of the values.
    pub(super) fn values(&self) -> i64 {
        self.kept.size()[0] - 1
    }

    /// Writes `new` `[batch, heads, n, d_h]` at place `i`, after the positions so far.
    fn write(&self, i: i64, new: &Tensor) {
        self.kept.get(i).narrow(2, self.length, new.size()[2]).copy_(&new.detach());
    }
}

impl SynthesizedAttention {
    /// Room for `capacity` positions of `batch` sequences, in the kind in which products are computed.
    pub fn state(&self, batch: i64, capacity: i64, compute: Kind) -> State {
        let kept = 1 + self.parts.iter().filter(|part| part.key().is_some()).count() as i64;
        let shape = [kept, batch, self.dimensions.heads, capacity, self.dimensions.head_width];
        State { kept: Tensor::zeros(shape, (compute, self.value.input().1)), length: 0 }
    }

    /// Causal self-attention of the next positions `x` `[batch, n, d_model]` over all so far and themselves; equal to
    /// the last n rows of the whole sequence's. `bias` `[1, heads, n, M]` is added to the scores, outside a mixture's
    /// weights.
    ///
    /// # Errors
    /// Where the sequence becomes longer than the kind's tables by position, or than the state has room for.
    pub fn step(&self, x: &Tensor, bias: Option<&Tensor>, state: &mut State, pass: Pass<'_>) -> Result<Tensor> {
        let (first, end) = (state.length, state.length + x.size()[1]);
        self.check_length(end)?;
        let capacity = state.capacity();
        ensure!(end <= capacity, "a sequence of {end} tokens is longer than its state, which has room for {capacity}");
        let projected = self.project(x, x, pass);
        let mut place = 0;
        let mut keep = |new: &Tensor| {
            state.write(place, new);
            place += 1;
            state.first(place - 1, end)
        };
        let of_parts = projected.memory.keys.iter();
        let keys: Vec<Option<Tensor>> = of_parts.map(|keys| keys.as_ref().map(&mut keep)).collect();
        let values = keep(&projected.memory.values);
        state.length = end;
        let scores = self.scores_at(&projected.queries, first, &keys, end, pass).with_bias(bias);
        Ok(self.finish(&scores, &values, &Mask::causal(), pass))
    }
}
