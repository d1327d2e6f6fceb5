//! The attention layer of every kind: values, the parts' scores, `attend`, output projection.

use super::attend::{Path, attend, attend_by, choose};
use super::dropout::Dropout;
use super::kind::Kind;
use super::mask::Mask;
use super::mixer::{Pass, TokenMixer};
use super::mixture::Mixture;
use super::options::AttentionOptions;
use super::packed;
use super::projection::{Projection, join_heads, project_together, split_heads};
use super::score_source::{Columns, Queries, ScoreSource};
use super::scores::Scores;
use super::variant::Dimensions;
use crate::kernels::score_operands::Parts;
use crate::parameters::{Role, Scope};
use crate::randomness::derive;
use anyhow::{Result, ensure};
use tch::{Kind as NumberKind, Tensor};

/// An attention layer of any kind. Its projections have no biases unless `attention.bias` says so: neither have those
/// of the authors' code (mesh-tensorflow).
pub struct SynthesizedAttention {
    pub(super) kind: Kind,
    pub(super) parts: Vec<Box<dyn ScoreSource>>,
    pub(super) mixture: Option<Mixture>,
    pub(super) query: Option<Projection>,
    pub(super) value: Projection,
    pub(super) output: Projection,
    pub(super) dimensions: Dimensions,
    /// The longest input, where tables are tied to positions.
    max_length: Option<i64>,
    dropout: f64,
    stream: u64,
}

/// A layer's inputs after its projections, each as heads.
pub(super) struct Projected {
    pub(super) queries: ProjectedQueries,
    pub(super) memory: ProjectedMemory,
}

/// What projections made of the queries' input.
pub(super) struct ProjectedQueries {
    /// Unscaled, `[batch, heads, N, d_h]`, where a part reads it.
    query: Option<Tensor>,
    /// What each part's own projections gave, `[batch, heads, N, width]`.
    own: Vec<Vec<Tensor>>,
    /// N.
    count: i64,
}

/// What projections made of the keys' input.
pub(super) struct ProjectedMemory {
    /// Each part's keys where they come from the input, `[batch, heads, M, d_h]`.
    pub(super) keys: Vec<Option<Tensor>>,
    /// `[batch, heads, M, d_h]`.
    pub(super) values: Tensor,
}

impl SynthesizedAttention {
    /// A layer of `kind`, whose tensors are named below `scope`. `dropout` is the weights' probability;
    /// the output projection is one of `summands` layers that join a residual stream.
    pub fn new(
        scope: Scope<'_>,
        kind: Kind,
        options: &AttentionOptions,
        dimensions: Dimensions,
        dropout: f64,
        summands: i64,
    ) -> Self {
        let mut scope = scope.with_role(Role::Attention);
        let (d_model, inner) = (dimensions.d_model, dimensions.inner());
        let inwards = |scope: Scope<'_>| Projection::new(scope, (d_model, inner), 1, options.bias);
        let query = kind.reads_query(options).then(|| inwards(scope.enter("query")));
        let parts = kind.parts().map(|part| (part.variant().build)(&mut scope, options, dimensions)).collect();
        let mixture = Mixture::new(&mut scope, kind, options, dimensions);
        let value = inwards(scope.enter("value"));
        let output = Projection::new(scope.enter("output"), (inner, d_model), summands, options.bias);
        let max_length = kind.capabilities().length_bound.then_some(dimensions.max_length);
        let stream = derive(0, scope.name(), &[]);
        Self { kind, parts, mixture, query, value, output, dimensions, max_length, dropout, stream }
    }

    /// Attention of `x` `[batch, N, d_model]` over `memory` `[batch, M, d_model]`. `bias` `[1, heads, N, M]` is added
    /// to the scores, outside a mixture's weights.
    ///
    /// # Errors
    /// Where an input is longer than the kind's tables by position; under a causal mask, where there are more queries
    /// than keys.
    pub fn attend_to(
        &self,
        x: &Tensor,
        memory: &Tensor,
        bias: Option<&Tensor>,
        mask: &Mask,
        pass: Pass<'_>,
    ) -> Result<Tensor> {
        check_causal(x, memory, mask)?;
        if x.as_ptr() == memory.as_ptr() && bias.is_none() {
            self.check_length(x.size()[1])?;
            if let Some(mixed) = packed::attend(self, x, mask, pass) {
                return Ok(self.output.forward(&mixed, pass));
            }
        }
        let projected = self.project(x, memory, pass);
        let scores = self.scores_of(&projected, bias, pass)?;
        Ok(self.finish(&scores, &projected.memory.values, mask, pass))
    }

