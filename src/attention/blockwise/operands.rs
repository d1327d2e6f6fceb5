//! What a blockwise attention is differentiable in, and the gradients that its blocks add up.

use super::super::scores::{Factors, Scores, Table, at_least_float, rows_of};
use super::{Block, batch_sum, product};
use std::cell::Cell;
use tch::{Kind, Tensor};

/// The differentiable parts of scores, and values, with their gradients.
pub(super) struct Operands {
    q: Option<Operand>,
    k: Option<Operand>,
    pub(super) v: Operand,
    tables: Vec<(Operand, Option<Operand>)>,
    factors: Option<(Operand, Operand)>,
}

impl Operands {
    pub(super) fn new(scores: &Scores, v: &Tensor) -> Self {
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
    pub(super) fn inputs<'a>(&self, scores: &'a Scores, v: &'a Tensor) -> Vec<&'a Tensor> {
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

    pub(super) fn start(&mut self) {
        self.each().for_each(Operand::start);
    }

    /// The gradients; none where nobody asked for one.
    pub(super) fn finish(&mut self) -> Vec<Option<Tensor>> {
        self.each().map(Operand::finish).collect()
    }

    pub(super) fn scores(&self) -> Scores {
        let value = |operand: &Operand| operand.value.shallow_clone();
        let table = |(table, weight): &(Operand, Option<Operand>)| Table {
            table: value(table),
            weight: weight.as_ref().map(value),
        };
        Scores {
            q: self.q.as_ref().map(value),
            scale: None,
            k: self.k.as_ref().map(value),
            tables: self.tables.iter().map(table).collect(),
            factors: self.factors.as_ref().map(|(a, b)| Factors { a: value(a), b: value(b) }),
            // Nobody asks here: the path is chosen.
            from_input: false,
        }
    }

    /// Adds what a block's gradient of scores gives to each part.
    pub(super) fn add(&self, block: &Block, gradient: &Tensor) {
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
pub(super) struct Operand {
    pub(super) value: Tensor,
    wanted: bool,
    gradient: Option<Tensor>,
    /// Whether the gradient holds numbers yet.
    begun: Cell<bool>,
}

impl Operand {
    fn new(x: &Tensor) -> Self {
        Self { value: x.detach(), wanted: x.requires_grad(), gradient: None, begun: Cell::new(false) }
    }

    fn start(&mut self) {
        self.gradient = self.wanted.then(|| at_least_float(&self.value.empty_like()));
        self.begun.set(false);
    }

    fn finish(&mut self) -> Option<Tensor> {
        let mut gradient = self.gradient.take()?;
        if !self.begun.get() {
            gradient = gradient.zero_();
        }
        Some(gradient.to_kind(self.value.kind()))
    }

    fn add_where_wanted(&self, start: i64, count: i64, part: impl FnOnce() -> Tensor) {
        if self.wanted {
            self.add(start, count, &part());
        }
    }

    /// Adds to `count` rows from `start` on, and to as many first columns as `part` has.
    pub(super) fn add(&self, start: i64, count: i64, part: &Tensor) {
        if let Some(gradient) = &self.gradient {
            let part = batch_sum(part, gradient.size()[0]);
            let mut place = rows_of(&rows_of(gradient, 2, start, count), 3, 0, part.size()[3]);
            if self.begun.replace(true) {
                place += part;
                return;
            }
            // One block may be all there is: then nothing need be zero before.
            if place.size() != gradient.size() {
                let _ = gradient.shallow_clone().zero_();
            }
            place.copy_(&part);
        }
    }
}
