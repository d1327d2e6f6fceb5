//! The attention layer of every kind: values, the kind's scores, `attend`, output projection.

use super::attend::{Path, attend, choose};
use super::heads::{join_heads, project, split_heads};
use super::kind::{Dimensions, Kind};
use super::mixer::{Pass, TokenMixer};
use super::options::AttentionOptions;
use super::random::Random;
use super::score_source::ScoreSource;
use super::scores::Mask;
use super::vanilla::Vanilla;
use crate::parameters::{Init, Role, Scope};
use anyhow::Result;
use tch::Tensor;

/// An attention layer of any kind, without biases in its projections, as in the authors' code
/// (mesh-tensorflow) for every kind.
pub struct SynthesizedAttention {
    source: Box<dyn ScoreSource>,
    value: Tensor,  // [heads · d_h, d_model]
    output: Tensor, // [d_model, heads · d_h]
    heads: i64,
    dropout: f64,
}

impl SynthesizedAttention {
    /// A layer of `kind`, whose tensors are named below `scope`. `dropout` is the weights' probability;
    /// `output_std` the start of the output projection.
    pub fn new(
        scope: Scope<'_>,
        kind: Kind,
        options: &AttentionOptions,
        dimensions: Dimensions,
        dropout: f64,
        output_std: f64,
    ) -> Self {
        let mut scope = scope.with_role(Role::Attention);
        let source: Box<dyn ScoreSource> = match kind {
            Kind::Vanilla => Box::new(Vanilla::new(&mut scope, dimensions)),
            Kind::Random => Box::new(Random::new(&mut scope, dimensions, options.random.init_std)),
        };
        let inner = dimensions.heads * dimensions.head_width;
        let std = (dimensions.d_model as f64).powf(-0.5);
        let value = scope.enter("value").tensor("weight", &[inner, dimensions.d_model], Init::Normal(std));
        let output = scope.enter("output").tensor("weight", &[dimensions.d_model, inner], Init::Normal(output_std));
        Self { source, value, output, heads: dimensions.heads, dropout }
    }

    /// Attention of `x` `[batch, N, d_model]` over `memory` `[batch, M, d_model]`.
    ///
    /// # Errors
    /// Where an input is longer than the kind's tables by position.
    pub fn attend_to(&self, x: &Tensor, memory: &Tensor, mask: &Mask, pass: Pass) -> Result<Tensor> {
        let scores = self.source.scores(x, memory, pass)?;
        let values = split_heads(&project(memory, &self.value, pass), self.heads);
        let mixed = attend(&scores, &values, mask, self.dropout_in(pass));
        Ok(project(&join_heads(&mixed), &self.output, pass))
    }

    fn dropout_in(&self, pass: Pass) -> f64 {
        if pass.training { self.dropout } else { 0.0 }
    }
}

impl TokenMixer for SynthesizedAttention {
    fn forward(&self, x: &Tensor, mask: &Mask, pass: Pass) -> Result<Tensor> {
        self.attend_to(x, x, mask, pass)
    }

    fn path(&self, batch: i64, length: i64, mask: &Mask, pass: Pass) -> Result<Path> {
        let d_model = self.output.size()[0];
        let x = Tensor::zeros([batch, length, d_model], (self.output.kind(), self.output.device()));
        let ask = || -> Result<Path> {
            let scores = self.source.scores(&x, &x, pass)?;
            let values = split_heads(&project(&x, &self.value, pass), self.heads);
            Ok(choose(&scores, &values, mask, self.dropout_in(pass)))
        };
        if pass.training { ask() } else { tch::no_grad(ask) }
    }
}
