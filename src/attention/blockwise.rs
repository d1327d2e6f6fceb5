//! Blocks of queries in plain operations, computed again in the backward pass: memory of one block × M.
//!
//! Takes every score, width, mask, kind of number and device. It stands wherever the stock kernels would fall back to
//! whole N × M tensors per sample.

use super::dropout::{Draws, Dropout};
use super::mask::Mask;
use super::materialised::{mask_batch, weights};
use super::scores::{Factors, Scores, Table, at_least_float, rows_of};
use crate::libtorch::autograd::attach_backward;
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
    dropped: Option<Tensor>,
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
        let dropped = self.draws.as_ref().map(|draws| draws.dropped(&rows, keys));
        Block { rows, keys, scores, v, weights, dropped }
    }
}

impl Block {
    /// The weights after dropout, but for the scale of what is kept.
    fn kept(&self) -> Tensor {
        match &self.dropped {
            Some(dropped) => self.weights.masked_fill(dropped, 0.0),
            None => self.weights.shallow_clone(),
        }
    }

    fn output(&self, scale: f64) -> Tensor {
        let output = self.kept().to_kind(self.v.kind()).matmul(&self.v);
        if self.dropped.is_some() { output * scale } else { output }
    }

    /// The gradient of the scores, `[batch | 1, heads, rows, keys]`, for that of the kept weights' product with V.
    fn scores_gradient(&self, upstream: &Tensor) -> Tensor {
        let mut gradient = product(upstream, &self.v.transpose(-2, -1));
        if let Some(dropped) = &self.dropped {
            let _ = gradient.masked_fill_(dropped, 0.0);
        }
        // Weights without a batch axis collect the gradients of all samples.
        let gradient = batch_sum(&gradient, self.weights.size()[0]);
        Tensor::internal_softmax_backward_data(&gradient, &self.weights, -1, self.weights.kind())
    }
}

/// The differentiable parts of scores, and values, with their gradients.
struct Operands {
    q: Option<Operand>,
    k: Option<Operand>,
    v: Operand,
    tables: Vec<(Operand, Option<Operand>)>,
    factors: Option<(Operand, Operand)>,
}

impl Operands {
    fn new(scores: &Scores, v: &Tensor) -> Self {
        let table = |table: &Table| (Operand::new(&table.table), table.weight.as_ref().map(Operand::new));
        Self {
            q: scores.q.as_ref().map(Operand::new),
            k: scores.k.as_ref().map(Operand::new),
            v: Operand::new(v),
            tables: scores.tables.iter().map(table).collect(),
            factors: scores.factors.as_ref().map(|factors| (Operand::new(&factors.a), Operand::new(&factors.b))),
        }
    }

