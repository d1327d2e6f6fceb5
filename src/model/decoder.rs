//! The decoder-only model: causal blocks over one sequence, and the projection to the vocabulary.

#[cfg(test)]
mod kernel_tests;
mod prepared;
#[cfg(test)]
mod recompute_tests;
mod state;

use super::block::Block;
use super::options::ModelOptions;
use super::positions::PositionEncoding;
use super::sequence::{Entrance, Sequence};
use super::stack::Layers;
use crate::attention::options::AttentionOptions;
use crate::attention::projection::project;
use crate::attention::{Mask, Pass, Path};
use crate::kernels::dropout::{DropoutKey, DropoutStreams, Place};
use crate::parameters::{Init, Parameters, Role, Scope};
use anyhow::Result;
pub use prepared::{Bucket, PreparedDecoder, Step};
pub use state::DecoderState;
use tch::{Device, Tensor};

/// A decoder without an encoder.
pub struct Decoder {
    sequence: Sequence,
    /// Blocks keep what they were given alone, and compute the rest again in the backward pass.
    recompute: bool,
    output: Tensor, // [vocabulary, d_model]; the embedding where they are tied
    /// All places where numbers are dropped.
    streams: DropoutStreams,
}

impl Decoder {
    /// Builds the model for a vocabulary and fills `parameters`.
    pub fn new(
        parameters: &mut Parameters,
        model: &ModelOptions,
        attention: &AttentionOptions,
        vocabulary: i64,
    ) -> Self {
        parameters.start_projections(model.init.projections());
        let mut root = parameters.root();
        let shape = [vocabulary, model.d_model];
        let start = Init::Normal(model.embedding_std());
        let table = |scope: Scope<'_>| scope.with_role(Role::Embedding).tensor("weight", &shape, start);
        let embedding = table(root.enter("embedding"));
        let positions = PositionEncoding::new(&mut root, model, &embedding);
        let entrance = Entrance { embedding, positions, dropout: Place::new("embedding", model.dropout) };
        let layers = Layers { own: attention.decoder_layers(model.depth()), cross: None };
        let sequence = Sequence::new(&mut root.enter("decoder"), (model, attention), layers, true, entrance);
        let embedding = &sequence.embedding;
        let output = if model.tie_embeddings { embedding.shallow_clone() } else { table(root.enter("output")) };
        let streams = DropoutStreams::new(sequence.places(), embedding.device());
        Self { sequence, recompute: false, output, streams }
    }

    /// Logits `[batch, N, vocabulary]` of the next tokens for `tokens` (int64 `[batch, N]`), in the pass's kind.
    ///
    /// # Errors
    /// Where the input is longer than `model.max_length`.
    pub fn forward(&self, tokens: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        Ok(project(&self.hidden(tokens, pass)?, &self.output, pass))
    }

    /// What [`Decoder::forward`] projects to the vocabulary, `[batch, N, d_model]`.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn hidden(&self, tokens: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        let key = pass.dropout.map(|key| key.for_pass(&self.streams));
        let again = self.recompute && pass.training();
        let key = if again { key.map(DropoutKey::drawn_again) } else { key };
        let pass = Pass { dropout: key.as_ref(), ..pass };
        self.sequence.forward(tokens, &Mask::causal(), None, again, pass)
    }

    /// The same decoder, whose blocks keep what they were given alone in training and compute the rest again in the
    /// backward pass, if `on`: the same numbers, for less memory and more time (arXiv 1604.06174).
    pub fn with_recompute(self, on: bool) -> Self {
        Self { recompute: on, ..self }
    }

    /// The table of that projection, `[vocabulary, d_model]`.
    pub fn output(&self) -> &Tensor {
        &self.output
    }

    /// Number of tokens that it knows.
    pub fn vocabulary(&self) -> i64 {
        self.output.size()[0]
    }

    /// Where its tensors lie.
    pub fn device(&self) -> Device {
        self.output.device()
    }

    /// The longest input.
    pub fn max_length(&self) -> i64 {
        self.sequence.max_length
    }

    /// The path that each block's attention takes over `[batch, length]` tokens.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn attention_paths(&self, batch: i64, length: i64, pass: Pass<'_>) -> Result<Vec<Path>> {
        let bias = self.sequence.relative_bias(0, length);
        let key = pass.dropout.map(DropoutKey::share);
        let key = if self.recompute { key.map(DropoutKey::drawn_again) } else { key };
        let pass = Pass { dropout: key.as_ref(), ..pass };
        let path = |block: &Block| block.attention.path_with(bias.as_ref(), (batch, length), &Mask::causal(), pass);
        self.sequence.stack.blocks.iter().map(path).collect()
    }
}
