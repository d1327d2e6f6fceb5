//! The scores of the attention.

use crate::attention::softmax;
use crate::kinds::{Half, Part};
use crate::model::{Model, Rows, dot};
use crate::number::Number;

/// The score of a key position, the last argument, for a head and a query position.
type Score<'a, S> = Box<dyn Fn(usize, usize, usize) -> S + 'a>;

/// What an attention reads.
#[derive(Clone, Copy)]
pub enum Reading<'a, S> {
    /// A stream, each position itself and all before.
    Past(&'a Rows<S>),
    /// A source, each position all of it.
    All(&'a Rows<S>),
    /// A memory, the second, for the positions of a stream: all of it.
    Memory(&'a Rows<S>, &'a Rows<S>),
}

impl<'a, S> Reading<'a, S> {
    /// What queries are made of.
    pub fn queries(self) -> &'a Rows<S> {
        match self {
            Self::Past(rows) | Self::All(rows) | Self::Memory(rows, _) => rows,
        }
    }

    /// What keys and values are made of.
    pub fn keys(self) -> &'a Rows<S> {
        match self {
            Self::Past(rows) | Self::All(rows) | Self::Memory(_, rows) => rows,
        }
    }

    /// The half whose relative positions count.
    fn relative(self) -> Option<Half> {
        match self {
            Self::Past(_) => Some(Half::Decoder),
            Self::All(_) => Some(Half::Encoder),
            Self::Memory(..) => None,
        }
    }

    /// How many keys a query sees.
    fn seen(self, query: usize) -> usize {
        if matches!(self, Self::Past(_)) { query + 1 } else { self.keys().len() }
    }
}

/// The attention that scores are made for.
struct Site<'a, S> {
    /// What queries are made of.
    rows: &'a Rows<S>,
    /// What keys are made of.
    keys: &'a Rows<S>,
    /// The attention's name.
    name: &'a str,
    /// Whether it has `vanilla` or `dense`, whose products' operands are rounded.
    multiplies: bool,
    /// Whether it has one part only.
    alone: bool,
}

impl<S: Number> Model<S> {
    /// The scores of each head, for each position those of the positions that it sees.
    pub fn scores(&self, reading: Reading<'_, S>, name: &str, parts: &[Part]) -> Vec<Rows<S>> {
        let (rows, keys) = (reading.queries(), reading.keys());
        let multiplies = parts.iter().any(|part| matches!(part, Part::Vanilla | Part::Dense));
        let site = Site { rows, keys, name, multiplies, alone: parts.len() == 1 };
        let weights = self.mixture(name, parts.len());
        let parts: Vec<Score<S>> =
            parts.iter().zip(weights).map(|(part, weights)| self.part(*part, &site, weights)).collect();
        let score = |head, p, q| {
            let mixed = parts.iter().fold(S::from(0.0), |sum, part| sum + part(head, p, q));
            let bias = reading.relative().and_then(|half| self.relative(half, head, p, q));
            bias.map_or(mixed, |bias| mixed + bias)
        };
        let row = |head, p| (0..reading.seen(p)).map(|q| score(head, p, q)).collect();
        (0..self.plan.heads).map(|head| (0..rows.len()).map(|p| row(head, p)).collect()).collect()
    }

    /// The weights of a mixture, per part and head.
    fn mixture(&self, name: &str, parts: usize) -> Vec<Vec<S>> {
        let heads = self.plan.heads;
        let Some(logits) = self.weights.get(&format!("{name}.mixture")) else {
            return vec![vec![S::from(1.0); heads]; parts];
        };
        let logit =
            |part: usize, head: usize| if logits.len() == parts { logits[part] } else { logits[part * heads + head] };
        let per_head: Rows<S> =
            (0..heads).map(|head| softmax((0..parts).map(|part| logit(part, head)).collect())).collect();
        (0..parts).map(|part| per_head.iter().map(|weights| weights[part]).collect()).collect()
    }

    fn part<'a>(&'a self, part: Part, site: &Site<'a, S>, weights: Vec<S>) -> Score<'a, S> {
        match part {
            Part::Vanilla => self.vanilla(site, weights),
            Part::Dense => self.dense(site, weights),
            Part::FactorizedDense => self.factorized_dense(site, weights),
            Part::Random => self.table(site, "random.r", weights),
            Part::FixedRandom => self.table(site, "fixed-random.r", weights),
            Part::FactorizedRandom => self.factorized_random(site, weights),
        }
    }

