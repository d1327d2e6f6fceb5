//! What attention keeps from step to step when a sequence grows at its end.

use super::layer::SynthesizedAttention;
use super::mask::Mask;
use super::mixer::Pass;
use anyhow::Result;
use tch::Tensor;

/// Keys and values of the positions so far. Only a part whose scores depend on the keys' input (dot product) keeps
/// keys: rows of R, R₁ and W₂ follow from positions, so a pure Synthesizer keeps values alone.
#[derive(Debug, Default)]
pub struct State {
    keys: Vec<Option<Tensor>>, // of each part: [batch, heads, M, d_h]
    values: Option<Tensor>,    // [batch, heads, M, d_h]
}

impl State {
    /// Number of positions so far.
    pub fn length(&self) -> i64 {
        self.values.as_ref().map_or(0, |values| values.size()[2])
    }

    /// Number of numbers that are kept.
    pub fn elements(&self) -> usize {
        self.keys.iter().chain([&self.values]).flatten().map(Tensor::numel).sum()
    }

    fn extend(&mut self, keys: Vec<Option<Tensor>>, values: Tensor) {
        if self.keys.is_empty() {
            self.keys.resize_with(keys.len(), || None);
        }
        for (kept, new) in self.keys.iter_mut().zip(keys) {
            append(kept, new);
        }
        append(&mut self.values, Some(values));
    }
}

fn append(kept: &mut Option<Tensor>, new: Option<Tensor>) {
    *kept = match (kept.take(), new) {
        (Some(kept), Some(new)) => Some(Tensor::cat(&[kept, new], 2)),
        (kept, new) => kept.or(new),
    };
}

impl SynthesizedAttention {
    /// Causal self-attention of the next positions `x` `[batch, n, d_model]` over all so far and themselves; equal to
    /// the last n rows of the whole sequence's.
    ///
    /// # Errors
    /// Where the sequence becomes longer than the kind's tables by position.
    pub fn step(&self, x: &Tensor, state: &mut State, pass: Pass<'_>) -> Result<Tensor> {
        let first = state.length();
        self.check_length(first + x.size()[1])?;
        state.extend(self.keys(x, pass), self.values(x, pass));
        let values = state.values.as_ref().expect("values were just appended");
        let scores = self.scores_at(x, first, &state.keys, values.size()[2], pass);
        Ok(self.finish(&scores, values, &Mask::causal(), pass))
    }
}
