//! The blocks of a decoder one after another.

use super::block::Block;
use crate::attention::Pass;
use crate::attention::options::AttentionOptions;
use crate::kernels::dropout::{DropoutKey, Place};
use crate::kernels::narrow::NarrowCopies;
use crate::libtorch::recompute::recompute;
use crate::model::norm::Norm;
use crate::model::options::{ModelOptions, NormPosition};
use crate::parameters::{Parameters, Scope};
use anyhow::Result;
use std::sync::Arc;
use tch::Tensor;

/// Blocks, and the norm after the last.
pub(super) struct Stack {
    pub(super) blocks: Vec<Block>,
    /// After the last block, where blocks begin with norms.
    pub(super) norm: Option<Norm>,
    /// Where the blocks' parameters are named.
    names: Vec<String>,
    /// Those of each block, and of the norm after it, that are trained.
    parameters: Vec<Vec<Tensor>>,
}

/// What goes from block to block, both `[rows, d_model]`.
pub(super) struct Carried {
    /// The residual stream.
    pub(super) stream: Tensor,
    /// What the next attention reads of it, in the kind of products.
    pub(super) x: Tensor,
}

impl Stack {
    /// The tensors of all blocks below `scope`.
    pub(super) fn new(scope: &mut Scope<'_>, model: &ModelOptions, attention: &AttentionOptions) -> Self {
        let layers = attention.decoder_layers(model.layers).into_iter();
        let kinds = layers.flat_map(|(kind, count)| std::iter::repeat_n(kind, count as usize)).enumerate();
        let (blocks, mut names): (Vec<Block>, Vec<String>) = kinds
            .map(|(i, kind)| {
                let mut layers = scope.enter("layers");
                let scope = layers.enter(i);
                let name = format!("{}.", scope.name());
                (Block::new(scope, model, attention, kind), name)
            })
            .unzip();
        let norm = (model.norm_position == NormPosition::Pre).then(|| {
            let scope = scope.enter("norm");
            names.push(format!("{}.", scope.name()));
            Norm::new(scope, model)
        });
        Self { blocks, norm, names, parameters: Vec::new() }
    }

    /// Looks up the blocks' own among all parameters of the model.
    pub(super) fn find_parameters(&mut self, parameters: &Parameters) {
        let next_norm = |i: usize| match (&self.norm, self.names.get(i + 1)) {
            (Some(_), Some(next)) if i + 1 < self.blocks.len() => format!("{next}attention_norm."),
            (Some(_), Some(last)) => last.clone(),
            _ => self.names[i].clone(),
        };
        let of_block = |i: usize| {
            let wanted = [self.names[i].clone(), next_norm(i)];
            let found = parameters.trainable().filter(|own| wanted.iter().any(|name| own.name.starts_with(name)));
            found.map(|own| own.tensor.shallow_clone()).collect()
        };
        self.parameters = (0..self.blocks.len()).map(of_block).collect();
    }

    /// The stack for passes that outlive the call.
    pub(super) fn shared(self) -> Arc<Self> {
        // Autograd's threads count it up and down; what it holds is read while the caller waits for them.
        #[allow(clippy::arc_with_non_send_sync)]
        Arc::new(self)
    }

    /// What the first block reads of the `stream` `[rows, d_model]`.
    pub(super) fn begin(&self, stream: Tensor, pass: Pass<'_>) -> Carried {
        let Some(norm) = self.norm_before(0) else {
            let x = stream.to_kind(pass.compute);
            return Carried { stream, x };
        };
        let (stream, x) = norm.add(&stream, None, pass.compute);
        Carried { stream, x }
    }

    /// Through block `i`, whose attention makes `mix` of its input, both `[…, d_model]`.
    pub(super) fn advance(
        &self,
        i: usize,
        Carried { stream, x }: Carried,
        pass: Pass<'_>,
        mix: impl FnOnce(&Block, &Tensor) -> Result<Tensor>,
    ) -> Result<Carried> {
        let block = &self.blocks[i];
        let mixed = mix(block, &x)?.flatten(0, 1);
        drop(x);
        let (stream, x) = match self.norm_before(i + 1) {
            Some(next) => block.join(&stream, &mixed, next, pass),
            None => block.join_and_normalise(&stream, &mixed, pass),
        };
        Ok(Carried { stream, x })
    }

    /// The same with causal attention over `shape` `[batch, N, d_model]`, keeping nothing but what is carried.
    pub(super) fn advance_again(
        self: &Arc<Self>,
        i: usize,
        carried: Carried,
        shape: [i64; 3],
        bias: Option<&Tensor>,
        pass: Pass<'_>,
    ) -> Result<Carried> {
        let inputs: Vec<&Tensor> = [Some(&carried.stream), Some(&carried.x), bias].into_iter().flatten().collect();
        let (stack, compute) = (self.clone(), pass.compute);
        let (key, copies) = (pass.dropout.map(DropoutKey::share), pass.copies.map(NarrowCopies::share));
        let block = move |inputs: &[Tensor]| {
            let pass = Pass { compute, dropout: key.as_ref(), copies: copies.as_ref() };
            let carried = Carried { stream: inputs[0].shallow_clone(), x: inputs[1].shallow_clone() };
            let attend = |block: &Block, x: &Tensor| block.attend(&x.view(shape), inputs.get(2), pass);
            stack.advance(i, carried, pass, attend).map(|Carried { stream, x }| vec![stream, x])
        };
        let mut outputs = recompute(&inputs, &self.parameters[i], block)?.into_iter();
        let mut next = || outputs.next().expect("a block gives stream and input");
        Ok(Carried { stream: next(), x: next() })
    }

    /// The norm of block `i`'s input, or of the last block's output; `None` where norms follow sums.
    fn norm_before(&self, i: usize) -> Option<&Norm> {
        let last = self.norm.as_ref()?;
        Some(self.blocks.get(i).map_or(last, |block| &block.attention_norm))
    }

    /// The numbers of all places where numbers are dropped, those of masks of one shape together.
    pub(super) fn places(&self, embedding: Place) -> Vec<Vec<u64>> {
        let blocks = || self.blocks.iter();
        let branches = blocks().flat_map(|block| [block.attention_dropout, block.feed_forward_dropout]);
        vec![
            [embedding].into_iter().chain(branches).map(Place::number).collect(),
            blocks().map(|block| block.feed_forward.place().number()).collect(),
            blocks().map(|block| block.attention.stream()).collect(),
        ]
    }
}
