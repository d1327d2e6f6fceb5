//! What an encoder-decoder writes for its sources.

use super::beam::{BeamRequest, beam_search};
use super::draws::{SampleRequest, sample};
use super::next_tokens::{Hypothesis, NextTokens, Rules};
use super::options::{DecodeOptions, Limits};
use super::sampling::Sampling;
use crate::attention::Pass;
use crate::data::tokenizer::{Special, Tokenizer};
use crate::model::EncoderDecoder;
use crate::model::encoder_decoder::{EncoderDecoderState, Source};
use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

/// Tokens that an output may have beyond its source's where `decode.max_length` does not say otherwise: tensor2tensor's
/// `extra_length`.
const EXTRA_LENGTH: usize = 50;

/// Writes outputs with one model.
pub struct OutputGenerator<'a> {
    model: &'a EncoderDecoder,
    compute: Kind,
    options: &'a DecodeOptions,
    begin: u32,
    end: u32,
    /// Tokens that are never chosen.
    excluded: Vec<u32>,
}

/// Draws instead of a search.
#[derive(Debug, Clone)]
pub struct Draws<'a> {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What draws derive from, with the numbers of source, sample and token.
    pub seed: u64,
    /// The sources' numbers.
    pub numbers: &'a [u64],
    /// Samples of each source.
    pub samples: u64,
}

/// The model over the hypotheses of some sources.
struct Rows<'a> {
    model: &'a EncoderDecoder,
    state: EncoderDecoderState,
    compute: Kind,
}

impl<'a> OutputGenerator<'a> {
    /// Writes with `model`, whose targets `tokenizer` cuts, as `options` say; products are computed in `compute`.
    ///
    /// # Errors
    /// A tokenizer that was not made for targets: it has no tokens that begin and end one.
    pub fn new(
        model: &'a EncoderDecoder,
        tokenizer: &Tokenizer,
        options: &'a DecodeOptions,
        compute: Kind,
    ) -> Result<Self> {
        let special =
            |special, name| tokenizer.special(special).with_context(|| format!("the run's tokenizer has no {name}"));
        let (begin, end) = (special(Special::Begin, "<s>")?, special(Special::End, "</s>")?);
        let excluded = tokenizer.unknown().into_iter().collect();
        Ok(Self { model, compute, options, begin, end, excluded })
    }

    /// By source its `wanted` best outputs of a beam search, the best first; `None` once the watch, which is told of tokens
    /// done, answered false. The output for a source without tokens of its own is empty.
    ///
    /// # Errors
    /// Sources longer than the model reads; logits that are not finite.
    pub fn search(
        &self,
        source: Source<'_>,
        wanted: usize,
        watch: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Vec<Vec<Hypothesis>>>> {
        let beam = self.beam();
        let lengths = lengths(source)?;
        let limits = self.limits(&lengths);
        let request = BeamRequest {
            beam,
            wanted,
            length_formula: self.options.length_formula,
            length_penalty: self.options.length_penalty,
            rules: self.rules(),
            limits: &limits,
            watch,
        };
        let found = beam_search(&mut self.rows(source, beam, &limits)?, request)?;
        Ok(found.map(|outputs| emptied(outputs, &lengths)))
    }

    /// The same, drawn: by source its samples, in order of their numbers.
    ///
    /// # Errors
    /// As [`OutputGenerator::search`].
    pub fn draw(
        &self,
        source: Source<'_>,
        draws: &Draws<'_>,
        watch: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Vec<Vec<Hypothesis>>>> {
        let lengths = lengths(source)?;
        let limits = self.limits(&lengths);
        let request = SampleRequest {
            sampling: draws.sampling,
            seed: draws.seed,
            sentences: draws.numbers,
            samples: 0..draws.samples,
            rules: self.rules(),
            limits: &limits,
            watch,
        };
        let found = sample(&mut self.rows(source, draws.samples as usize, &limits)?, request)?;
        Ok(found.map(|outputs| emptied(outputs, &lengths)))
    }

    /// Hypotheses of each source.
    pub fn beam(&self) -> usize {
        self.options.beam as usize
    }

    fn rows(&self, source: Source<'_>, copies: usize, limits: &[Limits]) -> Result<Rows<'a>> {
        let _no_grad = tch::no_grad_guard();
        let pass = Pass::evaluation(self.compute);
        let memory = self.model.encode(source, pass)?;
        let longest = limits.iter().map(|limits| limits.max).max().unwrap_or(0) as i64 + 1;
        let state = self.model.state(&memory, copies as i64, longest, pass)?;
        Ok(Rows { model: self.model, state, compute: self.compute })
    }

    fn rules(&self) -> Rules<'_> {
        Rules {
            begin: self.begin,
            end: self.end,
            excluded: &self.excluded,
            no_repeat_ngram: self.options.no_repeat_ngram as usize,
            device: self.model.device(),
        }
    }

    /// How long the outputs of sources of these lengths, ends included, may be.
    fn limits(&self, lengths: &[i64]) -> Vec<Limits> {
        let most = self.model.max_length() as usize - 1;
        let of_source = |length: &i64| match (*length, self.options.max_length) {
            (1, _) => Limits { min: 0, max: 0 },
            (_, Some(_)) => self.options.limits(most),
            (length, None) => self.options.limits(most.min(length as usize - 1 + EXTRA_LENGTH)),
        };
        lengths.iter().map(of_source).collect()
    }
}

/// Tokens of each source, its end included.
fn lengths(source: Source<'_>) -> Result<Vec<i64>> {
    Ok(Vec::<i64>::try_from(source.lengths.to_device(Device::Cpu))?)
}

/// The outputs, those for sources of nothing but an end replaced: nothing was said, and nothing is to be.
fn emptied(mut outputs: Vec<Vec<Hypothesis>>, lengths: &[i64]) -> Vec<Vec<Hypothesis>> {
    for (outputs, _) in outputs.iter_mut().zip(lengths).filter(|(_, length)| **length == 1) {
        outputs.fill(Hypothesis { tokens: Vec::new(), log_probability: 0.0, score: 0.0, ended: true });
    }
    outputs
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

#[cfg(test)]
mod tests;
