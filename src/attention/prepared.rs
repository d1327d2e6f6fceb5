//! Attention of one new position per sequence, at a position that the device alone knows: everything that no input
//! changes is made before, and what a step runs can be recorded once for many positions.

use super::blockwise::product;
use super::cached::Cached;
use super::clock::Clock;
use super::layer::SynthesizedAttention;
use super::linear::Linear;
use super::mask::Mask;
use super::materialised;
use super::score_source::{Queries, ScoreSource};
use super::scores::{Scores, at_least_float};
use super::state::State;
use tch::{Kind, Tensor};

/// A layer made ready for steps. Its products with the input are one: query, keys, values, and what parts project
/// besides, side by side in this order.
pub struct PreparedAttention<'a> {
    layer: &'a SynthesizedAttention,
    inputs: Linear,
    /// What a mixture multiplies each part by.
    weights: Option<Vec<Tensor>>,
    output: Linear,
}

/// What no input changes of the steps at the first `M` positions.
pub enum Tables {
    /// The weights themselves, `[M, heads, M]` by position of the query.
    Weights(Tensor),
    /// Scores depend on the input.
    Scores {
        /// What is added to them, `[M, heads, M]`, −∞ at keys after the query; `None` where nothing is.
        added: Option<Tensor>,
        /// Each part's learned keys.
        keys: Vec<Option<Tensor>>,
    },
}

