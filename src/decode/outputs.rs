//! What an encoder-decoder writes for its sources.

use super::beam::{BeamRequest, Hypothesis, NextTokens, beam_search};
use super::options::DecodeOptions;
use crate::attention::Pass;
use crate::model::EncoderDecoder;
use crate::model::encoder_decoder::{EncoderDecoderState, Source};
use anyhow::Result;
use tch::{Kind, Tensor};

/// Writes outputs with one model.
pub struct OutputGenerator<'a> {
    /// The model.
    pub model: &'a EncoderDecoder,
    /// The kind in which products are computed.
    pub compute: Kind,
    /// `[decode]`.
    pub options: &'a DecodeOptions,
    /// The token that begins an output.
    pub begin: u32,
    /// The token that ends it.
    pub end: u32,
    /// Tokens that are never chosen.
    pub excluded: Vec<u32>,
}

/// The model over the hypotheses of some sources.
struct Rows<'a> {
    model: &'a EncoderDecoder,
    state: EncoderDecoderState,
    compute: Kind,
}

impl NextTokens for Rows<'_> {
    fn step(&mut self, tokens: &Tensor) -> Result<Tensor> {
        let logits = self.model.step(&tokens.unsqueeze(1), &mut self.state, Pass::evaluation(self.compute))?;
        Ok(logits.squeeze_dim(1))
    }

    fn select(&mut self, rows: &Tensor, same_sources: bool) -> Result<()> {
        self.state.select(rows, same_sources);
        Ok(())
    }
}