    /// The tensors that the operands were made of, in the order of [`Operands::finish`].
    fn inputs<'a>(&self, scores: &'a Scores, v: &'a Tensor) -> Vec<&'a Tensor> {
        let mut list: Vec<&Tensor> = scores.q.iter().chain(&scores.k).chain([v]).collect();
        list.extend(scores.tables.iter().flat_map(|table| [Some(&table.table), table.weight.as_ref()]).flatten());
        list.extend(scores.factors.iter().flat_map(|factors| [&factors.a, &factors.b]));
        list
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Operand> {
        let tables = self.tables.iter_mut().flat_map(|(table, weight)| [Some(table), weight.as_mut()]).flatten();
        let factors = self.factors.iter_mut().flat_map(|(a, b)| [a, b]);
        self.q.iter_mut().chain(&mut self.k).chain([&mut self.v]).chain(tables).chain(factors)
    }

    fn start(&mut self) {
        self.each().for_each(Operand::start);
    }

    /// The gradients; none where nobody asked for one.
    fn finish(&mut self) -> Vec<Option<Tensor>> {
        self.each().map(Operand::finish).collect()
    }

    fn scores(&self) -> Scores {
        let value = |operand: &Operand| operand.value.shallow_clone();
        let table = |(table, weight): &(Operand, Option<Operand>)| Table {
            table: value(table),
            weight: weight.as_ref().map(value),
        };
        Scores {
            q: self.q.as_ref().map(value),
            k: self.k.as_ref().map(value),
            tables: self.tables.iter().map(table).collect(),
            factors: self.factors.as_ref().map(|(a, b)| Factors { a: value(a), b: value(b) }),
            // Nobody asks here: the path is chosen.
            from_input: false,
        }
    }

    /// Adds what a block's gradient of scores gives to each part.
    fn add(&self, block: &Block, gradient: &Tensor) {
        let (start, count) = (block.rows.start, block.rows.end - block.rows.start);
        if let (Some(q), Some(k)) = (&self.q, &self.k)
            && let (Some(block_q), Some(block_k)) = (&block.scores.q, &block.scores.k)
        {
            q.add_where_wanted(start, count, || product(gradient, block_k));
            k.add_where_wanted(0, block.keys, || product(&gradient.transpose(-2, -1), block_q));
        }
        for ((table, weight), part) in self.tables.iter().zip(&block.scores.tables) {
            add_table(table, weight.as_ref(), part, (start, count), gradient);
        }
        if let (Some((a, b)), Some(factors)) = (&self.factors, &block.scores.factors) {
            add_factors((a, b), factors, (start, count), gradient);
        }
    }
}

fn add_table(table: &Operand, weight: Option<&Operand>, part: &Table, (start, count): (i64, i64), gradient: &Tensor) {
    if !table.wanted && weight.is_none_or(|weight| !weight.wanted) {
        return;
    }
    let gradient = batch_sum(gradient, 1); // [1, heads, rows, keys]
    table.add_where_wanted(start, count, || match &part.weight {
        Some(weight) => &gradient * weight,
        None => gradient.shallow_clone(),
    });
    if let Some(weight) = weight {
        let shape = weight.value.size();
        weight.add_where_wanted(0, 1, || {
            let per_head = (&gradient * &part.table).sum_dim_intlist([2i64, 3].as_slice(), true, None::<Kind>);
            if shape[1] == 1 { per_head.sum_dim_intlist([1i64].as_slice(), true, None::<Kind>) } else { per_head }
        });
    }
}

fn add_factors((a, b): (&Operand, &Operand), factors: &Factors, (start, count): (i64, i64), gradient: &Tensor) {
    let [batch, heads, rows, keys] = gradient.size()[..] else { unreachable!("gradients have four axes") };
    let (reach, width) = factors.reach(keys);
    let grid = gradient.constant_pad_nd([0, reach * width - keys]).view([batch, heads, rows, reach, width]);
    let outer = rows_of(&factors.a, 3, 0, reach);
    let inner = rows_of(&factors.b, 3, 0, width);
    a.add_where_wanted(start, count, || (&grid * inner.unsqueeze(-2)).sum_dim_intlist(LAST, false, None::<Kind>));
    b.add_where_wanted(start, count, || {
        (&grid * outer.unsqueeze(-1)).sum_dim_intlist(LAST_BUT_ONE, false, None::<Kind>)
    });
}

const LAST: &[i64] = &[-1];
const LAST_BUT_ONE: &[i64] = &[-2];

/// A tensor without history, and its gradient where it is wanted.
struct Operand {
    value: Tensor,
    wanted: bool,
    gradient: Option<Tensor>,
}

impl Operand {
    fn new(x: &Tensor) -> Self {
        Self { value: x.detach(), wanted: x.requires_grad(), gradient: None }
    }

    fn start(&mut self) {
        self.gradient = self.wanted.then(|| at_least_float(&self.value.zeros_like()));
    }

    fn finish(&mut self) -> Option<Tensor> {
        self.gradient.take().map(|gradient| gradient.to_kind(self.value.kind()))
    }

    fn add_where_wanted(&self, start: i64, count: i64, part: impl FnOnce() -> Tensor) {
        if self.wanted {
            self.add(start, count, &part());
        }
    }

    /// Adds to `count` rows from `start` on, and to as many first columns as `part` has.
    fn add(&self, start: i64, count: i64, part: &Tensor) {
        if let Some(gradient) = &self.gradient {
            let part = batch_sum(part, gradient.size()[0]);
            let mut place = rows_of(&rows_of(gradient, 2, start, count), 3, 0, part.size()[3]);
            place += part;
        }
    }
}

/// The sum over the batch where `batch` is 1.
fn batch_sum(x: &Tensor, batch: i64) -> Tensor {
    if x.size()[0] > batch { x.sum_dim_intlist([0i64].as_slice(), true, None::<Kind>) } else { x.shallow_clone() }
}

/// `a·b` over the last two axes, in at least float32. On CUDA the second operand's kind is what is multiplied, as the
/// stock kernels do; the sum is taken and kept in float32 all the same.
fn product(a: &Tensor, b: &Tensor) -> Tensor {
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
