//! Blocks one after another: those of a decoder, alone or with a memory, or of an encoder.

use super::block::{Block, Kinds, Mixes};
use crate::attention::options::AttentionOptions;
use crate::attention::{Kind, Mask, Pass};
use crate::kernels::dropout::{DropoutKey, Place};
use crate::kernels::narrow::NarrowCopies;
use crate::libtorch::recompute::recompute;
use crate::model::norm::Norm;
use crate::model::options::{ModelOptions, NormPosition};
use crate::parameters::{Parameters, Scope};
use anyhow::{Context, Result};
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

/// The kinds of a stack's attentions.
pub(super) struct Layers {
    /// Of its self-attentions, from the first block on, and how many blocks in a row have each.
    pub(super) own: Vec<(Kind, i64)>,
    /// Of its attentions over a memory, where it reads one.
    pub(super) cross: Option<Kind>,
}

/// What a decoder reads of an encoder.
pub struct Memory {
    /// What the encoder gave, in the kind of products: `[batch, M, d_model]`.
    pub(super) states: Tensor,
    /// Hides what stands after a source's end.
    pub(super) mask: Mask,
}

/// What the attentions of a stack see.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    /// Of the self-attentions.
    pub(super) mask: &'a Mask,
    /// What is added to their scores, `[1, heads, N, N]`.
    pub(super) bias: Option<&'a Tensor>,
    /// What the others read, where there are some.
    pub(super) memory: Option<&'a Memory>,
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
    pub(super) fn new(
        scope: &mut Scope<'_>,
        model: &ModelOptions,
        attention: &AttentionOptions,
        Layers { own, cross }: Layers,
    ) -> Self {
        let count: i64 = own.iter().map(|(_, count)| count).sum();
        let summands = count * if cross.is_some() { 3 } else { 2 };
        let own = own.into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count as usize));
        let kinds = own.map(|own| Kinds { own, cross }).enumerate();
        let (blocks, mut names): (Vec<Block>, Vec<String>) = kinds
            .map(|(i, kinds)| {
                let mut layers = scope.enter("layers");
                let scope = layers.enter(i);
                let name = format!("{}.", scope.name());
                (Block::new(scope, model, attention, kinds, summands), name)
            })
            .unzip();
        let norm = (model.norm_position == NormPosition::Pre).then(|| {
            let scope = scope.enter("norm");
            names.push(format!("{}.", scope.name()));
            Norm::new(scope, model)
        });
        let mut stack = Self { blocks, norm, names, parameters: Vec::new() };
        stack.find_parameters(scope.parameters());
        stack
    }

    /// Looks up the blocks' own among the parameters of the model.
    fn find_parameters(&mut self, parameters: &Parameters) {
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

    /// Through block `i`, whose attentions make `mix` of their inputs `[rows, d_model]`.
    pub(super) fn advance(
        &self,
        i: usize,
        Carried { stream, x }: Carried,
        pass: Pass<'_>,
        mix: impl FnMut(Mixes<'_>, &Tensor) -> Result<Tensor>,
    ) -> Result<Carried> {
        let block = &self.blocks[i];
        let (stream, x) = match self.norm_before(i + 1) {
            Some(next) => block.join(&stream, x, next, pass, mix)?,
            None => block.join_and_normalise(&stream, x, pass, mix)?,
        };
        Ok(Carried { stream, x })
    }

    /// The same, where attentions see so much of `shape` `[batch, N, d_model]`.
    pub(super) fn advance_over(
        &self,
        i: usize,
        carried: Carried,
        shape: [i64; 3],
        sight: Sight<'_>,
        pass: Pass<'_>,
    ) -> Result<Carried> {
        self.advance(i, carried, pass, |mixes, x| {
            let x = x.view(shape);
            let mixed = match mixes {
                Mixes::Itself(attention) => attention.attend_to(&x, &x, sight.bias, sight.mask, pass)?,
                Mixes::Memory(attention) => {
                    let memory = sight.memory.context("a block that reads a memory was given none")?;
                    // A block's gradients are added before they join those of others, as where it is computed again.
                    attention.attend_to(&x, &memory.states.alias(), None, &memory.mask, pass)?
                }
            };
            Ok(mixed.flatten(0, 1))
        })
    }

    /// The same, keeping nothing but what is carried.
    pub(super) fn advance_again(
        self: &Arc<Self>,
        i: usize,
        carried: Carried,
        shape: [i64; 3],
        sight: Sight<'_>,
        pass: Pass<'_>,
    ) -> Result<Carried> {
        let states = sight.memory.map(|memory| &memory.states);
        let inputs = [Some(&carried.stream), Some(&carried.x), sight.bias, states];
        let inputs: Vec<&Tensor> = inputs.into_iter().flatten().collect();
        let (stack, compute, biased) = (self.clone(), pass.compute, sight.bias.is_some());
        let (mask, memory_mask) = (sight.mask.share(), sight.memory.map(|memory| memory.mask.share()));
        let (key, copies) = (pass.dropout.map(DropoutKey::share), pass.copies.map(NarrowCopies::share));
        let block = move |inputs: &[Tensor]| {
            let pass = Pass { compute, dropout: key.as_ref(), copies: copies.as_ref() };
            let carried = Carried { stream: inputs[0].shallow_clone(), x: inputs[1].shallow_clone() };
            let (bias, states) = inputs[2..].split_at(usize::from(biased));
            let memory = states.first().zip(memory_mask.as_ref());
            let memory = memory.map(|(states, mask)| Memory { states: states.shallow_clone(), mask: mask.share() });
            let sight = Sight { mask: &mask, bias: bias.first(), memory: memory.as_ref() };
            let Carried { stream, x } = stack.advance_over(i, carried, shape, sight, pass)?;
            Ok(vec![stream, x])
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
        let crossing = || blocks().filter_map(|block| block.cross.as_ref());
        let branches = blocks().flat_map(|block| [block.attention_dropout, block.feed_forward_dropout]);
        let branches = branches.chain(crossing().map(|cross| cross.dropout));
        let mut places = vec![
            [embedding].into_iter().chain(branches).map(Place::number).collect(),
            blocks().map(|block| block.feed_forward.place().number()).collect(),
            blocks().map(|block| block.attention.stream()).collect(),
        ];
        places.extend(crossing().next().map(|_| crossing().map(|cross| cross.attention.stream()).collect()));
        places
    }
}
