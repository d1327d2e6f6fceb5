//! The encoder-decoder (arXiv 1706.03762): blocks over a source that see all of it, and causal blocks over a target that
//! read what the former gave.

#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod recompute_tests;
mod state;
#[cfg(test)]
mod tests;

use super::options::ModelOptions;
use super::positions::PositionEncoding;
use super::sequence::{Entrance, Sequence};
use super::stack::Layers;
pub use super::stack::Memory;
use crate::attention::options::AttentionOptions;
use crate::attention::projection::project;
use crate::attention::{Mask, Pass, Path};
use crate::kernels::dropout::{DropoutKey, DropoutStreams, Place};
use crate::parameters::{Init, Parameters, Role, Scope};
use anyhow::Result;
pub use state::EncoderDecoderState;
use tch::{Device, Kind as Number, Tensor};

/// An encoder and a decoder that reads its output.
pub struct EncoderDecoder {
    encoder: Sequence,
    decoder: Sequence,
    /// Blocks keep what they were given alone, and compute the rest again in the backward pass.
    recompute: bool,
    output: Tensor, // [target vocabulary, d_model]; the decoder's embedding where they are tied
    /// All places where numbers are dropped.
    streams: DropoutStreams,
}

/// The tokens that a model knows on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vocabularies {
    /// Number of tokens of sources.
    pub source: i64,
    /// Number of tokens of targets.
    pub target: i64,
    /// Both have one embedding; the numbers are then the same.
    pub shared: bool,
}

/// Sources of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// int64 `[batch, M]`; what stands after a source's end is never read, but has to be a token.
    pub tokens: &'a Tensor,
    /// Tokens of each, at least 1: int64 `[batch]`.
    pub lengths: &'a Tensor,
}

impl Vocabularies {
    /// One vocabulary of `tokens` for sources and targets, with one embedding.
    pub fn joint(tokens: i64) -> Self {
        Self { source: tokens, target: tokens, shared: true }
    }

    /// As many `tokens` on either side, which may have one embedding.
    pub fn alike(tokens: i64, shared: bool) -> Self {
        Self { shared, ..Self::joint(tokens) }
    }
}

impl Memory {
    /// What the encoder gave, in the kind of products: `[batch, M, d_model]`.
    pub fn states(&self) -> &Tensor {
        &self.states
    }

    /// Number of sources.
    pub fn sources(&self) -> i64 {
        self.states.size()[0]
    }
}

