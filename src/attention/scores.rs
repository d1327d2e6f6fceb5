//! What an attention knows before the softmax: scores in factored form.

use std::ops::Range;
use tch::{Kind, Tensor};

/// Scores `B = scale·Q·Kᵀ + Σ weight·table + A ⊗ B`, each part optional; where one is absent it counts as zero.
#[derive(Debug, Default)]
pub struct Scores {
    /// Q: `[batch | 1, heads, N, r]`.
    pub q: Option<Tensor>,
    /// What Q is still to be multiplied by: kernels take it with the product.
    pub scale: Option<f64>,
    /// K: `[batch | 1, heads, M, r]`.
    pub k: Option<Tensor>,
    /// Tables that stand in memory, shared by the batch.
    pub tables: Vec<Table>,
    /// Two factors of every row.
    pub factors: Option<Factors>,
    /// The scores depend on the input: also those of a batch of one, whose shapes do not tell.
    pub from_input: bool,
}

/// A table of scores, shared by the batch.
#[derive(Debug)]
pub struct Table {
    /// `[1, heads, N, M]`, at least float32.
    pub table: Tensor,
    /// What a mixture multiplies it by, `[1, 1 | heads, 1, 1]`: kept apart, so that their product need never stand
    /// beside the table.
    pub weight: Option<Tensor>,
}

/// Rows of scores as outer products: `score[i, p] = a[i, p div width(b)] · b[i, p mod width(b)]`.
#[derive(Debug)]
pub struct Factors {
    /// `[batch, heads, N, a]`.
    pub a: Tensor,
    /// `[batch, heads, N, b]`.
    pub b: Tensor,
}

impl Scores {
    /// Scores of one table, `[1, heads, N, M]`, alone.
    pub fn of_table(table: Tensor) -> Self {
        Scores { tables: vec![Table { table, weight: None }], ..Scores::default() }
    }

    /// The scores with `bias` `[1, heads, N, M]` added.
    pub fn with_bias(mut self, bias: Option<&Tensor>) -> Self {
        self.tables.extend(bias.map(|bias| Table { table: bias.shallow_clone(), weight: None }));
        self
    }

    /// The scores with each part multiplied by `weight` `[1, 1 | heads, 1, 1]`.
    pub fn weighted(self, weight: &Tensor) -> Self {
        // The product is taken in the weight's float32 and rounded once.
        let times = |x: Tensor| (&x * weight).to_kind(x.kind());
        let of_q = self.scale.map_or_else(|| weight.shallow_clone(), |scale| weight * scale);
        let table = |Table { table, weight: before }| {
            let weight = before.map_or_else(|| weight.shallow_clone(), |before: Tensor| before * weight);
            Table { table, weight: Some(weight) }
        };
        Scores {
            q: self.q.map(|q| (&q * of_q).to_kind(q.kind())),
            scale: None,
            k: self.k,
            tables: self.tables.into_iter().map(table).collect(),
            factors: self.factors.map(|Factors { a, b }| Factors { a: times(a), b }),
            from_input: self.from_input,
        }
    }

    /// The sum of scores: products side by side, as one product over the sum of their widths.
    ///
    /// # Panics
    /// Where two of them have factors, which only one part makes.
    pub fn sum(mut list: Vec<Scores>) -> Self {
        if list.len() == 1 {
            return list.remove(0);
        }
        let mut sum = Scores::default();
        let (mut q, mut k) = (Vec::new(), Vec::new());
        for scores in list {
            q.extend(scores.scaled_q());
            k.extend(scores.k);
            sum.tables.extend(scores.tables);
            assert!(sum.factors.is_none() || scores.factors.is_none(), "one part of a mixture has factors");
            sum.factors = sum.factors.or(scores.factors);
            sum.from_input |= scores.from_input;
        }
        sum.q = side_by_side(q);
        sum.k = side_by_side(k);
        sum
    }

    /// Q with its scale.
    pub fn scaled_q(&self) -> Option<Tensor> {
        self.q.as_ref().map(|q| self.scale.map_or_else(|| q.shallow_clone(), |scale| q * scale))
    }

    /// The same scores with nothing still to be multiplied.
    pub fn scaled(&self) -> Self {
        let table = |Table { table, weight }: &Table| Table {
            table: table.shallow_clone(),
            weight: weight.as_ref().map(Tensor::shallow_clone),
        };
        let factors = |Factors { a, b }: &Factors| Factors { a: a.shallow_clone(), b: b.shallow_clone() };
        Scores {
            q: self.scaled_q(),
            scale: None,
            k: self.k.as_ref().map(Tensor::shallow_clone),
            tables: self.tables.iter().map(table).collect(),
            factors: self.factors.as_ref().map(factors),
            from_input: self.from_input,
        }
    }

