//! The decoder-only model: causal blocks over one sequence, and the projection to the vocabulary.

use super::feed_forward::FeedForward;
use super::norm::LayerNorm;
use super::options::ModelOptions;
use super::positions::{EMBEDDING_STD, PositionEncoding};
use crate::attention::heads::project;
use crate::attention::kind::Dimensions;
use crate::attention::options::AttentionOptions;
use crate::attention::{Mask, Pass, Path, SynthesizedAttention, TokenMixer};
use crate::parameters::{Init, Parameters, Role, Scope};
use anyhow::{Result, ensure};
use tch::Tensor;

/// A pre-norm decoder without an encoder, as GPT-2's but for the feed-forward activation.
pub struct Decoder {
    embedding: Tensor, // [vocabulary, d_model]
    positions: PositionEncoding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    output: Tensor, // [vocabulary, d_model]; the embedding where they are tied
    dropout: f64,
    max_length: i64,
}

impl Decoder {
    /// Builds the model for a vocabulary and fills `parameters`.
    pub fn new(
        parameters: &mut Parameters,
        model: &ModelOptions,
        attention: &AttentionOptions,
        vocabulary: i64,
    ) -> Self {
        let mut root = parameters.root();
        let shape = [vocabulary, model.d_model];
        let table =
            |scope: Scope<'_>| scope.with_role(Role::Embedding).tensor("weight", &shape, Init::Normal(EMBEDDING_STD));
        let embedding = table(root.enter("embedding"));
        let positions = PositionEncoding::new(&mut root, model.positions, model.max_length, model.d_model, &embedding);
        let mut decoder = root.enter("decoder");
        let blocks =
            (0..model.layers).map(|i| Block::new(decoder.enter("layers").enter(i), model, attention)).collect();
        let norm = LayerNorm::new(decoder.enter("norm"), model.d_model);
        let output = if model.tie_embeddings { embedding.shallow_clone() } else { table(root.enter("output")) };
        Self { embedding, positions, blocks, norm, output, dropout: model.dropout, max_length: model.max_length }
    }

    /// Logits `[batch, N, vocabulary]` of the next tokens for `tokens` (int64 `[batch, N]`), in the pass's kind.
    ///
    /// # Errors
    /// Where the input is longer than `model.max_length`.
    pub fn forward(&self, tokens: &Tensor, pass: Pass) -> Result<Tensor> {
        let length = tokens.size()[1];
        let max = self.max_length;
        ensure!(length <= max, "an input of {length} tokens is longer than model.max_length = {max}");
        let embedded = Tensor::embedding(&self.embedding, tokens, -1, false, false);
        let mut x = self.positions.forward(&embedded).dropout(self.dropout, pass.training);
        let mask = Mask::causal();
        for block in &self.blocks {
            x = block.forward(&x, &mask, pass)?;
        }
        Ok(project(&self.norm.forward(&x), &self.output, pass))
    }

    /// The path that each block's attention takes over `[batch, length]` tokens.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn attention_paths(&self, batch: i64, length: i64, pass: Pass) -> Result<Vec<Path>> {
        self.blocks.iter().map(|block| block.attention.path(batch, length, &Mask::causal(), pass)).collect()
    }
}

/// x + dropout(attention(norm(x))), then x + dropout(feed_forward(norm(x))).
struct Block {
    attention_norm: LayerNorm,
    attention: SynthesizedAttention,
    feed_forward_norm: LayerNorm,
    feed_forward: FeedForward,
    dropout: f64,
}

impl Block {
    fn new(mut scope: Scope<'_>, model: &ModelOptions, attention: &AttentionOptions) -> Self {
        let dimensions = Dimensions {
            d_model: model.d_model,
            heads: model.heads,
            head_width: model.head_width(),
            max_length: model.max_length,
        };
        // What is added to the residual stream starts smaller the more is added (GPT-2).
        let depth = (2.0 * model.layers as f64).powf(-0.5);
        let output_std = |fan_in: i64| (fan_in as f64).powf(-0.5) * depth;
        let dropout = attention.dropout.unwrap_or(model.dropout);
        let inner = dimensions.heads * dimensions.head_width;
        Self {
            attention_norm: LayerNorm::new(scope.enter("attention_norm"), model.d_model),
            attention: SynthesizedAttention::new(
                scope.enter("attention"),
                attention.decoder_kind(),
                attention,
                dimensions,
                dropout,
                output_std(inner),
            ),
            feed_forward_norm: LayerNorm::new(scope.enter("feed_forward_norm"), model.d_model),
            feed_forward: FeedForward::new(
                scope.enter("feed_forward"),
                model.d_model,
                model.d_ff(),
                model.dropout,
                output_std(model.d_ff()),
            ),
            dropout: model.dropout,
        }
    }

    fn forward(&self, x: &Tensor, mask: &Mask, pass: Pass) -> Result<Tensor> {
        // Branches in bfloat16 join a float32 stream.
        let drop = |branch: Tensor| branch.dropout(self.dropout, pass.training);
        let x = x + drop(self.attention.forward(&self.attention_norm.forward(x), mask, pass)?);
        let branch = drop(self.feed_forward.forward(&self.feed_forward_norm.forward(&x), pass));
        Ok(x + branch)
    }
}
