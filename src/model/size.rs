//! Parameters, memory and operations of a model by formula, before anything is allocated.

use super::encoder_decoder::Vocabularies;
use super::feed_forward::FeedForward;
use super::norm::Norm;
use super::options::{Architecture, ModelOptions, NormPosition, Positions};
use super::relative_positions::RelativePositions;
use crate::attention::Kind;
use crate::attention::options::AttentionOptions;

/// Numbers of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// All of them.
    pub total: u128,
    /// Those that are never trained.
    pub frozen: u128,
}

/// Number of parameters of the model of any architecture; no size overflows. Of a decoder's vocabularies the target's
/// counts.
pub fn model_size(model: &ModelOptions, attention: &AttentionOptions, vocabularies: Vocabularies) -> Size {
    match model.architecture {
        Architecture::Decoder => decoder_size(model, attention, vocabularies.target as u64),
        Architecture::EncoderDecoder => encoder_decoder_size(model, attention, vocabularies),
    }
}

/// Floating-point operations of a forward pass of any architecture over `batch` sources and targets of these lengths, as
/// [`decoder_flops`] counts them. A decoder has no sources.
pub fn forward_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    vocabularies: Vocabularies,
    (batch, source, target): (u64, u64, u64),
) -> u128 {
    match model.architecture {
        Architecture::Decoder => decoder_flops(model, attention, vocabularies.target as u64, (batch, target)),
        Architecture::EncoderDecoder => encoder_decoder_flops(model, attention, vocabularies, (batch, source, target)),
    }
}

/// Floating-point operations of one decoding step of any architecture: as [`encoder_decoder_step_flops`], or without the
/// sources as [`decoder_step_flops`].
pub fn step_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    vocabularies: Vocabularies,
    (batch, source, visible): (u64, u64, u64),
) -> u128 {
    match model.architecture {
        Architecture::Decoder => decoder_step_flops(model, attention, vocabularies.target as u64, (batch, visible)),
        Architecture::EncoderDecoder => {
            encoder_decoder_step_flops(model, attention, vocabularies, (batch, source, visible))
        }
    }
}

/// Number of parameters of the decoder-only model; no size overflows.
pub fn decoder_size(model: &ModelOptions, attention: &AttentionOptions, vocabulary: u64) -> Size {
    let tables = if model.tie_embeddings { 1 } else { 2 };
    let own = attention.decoder_layers(model.depth());
    let blocks = stack_size(model, attention, &own, None);
    Size { total: blocks.total + tables * table(model, vocabulary) + positions(model), frozen: blocks.frozen }
}

/// Number of parameters of the encoder-decoder; no size overflows.
pub fn encoder_decoder_size(model: &ModelOptions, attention: &AttentionOptions, vocabularies: Vocabularies) -> Size {
    let depth = model.depth();
    let encoder = stack_size(model, attention, &attention.encoder_layers(depth), None);
    let decoder = stack_size(model, attention, &attention.decoder_layers(depth), attention.cross_kind(depth));
    let [source, target] = [vocabularies.source, vocabularies.target].map(|tokens| table(model, tokens as u64));
    let embeddings = if vocabularies.shared { target } else { source + target };
    let output = if model.tie_embeddings { 0 } else { target };
    Size {
        total: encoder.total + decoder.total + embeddings + output + 2 * positions(model),
        frozen: encoder.frozen + decoder.frozen,
    }
}

/// Blocks with self-attentions of these kinds, and where `cross` says so an attention over a memory in each; the norm after
/// them included.
fn stack_size(model: &ModelOptions, attention: &AttentionOptions, own: &[(Kind, i64)], cross: Option<Kind>) -> Size {
    let (norm, dimensions) = (Norm::parameters(model), model.dimensions());
    let of_kind = |kind: Kind| Size {
        total: kind.parameters(attention, dimensions) + norm,
        frozen: kind.frozen_parameters(attention, dimensions),
    };
    let feed_forward = FeedForward::weights(model) + FeedForward::biases(model) + norm;
    let last_norm = if model.norm_position == NormPosition::Pre { norm } else { 0 };
    let mut size = Size { total: last_norm, frozen: 0 };
    for (kind, count) in own {
        let (own, crossing) = (of_kind(*kind), cross.map_or(Size { total: 0, frozen: 0 }, of_kind));
        size.total += *count as u128 * (own.total + crossing.total + feed_forward);
        size.frozen += *count as u128 * (own.frozen + crossing.frozen);
    }
    size
}

/// A row of the model's width for each token.
fn table(model: &ModelOptions, tokens: u64) -> u128 {
    u128::from(tokens) * model.d_model as u128
}

