//! Blocks of queries in plain operations, computed again in the backward pass: memory of one block × M.
//!
//! Takes every score, width, mask, kind of number and device. It stands wherever the stock kernels would fall back to
//! whole N × M tensors per sample.

mod operands;

use super::dropout::{Draws, Dropout, Dropped};
use super::mask::Mask;
use super::materialised::{mask_batch, weights};
use super::scores::{Scores, at_least_float, rows_of};
use crate::libtorch::autograd::attach_backward;
use operands::Operands;
use std::ops::Range;
use tch::{Device, Kind, Tensor, no_grad};

/// Entries of a block's scores that are aimed at: 4 MiB in float32, about what a core's cache holds, and on CUDA 16 MiB.
const BLOCK_ENTRIES: i64 = 1 << 20;
const BLOCK_ENTRIES_ON_CUDA: i64 = 1 << 22;
/// Queries of a block at least, so that products stay worth their call.
const BLOCK_ROWS: i64 = 64;

/// `softmax(B)·V`, block by block. Arguments as in [`attend`](super::attend()).
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn attend(scores: &Scores, v: &Tensor, mask: &Mask, dropout: Dropout<'_>) -> Tensor {
    let scores = &scores.scaled();
    let entries = if v.device() == Device::Cpu { BLOCK_ENTRIES } else { BLOCK_ENTRIES_ON_CUDA };
    attend_in_blocks(scores, v, mask, dropout, entries, BLOCK_ROWS)
}

/// [`attend`] with blocks of about `entries` scores, of `rows` queries at least.
fn attend_in_blocks(scores: &Scores, v: &Tensor, mask: &Mask, dropout: Dropout<'_>, entries: i64, rows: i64) -> Tensor {
    let [batch, heads, m, _] = v.size()[..] else { unreachable!("values have four axes") };
    let mut blocks = Blocks {
        operands: Operands::new(scores, v),
        mask: Mask { causal: mask.causal, key_lengths: mask.key_lengths.as_ref().map(Tensor::shallow_clone) },
        draws: dropout.draws((mask_batch(scores, v), heads), (scores.queries(), m)),
        scale: dropout.scale(),
        lengths: (scores.queries(), m),
        rows: (entries / (batch * heads * m).max(1)).max(rows),
    };
    let output = no_grad(|| blocks.forward());
    let inputs = blocks.operands.inputs(scores, v);
    let backward = Box::new(move |gradients: &[Tensor]| no_grad(|| blocks.backward(&gradients[0])));
    attach_backward(&inputs, &[&output], backward).unwrap_or_else(|error| panic!("{error}"));
    output
}

/// An attention that is computed block by block.
struct Blocks {
    operands: Operands,
    mask: Mask,
    draws: Option<Draws>,
    scale: f64,
    /// N and M.
    lengths: (i64, i64),
    /// Queries of a block.
    rows: i64,
}

/// One block: some queries over the keys that they can see.
struct Block {
    rows: Range<i64>,
    keys: i64,
    scores: Scores,
    v: Tensor,
    weights: Tensor,
    dropped: Option<Dropped>,
}

impl Blocks {
    /// `[batch, heads, N, d_h]` in the values' kind.
    fn forward(&self) -> Tensor {
        let scores = self.operands.scores();
        let mut outputs: Vec<Tensor> = self.ranges().map(|rows| self.block(&scores, rows).output(self.scale)).collect();
        outputs.reverse();
        if outputs.len() == 1 { outputs[0].shallow_clone() } else { Tensor::cat(&outputs, 2) }
    }

    /// The gradients of [`Operands::inputs`] for that of the output.
    fn backward(&mut self, upstream: &Tensor) -> Vec<Option<Tensor>> {
        self.operands.start();
        let scores = self.operands.scores();
        for rows in self.ranges() {
            let block = self.block(&scores, rows);
            let upstream = rows_of(upstream, 2, block.rows.start, block.rows.end - block.rows.start);
            // Never in place: the gradient is autograd's.
            let upstream = if self.draws.is_some() { upstream * self.scale } else { upstream };
            let gradient = block.scores_gradient(&upstream);
            self.operands.v.add(0, block.keys, &product(&block.kept().transpose(-2, -1), &upstream));
            self.operands.add(&block, &gradient);
        }
        self.operands.finish()
    }

    /// The blocks' rows, from the last on: under a causal mask those of the largest tensors, whose memory then serves
    /// all others.
    fn ranges(&self) -> impl Iterator<Item = Range<i64>> + use<> {
        let (n, rows) = (self.lengths.0, self.rows);
        (0..(n + rows - 1) / rows).rev().map(move |block| block * rows..((block + 1) * rows).min(n))
    }

    fn block(&self, scores: &Scores, rows: Range<i64>) -> Block {
        let keys = self.mask.visible(&rows, self.lengths);
        let v = rows_of(&self.operands.v.value, 2, 0, keys);
        let scores = scores.block(&rows, keys);
        let logits = scores.materialise_by(product, keys);
        let hidden = self.mask.hidden(&rows, keys, self.lengths, v.device());
        let weights = weights(&logits, hidden.as_ref(), &self.mask);
        let dropped = self.draws.as_ref().map(|draws| draws.block(&rows, keys));
        Block { rows, keys, scores, v, weights, dropped }
    }
}

impl Block {
    /// The weights after dropout, but for the scale of what is kept.
    fn kept(&self) -> Tensor {
        match &self.dropped {
            Some(dropped) => dropped.clear(&self.weights),
            None => self.weights.shallow_clone(),
        }
    }

    fn output(&self, scale: f64) -> Tensor {
        let mut output = self.kept().to_kind(self.v.kind()).matmul(&self.v);
        if self.dropped.is_some() {
            output *= scale;
        }
        output
    }

    /// The gradient of the scores, `[batch | 1, heads, rows, keys]`, for that of the kept weights' product with V.
    fn scores_gradient(&self, upstream: &Tensor) -> Tensor {
        let mut gradient = product(upstream, &self.v.transpose(-2, -1));
        if let Some(dropped) = &self.dropped {
            dropped.clear_(&mut gradient);
        }
        // Weights without a batch axis collect the gradients of all samples.
        let gradient = batch_sum(&gradient, self.weights.size()[0]);
        Tensor::internal_softmax_backward_data(&gradient, &self.weights, -1, self.weights.kind())
    }
}

/// The sum over the batch where `batch` is 1.
fn batch_sum(x: &Tensor, batch: i64) -> Tensor {
    if x.size()[0] > batch { x.sum_dim_intlist([0i64].as_slice(), true, None::<Kind>) } else { x.shallow_clone() }
}

/// `a·b` over the last two axes, in at least float32. On CUDA the second operand's kind is what is multiplied, as the
/// stock kernels do; the sum is taken and kept in float32 all the same.
pub(super) fn product(a: &Tensor, b: &Tensor) -> Tensor {
    if b.kind() != Kind::BFloat16 || b.device() == Device::Cpu {
        return at_least_float(a).matmul(&at_least_float(b));
    }
    let [batch, heads] = [0, 1].map(|axis| a.size()[axis].max(b.size()[axis]));
    let [n, m] = [a.size()[2], b.size()[3]];
    let flat = |x: &Tensor| x.expand([batch, heads, -1, -1], false).reshape([-1, x.size()[2], x.size()[3]]);
    flat(&a.to_kind(b.kind())).bmm_dtype(&flat(b), Kind::Float).view([batch, heads, n, m])
}

#[cfg(test)]
mod tests;