    /// [`SynthesizedAttention::attend_to`] by a given path; `None` where it does not compute these scores.
    ///
    /// # Errors
    /// As [`SynthesizedAttention::attend_to`].
    pub fn attend_to_by(
        &self,
        path: Path,
        (x, memory): (&Tensor, &Tensor),
        bias: Option<&Tensor>,
        mask: &Mask,
        pass: Pass<'_>,
    ) -> Result<Option<Tensor>> {
        check_causal(x, memory, mask)?;
        let projected = self.project(x, memory, pass);
        let scores = self.scores_of(&projected, bias, pass)?;
        let mixed = attend_by(path, &scores, &projected.memory.values, mask, self.dropout(pass));
        Ok(mixed.map(|mixed| self.output.forward(&join_heads(&mixed), pass)))
    }

    /// The scores of queries from `x` over keys from `memory`, before any mask.
    ///
    /// # Errors
    /// As [`SynthesizedAttention::attend_to`].
    pub fn scores(&self, x: &Tensor, memory: &Tensor, bias: Option<&Tensor>, pass: Pass<'_>) -> Result<Scores> {
        self.scores_of(&self.project(x, memory, pass), bias, pass)
    }

    fn scores_of(&self, projected: &Projected, bias: Option<&Tensor>, pass: Pass<'_>) -> Result<Scores> {
        let Projected { queries, memory } = projected;
        let m = memory.values.size()[2];
        self.check_length(m.max(queries.count))?;
        Ok(self.scores_at(queries, 0, &memory.keys, m, pass).with_bias(bias))
    }

    pub(super) fn check_length(&self, length: i64) -> Result<()> {
        if let Some(max) = self.max_length {
            ensure!(length <= max, "an input of {length} tokens is longer than model.max_length = {max}");
        }
        Ok(())
    }

    /// All projections of an input that is its own memory, in the order of their product.
    pub(super) fn projections(&self) -> Vec<&Projection> {
        let own = self.parts.iter().flat_map(|part| part.projections());
        let keys = self.parts.iter().filter_map(|part| part.key());
        self.query.iter().chain(own).chain(keys).chain([&self.value]).collect()
    }

    /// The parts from the columns of that product on; `None` where one has no such form.
    pub(super) fn packed_parts(&self) -> Option<Parts> {
        let mut columns = 0;
        let mut next = |projection: &Projection| {
            let first = columns;
            columns += projection.outputs();
            first
        };
        let query = self.query.as_ref().map(&mut next);
        let own: Vec<Vec<i64>> =
            self.parts.iter().map(|part| part.projections().into_iter().map(&mut next).collect()).collect();
        let keys: Vec<Option<i64>> = self.parts.iter().map(|part| part.key().map(&mut next)).collect();
        let value_column = next(&self.value);
        let Dimensions { heads, head_width: value_width, .. } = self.dimensions;
        let part =
            |place: usize| self.parts[place].packed(&Columns { query, own: &own[place], key: keys[place], heads });
        let list = (0..self.parts.len()).map(part).collect::<Option<Vec<_>>>()?;
        Some(Parts { list, heads, columns, value_column, value_width })
    }

    /// What a mixture multiplies its parts by, `[parts, heads | 1]`.
    pub(super) fn mixture_weights(&self) -> Option<Tensor> {
        self.mixture.as_ref().map(|mixture| mixture.shares().view([self.parts.len() as i64, -1]))
    }

    /// All products with the queries' input `x` `[batch, N, d_model]` and the keys' `memory` `[batch, M, d_model]`.
    pub(super) fn project(&self, x: &Tensor, memory: &Tensor, pass: Pass<'_>) -> Projected {
        if x.as_ptr() != memory.as_ptr() {
            return Projected { queries: self.project_queries(x, pass), memory: self.project_memory(memory, pass) };
        }
        let mut outputs = self.heads_of(&self.projections(), x, pass);
        Projected { queries: self.queries_of(&mut outputs, x), memory: self.memory_of(&mut outputs) }
    }

    /// All products with the queries' input `x` `[batch, N, d_model]`.
    pub(super) fn project_queries(&self, x: &Tensor, pass: Pass<'_>) -> ProjectedQueries {
        let own = self.parts.iter().flat_map(|part| part.projections());
        let projections: Vec<_> = self.query.iter().chain(own).collect();
        self.queries_of(&mut self.heads_of(&projections, x, pass), x)
    }

    /// All products with the keys' input `memory` `[batch, M, d_model]`.
    pub(super) fn project_memory(&self, memory: &Tensor, pass: Pass<'_>) -> ProjectedMemory {
        let keys = self.parts.iter().filter_map(|part| part.key());
        let projections: Vec<_> = keys.chain([&self.value]).collect();
        self.memory_of(&mut self.heads_of(&projections, memory, pass))
    }

    /// What each of `projections` makes of `x`, as heads.
    fn heads_of(
        &self,
        projections: &[&Projection],
        x: &Tensor,
        pass: Pass<'_>,
    ) -> impl Iterator<Item = Tensor> + use<> {
        let heads = self.dimensions.heads;
        let outputs = if projections.is_empty() { Vec::new() } else { project_together(projections, x, pass) };
        outputs.into_iter().map(move |output| split_heads(&output, heads))
    }