/// What tells one sequence's positions.
fn positions(model: &ModelOptions) -> u128 {
    match model.positions {
        Positions::Learned => model.max_length as u128 * model.d_model as u128,
        Positions::Relative => RelativePositions::parameters(model),
        Positions::Sinusoidal | Positions::None => 0,
    }
}

/// Floating-point operations of the decoder-only model's forward pass over `batch` sequences of `length` tokens, 2 per
/// multiply-add of every matrix product (attention as [`Kind::flops`] counts it). A
/// training step takes three times as many.
pub fn decoder_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    vocabulary: u64,
    (batch, length): (u64, u64),
) -> u128 {
    let own = attention.decoder_layers(model.depth());
    let lengths = |own: u64| Lengths { batch, fresh: own, before: 0, memory: None };
    stack_flops(model, attention, &own, lengths(length)) + logits_flops(model, vocabulary, batch * length)
}

/// Operations, as [`decoder_flops`] counts them, of the encoder-decoder's forward pass over `batch` pairs of a source and a
/// target of these lengths.
pub fn encoder_decoder_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    vocabularies: Vocabularies,
    (batch, source, target): (u64, u64, u64),
) -> u128 {
    let depth = model.depth();
    let read = Lengths { batch, fresh: source, before: 0, memory: None };
    let memory = attention.cross_kind(depth).map(|kind| Memory { kind, length: source, fresh: true });
    let write = Lengths { batch, fresh: target, before: 0, memory };
    stack_flops(model, attention, &attention.encoder_layers(depth), read)
        + stack_flops(model, attention, &attention.decoder_layers(depth), write)
        + logits_flops(model, vocabularies.target as u64, batch * target)
}

/// Operations, as [`decoder_flops`] counts them, of one decoding step of `batch` sequences: one token each, which sees
/// `visible` positions, itself included. What earlier tokens left is read, not computed again.
pub fn decoder_step_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    vocabulary: u64,
    (batch, visible): (u64, u64),
) -> u128 {
    let own = attention.decoder_layers(model.depth());
    let lengths = Lengths { batch, fresh: 1, before: visible - 1, memory: None };
    stack_flops(model, attention, &own, lengths) + logits_flops(model, vocabulary, batch)
}

/// The same of the encoder-decoder's targets over sources of `source` tokens, whose keys and values are there.
pub fn encoder_decoder_step_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    vocabularies: Vocabularies,
    (batch, source, visible): (u64, u64, u64),
) -> u128 {
    let depth = model.depth();
    let memory = attention.cross_kind(depth).map(|kind| Memory { kind, length: source, fresh: false });
    let lengths = Lengths { batch, fresh: 1, before: visible - 1, memory };
    stack_flops(model, attention, &attention.decoder_layers(depth), lengths)
        + logits_flops(model, vocabularies.target as u64, batch)
}

/// What a stack computes with.
#[derive(Clone, Copy)]
struct Lengths {
    batch: u64,
    /// Tokens of each sequence that go through the blocks.
    fresh: u64,
    /// Those before them, of which keys and values are kept.
    before: u64,
    memory: Option<Memory>,
}

/// What each block attends to besides.
#[derive(Clone, Copy)]
struct Memory {
    kind: Kind,
    length: u64,
    /// Its keys and values are computed, not kept.
    fresh: bool,
}

/// Of all blocks; every fresh token counts as if it saw all of its sequence.
fn stack_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    own: &[(Kind, i64)],
    Lengths { batch, fresh, before, memory }: Lengths,
) -> u128 {
    // What `kept` of `m` keys and values cost is left out.
    let attend = |kind: Kind, m: u64, kept: u64| {
        let flops = |n: u64, m: u64| kind.flops(attention, model.dimensions(), (batch, n, m));
        flops(fresh, m) - flops(0, kept)
    };
    let of_memory = |Memory { kind, length, fresh }: Memory| attend(kind, length, if fresh { 0 } else { length });
    let tokens = u128::from(batch) * u128::from(fresh);
    let others = 2 * tokens * FeedForward::weights(model) + memory.map_or(0, of_memory);
    own.iter().map(|(kind, count)| *count as u128 * (attend(*kind, before + fresh, before) + others)).sum()
}

/// Of the products with the output table for so many tokens.
fn logits_flops(model: &ModelOptions, vocabulary: u64, tokens: u64) -> u128 {
    2 * u128::from(tokens) * table(model, vocabulary)
}

/// Bytes that training needs at least: weights, and of the trained ones gradients and `kept` numbers each, such as an
/// optimizer's moments.
pub fn training_bytes(size: Size, kept: u64, bytes_per_number: u128) -> u128 {
    let trained = (size.total - size.frozen).saturating_mul(1 + u128::from(kept));
    size.total.saturating_add(trained).saturating_mul(bytes_per_number)
}

#[cfg(test)]
mod tests;