    /// Whether the scores are the same for every sample of a batch.
    pub fn batch_independent(&self) -> bool {
        let one_for_all = [&self.q, &self.k].into_iter().flatten().all(|part| part.size()[0] == 1);
        one_for_all && self.factors.is_none() && !self.from_input
    }

    /// Number of queries.
    pub fn queries(&self) -> i64 {
        let factor = self.factors.as_ref().map(|factors| &factors.a);
        let table = self.tables.first().map(|table| &table.table);
        self.q.as_ref().or(table).or(factor).map_or(0, |part| part.size()[2])
    }

    /// The scores of some queries over the first `m` keys.
    pub fn block(&self, rows: &Range<i64>, m: i64) -> Scores {
        let cut = |x: &Tensor| rows_of(x, 2, rows.start, rows.end - rows.start);
        let table = |table: &Table| Table {
            table: rows_of(&cut(&table.table), 3, 0, m),
            weight: table.weight.as_ref().map(Tensor::shallow_clone),
        };
        Scores {
            q: self.q.as_ref().map(cut),
            scale: self.scale,
            k: self.k.as_ref().map(|k| rows_of(k, 2, 0, m)),
            tables: self.tables.iter().map(table).collect(),
            factors: self.factors.as_ref().map(|factors| Factors { a: cut(&factors.a), b: cut(&factors.b) }),
            from_input: self.from_input,
        }
    }

    /// The whole matrix of scores over `m` keys, `[batch | 1, heads, N, M]`, in at least float32.
    ///
    /// # Panics
    /// Where there is no part at all, which no kind makes.
    pub fn materialise(&self, m: i64) -> Tensor {
        self.materialise_by(|q, k| at_least_float(q).matmul(&at_least_float(k)), m)
    }

    /// [`Scores::materialise`] with the product of Q and Kᵀ by `product`.
    pub fn materialise_by(&self, product: fn(&Tensor, &Tensor) -> Tensor, m: i64) -> Tensor {
        let mut sum = match (&self.scaled_q(), &self.k) {
            (Some(q), Some(k)) => Some(product(q, &k.transpose(-2, -1))),
            _ => None,
        };
        let tables = self.tables.iter().map(Table::whole);
        for part in tables.chain(self.factors.as_ref().map(|factors| factors.whole(m))) {
            sum = Some(sum.map_or_else(|| part.shallow_clone(), |sum| sum + &part));
        }
        sum.expect("scores have a product, a table or factors")
    }
}

impl Table {
    /// The table times its weight.
    pub fn whole(&self) -> Tensor {
        let table = at_least_float(&self.table);
        self.weight.as_ref().map_or_else(|| table.shallow_clone(), |weight| &table * weight)
    }
}

impl Factors {
    /// The outer products' first `m` entries, `[batch, heads, N, m]`, in at least float32.
    pub fn whole(&self, m: i64) -> Tensor {
        let (a, b) = (at_least_float(&self.a), at_least_float(&self.b));
        let (reach, width) = self.reach(m);
        let outer = rows_of(&a, 3, 0, reach).unsqueeze(-1) * rows_of(&b, 3, 0, width).unsqueeze(-2);
        rows_of(&outer.flatten(3, 4), 3, 0, m)
    }

    /// How many entries of `a` and of `b` the first `m` keys take.
    pub fn reach(&self, m: i64) -> (i64, i64) {
        let width = self.b.size()[3];
        ((m + width - 1) / width, width.min(m.max(1)))
    }
}

/// `[batch | 1, heads, L, r_i]` as one tensor of the sum of widths. Where batches or kinds differ the larger batch and
/// the narrower kind rule.
fn side_by_side(parts: Vec<Tensor>) -> Option<Tensor> {
    let batch = parts.iter().map(|part| part.size()[0]).max()?;
    if parts.len() == 1 {
        return parts.into_iter().next();
    }
    let kinds: Vec<Kind> = parts.iter().map(Tensor::kind).collect();
    let kind = kinds.iter().copied().find(|kind| *kind == Kind::BFloat16).unwrap_or(kinds[0]);
    let fitted = parts.iter().map(|part| part.to_kind(kind).expand([batch, -1, -1, -1], false));
    Some(Tensor::cat(&fitted.collect::<Vec<_>>(), 3))
}

/// `length` entries of axis `axis` from `start` on; the tensor itself where that is all of them, so that no gradient
/// need be spread over a tensor of zeros.
pub fn rows_of(x: &Tensor, axis: i64, start: i64, length: i64) -> Tensor {
    if start == 0 && length == x.size()[axis as usize] { x.shallow_clone() } else { x.narrow(axis, start, length) }
}

/// float64 stays, all else becomes float32.
pub fn at_least_float(x: &Tensor) -> Tensor {
    if x.kind() == Kind::Double { x.shallow_clone() } else { x.to_kind(Kind::Float) }
}