/// What a layer reads in the step at one position, over the first `M` keys of its state, or over those up to it.
pub enum Row<'a> {
    /// The weights, `[batch, heads, M]`.
    Weights(Tensor),
    /// What is added to scores, `[1, 1 | heads, 1, M]`, and each part's learned keys.
    Scores(Tensor, &'a [Option<Tensor>]),
    /// Nothing: the stock kernel takes queries and kept keys, those up to the clock's position.
    Cached(&'a Cached),
}

impl<'a> PreparedAttention<'a> {
    /// The layer with its weights in `compute`, in which products are computed.
    pub fn new(layer: &'a SynthesizedAttention, compute: Kind) -> Self {
        let keys = layer.parts.iter().filter_map(|part| part.key());
        let own = layer.parts.iter().flat_map(|part| part.projections());
        let inputs: Vec<_> = layer.query.iter().chain(keys).chain([&layer.value]).chain(own).collect();
        Self {
            layer,
            inputs: Linear::joined(&inputs, compute),
            weights: layer.mixture.as_ref().map(|mixture| mixture.weights()),
            output: Linear::of(&layer.output, compute),
        }
    }

    /// Whether the stock kernel of [`Cached`] computes this layer, where it computes anything and nothing is added to scores.
    pub fn is_dot_product(&self) -> bool {
        self.scale().is_some()
    }

    fn scale(&self) -> Option<f64> {
        if let [part] = &self.layer.parts[..] { part.scale() } else { None }
    }

    /// What no input changes of the steps at the first `m` positions, over as many keys. `bias` `[1, heads, m, m]` is added
    /// to the scores, outside a mixture's weights.
    pub fn tables(&self, m: i64, bias: Option<&Tensor>) -> Tables {
        let causal = Mask::causal();
        let hidden = causal.hidden(&(0..m), m, (m, m), self.layer.value.input().1);
        let queries = Queries { query: None, projected: &[], first: 0, count: m };
        let fixed = self.parts(true).map(|(place, part)| self.weighed(place, part.scores(&queries, None, m)));
        let fixed = fixed.map(|scores| scores.materialise(m)).chain(bias.map(at_least_float));
        let fixed = fixed.reduce(|sum, scores| sum + scores);
        let by_query = |table: Tensor| table.squeeze_dim(0).transpose(0, 1).contiguous();
        match fixed {
            Some(scores) if self.parts(false).next().is_none() => {
                let weights = materialised::weights(&scores, hidden.as_ref(), &causal);
                Tables::Weights(by_query(weights.to_kind(self.inputs.kind())))
            }
            fixed => {
                let masked = |scores: Tensor| match &hidden {
                    Some(hidden) => scores.masked_fill(hidden, f64::NEG_INFINITY),
                    None => scores,
                };
                let keys = self.layer.parts.iter().map(|part| part.learned_keys(m, self.inputs.kind()));
                Tables::Scores { added: fixed.map(|scores| by_query(masked(scores))), keys: keys.collect() }
            }
        }
    }

    /// Adds the attention of `x` `[batch, d_model]` to `stream`, after keeping its keys and values at the clock's
    /// position. `row` is of that position.
    pub fn step(&self, x: &Tensor, stream: &mut Tensor, state: &State, clock: &Clock, row: &Row<'_>) {
        let projected = self.inputs.forward(x);
        let [kept, batch, heads, _, width] = state.kept.size()[..] else { unreachable!("states have five axes") };
        let query = if self.layer.query.is_some() { heads * width } else { 0 };
        let new = projected.narrow(1, query, kept * heads * width).view([batch, kept, heads, width]);
        let _ = state.kept.shallow_clone().index_copy_(3, &clock.position(), &new.transpose(0, 1).unsqueeze(3));
        let mixed = match row {
            Row::Weights(weights) => weigh(weights, state),
            Row::Cached(cached) => {
                let query = projected.narrow(1, 0, query).view([batch, heads, width]);
                cached.attend(&query, state, 0, clock, self.scale().expect("the layer is a dot product"))
            }
            Row::Scores(added, keys) => weigh(&self.weights_of(&projected, state, added, keys), state),
        };
        self.output.add_to(stream, &mixed.view([batch, heads * width]));
    }

    /// The weights of scores that depend on the input, `[batch, heads, M]`.
    fn weights_of(&self, projected: &Tensor, state: &State, added: &Tensor, keys: &[Option<Tensor>]) -> Tensor {
        let (batch, heads, m) = (projected.size()[0], self.layer.dimensions.heads, added.size()[3]);
        let inner = self.layer.dimensions.inner();
        let mut columns = Columns { projected, heads, next: 0 };
        let query = self.layer.query.as_ref().map(|_| columns.take(inner));
        columns.next += state.kept.size()[0] * inner;
        let mut logits = added.shallow_clone();
        let mut kept = 0;
        for (place, part) in self.parts(false) {
            let own: Vec<Tensor> =
                part.projections().into_iter().map(|own| columns.take(own.weight().size()[0])).collect();
            let queries = Queries { query: query.as_ref(), projected: &own, first: m - 1, count: 1 };
            let input_keys = part.key().map(|_| {
                kept += 1;
                state.first(kept - 1, m)
            });
            let scores = part.scores(&queries, input_keys.as_ref().or(keys[place].as_ref()), m);
            logits = self.weighed(place, scores).materialise_by(one_query, m) + &logits;
        }
        logits.softmax(-1, None::<Kind>).to_kind(projected.kind()).view([batch, heads, m])
    }

    /// The parts whose scores no input changes, or the others, with their places.
    fn parts(&self, fixed: bool) -> impl Iterator<Item = (usize, &dyn ScoreSource)> {
        let parts = self.layer.kind.parts().zip(&self.layer.parts).enumerate();
        let wanted = parts.filter(move |(_, (part, _))| part.variant().batch_independent == fixed);
        wanted.map(|(place, (_, source))| (place, source.as_ref()))
    }

    fn weighed(&self, place: usize, scores: Scores) -> Scores {
        match &self.weights {
            Some(weights) => scores.weighted(&weights[place]),
            None => scores,
        }
    }
}

/// Outputs of the joined projection, taken one after the other.
struct Columns<'a> {
    projected: &'a Tensor, // [batch, columns]
    heads: i64,
    next: i64,
}

impl Columns<'_> {
    /// The next `count` columns, `[batch, heads, 1, count / heads]`.
    fn take(&mut self, count: i64) -> Tensor {
        let columns = self.projected.narrow(1, self.next, count);
        self.next += count;
        columns.view([-1, self.heads, 1, count / self.heads])
    }
}

/// The weights `[batch, heads, M]` times the first M values: `[batch · heads, 1, d_h]`.
fn weigh(weights: &Tensor, state: &State) -> Tensor {
    let [batch, heads, m] = weights.size()[..] else { unreachable!("weights have three axes") };
    let values = state.first(state.values(), m).view([batch * heads, m, -1]);
    weights.view([batch * heads, 1, m]).bmm(&values)
}

/// Q·Kᵀ of one query per sample, as [`product`] takes it. Keys that samples share meet all queries in one product.
fn one_query(q: &Tensor, k: &Tensor) -> Tensor {
    if k.size()[0] == q.size()[0] {
        return product(q, k);
    }
    product(&q.transpose(0, 2), k).transpose(0, 2)
}