    fn queries_of(&self, outputs: &mut impl Iterator<Item = Tensor>, x: &Tensor) -> ProjectedQueries {
        let mut next = || outputs.next().expect("an output for each projection");
        let query = self.query.as_ref().map(|_| next());
        let own = self.parts.iter().map(|part| part.projections().iter().map(|_| next()).collect()).collect();
        ProjectedQueries { query, own, count: x.size()[1] }
    }

    fn memory_of(&self, outputs: &mut impl Iterator<Item = Tensor>) -> ProjectedMemory {
        let mut next = || outputs.next().expect("an output for each projection");
        let keys = self.parts.iter().map(|part| part.key().map(|_| next())).collect();
        ProjectedMemory { keys, values: next() }
    }

    /// Scores of queries, the first of which stands at position `first`, over `m` keys; `keys` are those that parts made
    /// of their input.
    pub(super) fn scores_at(
        &self,
        projected: &ProjectedQueries,
        first: i64,
        keys: &[Option<Tensor>],
        m: i64,
        pass: Pass<'_>,
    ) -> Scores {
        let of_part = |place: usize| {
            let (part, keys, own) = (&self.parts[place], &keys[place], &projected.own[place]);
            let queries = Queries { query: projected.query.as_ref(), projected: own, first, count: projected.count };
            let learned = if keys.is_none() { part.learned_keys(m, pass.compute) } else { None };
            part.scores(&queries, keys.as_ref().or(learned.as_ref()), m)
        };
        let scores = (0..self.parts.len()).map(of_part).collect();
        Scores::sum(match &self.mixture {
            Some(mixture) => mixture.weigh(scores),
            None => scores,
        })
    }

    pub(super) fn finish(&self, scores: &Scores, values: &Tensor, mask: &Mask, pass: Pass<'_>) -> Tensor {
        let mixed = attend(scores, values, mask, self.dropout(pass));
        self.output.forward(&join_heads(&mixed), pass)
    }

    /// The path that [`SynthesizedAttention::attend_to`] takes over `[batch, length]` tokens with a bias such as `bias`.
    ///
    /// # Errors
    /// As [`SynthesizedAttention::attend_to`].
    pub fn path_with(
        &self,
        bias: Option<&Tensor>,
        (batch, length): (i64, i64),
        mask: &Mask,
        pass: Pass<'_>,
    ) -> Result<Path> {
        let x = self.zeros(batch, length);
        self.path_between(bias, (&x, &x), mask, pass)
    }

    /// The path that it takes for `n` queries of each of `batch` samples over `m` keys of another sequence.
    ///
    /// # Errors
    /// As [`SynthesizedAttention::attend_to`].
    pub fn path_to_memory(&self, (batch, n, m): (i64, i64, i64), mask: &Mask, pass: Pass<'_>) -> Result<Path> {
        self.path_between(None, (&self.zeros(batch, n), &self.zeros(batch, m)), mask, pass)
    }

    /// An input of zeros, `[batch, length, d_model]`.
    fn zeros(&self, batch: i64, length: i64) -> Tensor {
        let (d_model, device) = self.value.input();
        Tensor::zeros([batch, length, d_model], (NumberKind::Float, device))
    }

    fn path_between(
        &self,
        bias: Option<&Tensor>,
        (x, memory): (&Tensor, &Tensor),
        mask: &Mask,
        pass: Pass<'_>,
    ) -> Result<Path> {
        let ask = || -> Result<Path> {
            let projected = self.project(x, memory, pass);
            let scores = self.scores_of(&projected, bias, pass)?;
            Ok(choose(&scores, &projected.memory.values, mask, self.dropout(pass)))
        };
        if pass.training() { ask() } else { tch::no_grad(ask) }
    }

    /// The number that sets this layer's dropout masks apart from those of others.
    pub fn stream(&self) -> u64 {
        self.stream
    }

    pub(super) fn dropout<'a>(&self, pass: Pass<'a>) -> Dropout<'a> {
        pass.dropout.map_or(Dropout::NONE, |key| Dropout::new(self.dropout, key, self.stream))
    }
}

fn check_causal(x: &Tensor, memory: &Tensor, mask: &Mask) -> Result<()> {
    let (n, m) = (x.size()[1], memory.size()[1]);
    ensure!(!mask.causal || n <= m, "a causal mask over {m} keys leaves the first of {n} queries without any");
    Ok(())
}

impl TokenMixer for SynthesizedAttention {
    fn forward(&self, x: &Tensor, mask: &Mask, pass: Pass<'_>) -> Result<Tensor> {
        self.attend_to(x, x, None, mask, pass)
    }

    fn path(&self, batch: i64, length: i64, mask: &Mask, pass: Pass<'_>) -> Result<Path> {
        self.path_with(None, (batch, length), mask, pass)
    }
}