    fn vanilla<'a>(&'a self, site: &Site<'a, S>, weights: Vec<S>) -> Score<'a, S> {
        let width = self.plan.head_width;
        let root = S::from((width as f64).sqrt());
        let query = self.projected(site.rows, &format!("{}.query", site.name));
        let weights: Vec<S> = weights.iter().map(|weight| *weight / root).collect();
        // Alone a fused kernel multiplies the product.
        let (query, divisor) = if site.alone { (query, root) } else { (self.weighed(query, &weights), S::from(1.0)) };
        let key = self.projected(site.keys, &format!("{}.key", site.name));
        Box::new(move |head, p, q| dot(&query[p][head * width..][..width], &key[q][head * width..][..width]) / divisor)
    }

    fn dense<'a>(&'a self, site: &Site<'a, S>, weights: Vec<S>) -> Score<'a, S> {
        let (round, choices) = (self.round, &self.plan.attention);
        let (r, length) = (choices.hidden, self.plan.max_length);
        let [w2, b2] = ["w2", "b2"].map(|table| self.weights.get(&format!("{}.dense.{table}", site.name)));
        let w2: Vec<S> = w2.expect("W₂").iter().map(|w| round(*w)).collect();
        let hidden = self.weighed(self.hidden(site), &weights);
        Box::new(move |head, p, q| {
            let row = if choices.shared_output { q } else { head * length + q };
            let score = dot(&hidden[p][head * r..][..r], &w2[row * r..][..r]);
            b2.map_or(score, |b2| score + round(weights[head]) * round(b2[row]))
        })
    }

    /// u. The bias is added to products that are rounded already, whatever layer they come from.
    fn hidden(&self, site: &Site<'_, S>) -> Rows<S> {
        let first = if self.plan.attention.shared_query { "query" } else { "dense.w1" };
        let mut hidden = self.projected(site.rows, &format!("{}.{first}", site.name));
        let bias = self.weights.get(&format!("{}.dense.w1.bias", site.name));
        if let Some(bias) = bias {
            let added = |(x, bias): (&mut S, &S)| *x = (self.round)(*x + (self.round)(*bias));
            hidden.iter_mut().for_each(|row| row.iter_mut().zip(bias).for_each(added));
        }
        hidden.iter_mut().flatten().for_each(|x| *x = x.relu());
        hidden
    }

    fn factorized_dense<'a>(&'a self, site: &Site<'a, S>, weights: Vec<S>) -> Score<'a, S> {
        let [a, b] = self.plan.attention.factors;
        let [first, second] = ["a", "b"].map(|factor| format!("{}.factorized-dense.{factor}", site.name));
        let first = self.weighed(self.projected(site.rows, &first), &weights);
        let second = self.projected(site.rows, &second);
        Box::new(move |head, p, q| first[p][head * a + q / b] * second[p][head * b + q % b])
    }

    fn table<'a>(&'a self, site: &Site<'a, S>, table: &str, weights: Vec<S>) -> Score<'a, S> {
        let (table, length) = (&self.weights[&format!("{}.{table}", site.name)], self.plan.max_length);
        Box::new(move |head, p, q| weights[head] * table[(head * length + p) * length + q])
    }

    /// The tables are rounded only beside a part whose product they join, and R₁ once, with its weight.
    fn factorized_random<'a>(&'a self, site: &Site<'a, S>, weights: Vec<S>) -> Score<'a, S> {
        let (rank, length) = (self.plan.attention.rank, self.plan.max_length);
        let [r1, r2] = ["r1", "r2"].map(|table| &self.weights[&format!("{}.factorized-random.{table}", site.name)]);
        let round = if site.multiplies { self.round } else { |x| x };
        Box::new(move |head, p, q| {
            let entry = |(x, y): (&S, &S)| round(weights[head] * *x) * round(*y);
            let [r1, r2] = [(r1, p), (r2, q)].map(|(table, row)| &table[(head * length + row) * rank..][..rank]);
            r1.iter().zip(r2).map(entry).fold(S::from(0.0), |sum, entry| sum + entry)
        })
    }

    /// Each head's share of the columns times its weight.
    fn weighed(&self, mut rows: Rows<S>, weights: &[S]) -> Rows<S> {
        let width = rows[0].len() / weights.len();
        let weighed = |(column, x): (usize, &mut S)| *x = (self.round)(*x * weights[column / width]);
        rows.iter_mut().for_each(|row| row.iter_mut().enumerate().for_each(weighed));
        rows
    }
}