impl EncoderDecoder {
    /// Builds the model for its vocabularies and fills `parameters`.
    ///
    /// # Panics
    /// Where vocabularies of different size are to share an embedding.
    pub fn new(
        parameters: &mut Parameters,
        model: &ModelOptions,
        attention: &AttentionOptions,
        vocabularies: Vocabularies,
    ) -> Self {
        let Vocabularies { source, target, shared } = vocabularies;
        assert!(!shared || source == target, "one embedding for {source} and {target} tokens");
        parameters.start_projections(model.init.projections());
        let mut root = parameters.root();
        let start = Init::Normal(model.embedding_std());
        let table = |scope: Scope<'_>, tokens: i64| {
            scope.with_role(Role::Embedding).tensor("weight", &[tokens, model.d_model], start)
        };
        let joint = shared.then(|| table(root.enter("embedding"), target));
        let half = |mut scope: Scope<'_>, tokens: i64, layers: Layers, causal: bool| {
            let own = |joint: &Tensor| joint.shallow_clone();
            let embedding = joint.as_ref().map_or_else(|| table(scope.enter("embedding"), tokens), own);
            let positions = PositionEncoding::new(&mut scope, model, &embedding);
            let dropout = Place::new(&format!("{}.embedding", scope.name()), model.dropout);
            let entrance = Entrance { embedding, positions, dropout };
            Sequence::new(&mut scope, (model, attention), layers, causal, entrance)
        };
        let depth = model.depth();
        let layers = Layers { own: attention.encoder_layers(depth), cross: None };
        let encoder = half(root.enter("encoder"), source, layers, false);
        let layers = Layers { own: attention.decoder_layers(depth), cross: attention.cross_kind(depth) };
        let decoder = half(root.enter("decoder"), target, layers, true);
        let tied = model.tie_embeddings.then(|| decoder.embedding.shallow_clone());
        let output = tied.unwrap_or_else(|| table(root.enter("output"), target));
        let places = [encoder.places(), decoder.places()].concat();
        let streams = DropoutStreams::new(places, output.device());
        Self { encoder, decoder, recompute: false, output, streams }
    }

    /// The same model, whose blocks keep what they were given alone in training and compute the rest again in the backward
    /// pass, if `on`: the same numbers, for less memory and more time (arXiv 1604.06174).
    pub fn with_recompute(self, on: bool) -> Self {
        Self { recompute: on, ..self }
    }

    /// What decoders read of sources.
    ///
    /// # Errors
    /// Where a source is longer than `model.max_length`.
    pub fn encode(&self, source: Source<'_>, pass: Pass<'_>) -> Result<Memory> {
        let key = self.key(pass);
        self.read_source(source, Pass { dropout: key.as_ref(), ..pass })
    }

    /// What [`EncoderDecoder::forward`] projects to the vocabulary, `[batch, N, d_model]`.
    ///
    /// # Errors
    /// As [`EncoderDecoder::forward`].
    pub fn hidden(&self, source: Source<'_>, inputs: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        let key = self.key(pass);
        let pass = Pass { dropout: key.as_ref(), ..pass };
        let memory = self.read_source(source, pass)?;
        self.decoder.forward(inputs, &Mask::causal(), Some(&memory), self.computes_again(pass), pass)
    }

    /// Logits `[batch, N, target vocabulary]` of the next tokens for the targets' `inputs` (int64 `[batch, N]`), in the
    /// pass's kind.
    ///
    /// # Errors
    /// Where a source or a target is longer than `model.max_length`.
    pub fn forward(&self, source: Source<'_>, inputs: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        Ok(project(&self.hidden(source, inputs, pass)?, &self.output, pass))
    }

    fn read_source(&self, source: Source<'_>, pass: Pass<'_>) -> Result<Memory> {
        let mask = Mask::of_lengths(source.lengths);
        let states = self.encoder.forward(source.tokens, &mask, None, self.computes_again(pass), pass)?;
        Ok(Memory { states, mask })
    }

    fn computes_again(&self, pass: Pass<'_>) -> bool {
        self.recompute && pass.training()
    }

    /// The key of one pass through the model.
    fn key(&self, pass: Pass<'_>) -> Option<DropoutKey> {
        let key = pass.dropout.map(|key| key.for_pass(&self.streams));
        if self.recompute { key.map(DropoutKey::drawn_again) } else { key }
    }

    /// The table of the projection to logits, `[target vocabulary, d_model]`.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// Number of tokens that targets may have.
    pub fn vocabulary(&self) -> i64 {
        self.output.size()[0]
    }

    /// Where its tensors lie.
    pub fn device(&self) -> Device {
        self.output.device()
    }

    /// The longest source, and the longest target.
    pub fn max_length(&self) -> i64 {
        self.decoder.max_length
    }

    /// The path that each attention takes for `rows` sources and targets of these lengths: those of the encoder's blocks,
    /// the decoder's own, and those of the decoder's blocks over the memory.
    ///
    /// # Errors
    /// As [`EncoderDecoder::forward`].
    pub fn attention_paths(&self, rows: i64, source: i64, target: i64, pass: Pass<'_>) -> Result<Vec<Path>> {
        let key = self.key(pass);
        let pass = Pass { dropout: key.as_ref(), ..pass };
        let mask = Mask::of_lengths(&Tensor::full([rows], source, (Number::Int64, self.device())));
        let of_half = |half: &Sequence, length: i64, mask: &Mask| -> Result<Vec<Path>> {
            let bias = half.relative_bias(0, length);
            let blocks = half.stack.blocks.iter();
            blocks.map(|block| block.attention.path_with(bias.as_ref(), (rows, length), mask, pass)).collect()
        };
        let crossing = self.decoder.stack.blocks.iter().filter_map(|block| block.cross.as_ref());
        let crossing = crossing.map(|cross| cross.attention.path_to_memory((rows, target, source), &mask, pass));
        let own = [of_half(&self.encoder, source, &mask)?, of_half(&self.decoder, target, &Mask::causal())?];
        own.into_iter().flatten().map(Ok).chain(crossing).collect()
    }
}
