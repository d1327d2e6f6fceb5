//! What attention over another sequence keeps of it from step to step: keys and values, made once.

use super::kind::Kind;
use super::layer::SynthesizedAttention;
use super::mask::Mask;
use super::mixer::Pass;
use anyhow::{Result, ensure};
use tch::{Kind as Number, Tensor};

/// Keys and values of a memory for rows of queries, of which the first `copies` read the first sample, and so on.
#[derive(Debug)]
pub struct KeptMemory {
    /// Of each part that has keys from its input, `[samples, heads, M, d_h]`.
    keys: Vec<Option<Tensor>>,
    /// `[samples, heads, M, d_h]`.
    values: Tensor,
    mask: Mask,
    /// Rows in a row that read one sample: its queries side by side, so that a step reads keys and values once for them.
    copies: i64,
}

impl KeptMemory {
    /// Number of rows of queries.
    pub fn rows(&self) -> i64 {
        self.values.size()[0] * self.copies
    }

    /// Row i reads from now on what row `rows[i]` (int64, any number) read.
    pub(crate) fn select(&mut self, rows: &Tensor) {
        let samples = rows.divide_scalar_mode(self.copies, "floor");
        let chosen = |x: &Tensor| x.index_select(0, &samples);
        self.keys = self.keys.iter().map(|keys| keys.as_ref().map(chosen)).collect();
        self.values = chosen(&self.values);
        self.mask.key_lengths = self.mask.key_lengths.as_ref().map(chosen);
        self.copies = 1;
    }
}

impl SynthesizedAttention {
    /// What is kept of `memory` `[samples, M, d_model]` for `copies` rows of queries to each sample. `mask` hides keys, and
    /// is not causal.
    ///
    /// # Errors
    /// Where the memory is longer than the kind's tables by position.
    pub fn keep(&self, memory: &Tensor, mask: &Mask, copies: i64, pass: Pass<'_>) -> Result<KeptMemory> {
        self.check_length(memory.size()[1])?;
        let projected = self.project_memory(memory, pass);
        let mut kept = KeptMemory { keys: projected.keys, values: projected.values, mask: mask.share(), copies };
        if copies > 1 && !positions_do_not_matter(self.kind) {
            kept.select(&Tensor::arange(kept.rows(), (Number::Int64, memory.device())));
        }
        Ok(kept)
    }

    /// Attention of the next positions `x` `[rows, n, d_model]`, the first of which is number `first` of its sequence, over
    /// what is kept; equal to the last n rows of the whole sequence's.
    ///
    /// # Errors
    /// Where the sequence becomes longer than the kind's tables by position, or has another number of rows.
    pub fn step_over(&self, x: &Tensor, first: i64, kept: &KeptMemory, pass: Pass<'_>) -> Result<Tensor> {
        let [rows, n, d_model] = x.size()[..] else { unreachable!("activations have three axes") };
        ensure!(rows == kept.rows(), "{rows} rows of queries over a memory that is kept for {}", kept.rows());
        self.check_length(first + n)?;
        let side_by_side = x.reshape([rows / kept.copies, kept.copies * n, d_model]);
        let queries = self.project_queries(&side_by_side, pass);
        let scores = self.scores_at(&queries, first, &kept.keys, kept.values.size()[2], pass);
        Ok(self.finish(&scores, &kept.values, &kept.mask, pass).reshape([rows, n, d_model]))
    }
}

/// Whether a query's scores are the same wherever it stands, so that queries of several sequences may stand side by side.
fn positions_do_not_matter(kind: Kind) -> bool {
    kind.parts().all(|part| !part.variant().batch_independent)
}
