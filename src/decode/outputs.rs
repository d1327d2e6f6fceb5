//! What an encoder-decoder writes for its sources.

use super::beam::{BeamRequest, beam_search};
use super::draws::{DrawRequest, sample};
use super::next_tokens::{Hypothesis, NextTokens, Rules};
use super::options::{DecodeOptions, Limits};
use super::sampling::Sampling;
use super::sources::{HYPOTHESES, batches, tensors};
use crate::attention::Pass;
use crate::data::tokenizer::{Special, Tokenizer};
use crate::model::EncoderDecoder;
use crate::model::encoder_decoder::{EncoderDecoderState, Source};
use anyhow::{Context, Result};
use std::ops::Range;
use tch::{Kind, Tensor};

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

/// How outputs are made.
#[derive(Debug, Clone)]
pub enum How {
    /// By beam search.
    Search {
        /// Outputs of each source, the best first; no more than the beam.
        wanted: usize,
    },
    /// By draws.
    Draws {
        /// How tokens are chosen.
        sampling: Sampling,
        /// What draws derive from, with the numbers of source, sample and token.
        seed: u64,
        /// The number of the first source.
        first: u64,
        /// The numbers of each source's samples.
        samples: Range<u64>,
    },
}

/// The model over the hypotheses of some sources.
struct Hypotheses<'a> {
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

    /// The outputs for sources, each with its end, in their order: sources of like lengths go through the model together,
    /// which changes no output. `None` once the watch, which is told before each step how many sources are done, answered
    /// false. The output for a source without tokens of its own is empty.
    ///
    /// # Errors
    /// Sources longer than the model reads; logits that are not finite.
    pub fn outputs(
        &self,
        sources: &[&[i64]],
        how: &How,
        watch: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Vec<Vec<Hypothesis>>>> {
        let lengths: Vec<usize> = sources.iter().map(|source| source.len()).collect();
        let mut outputs = vec![Vec::new(); sources.len()];
        let mut done = 0;
        for batch in batches(&lengths, self.copies(how)) {
            let members: Vec<&[i64]> = batch.iter().map(|&place| sources[place]).collect();
            for part in parts(how) {
                let Some(found) = self.of_batch(&batch, &members, &part, &mut |_| watch(done))? else {
                    return Ok(None);
                };
                batch.iter().zip(found).for_each(|(place, found)| outputs[*place].extend(found));
            }
            done += batch.len() as u64;
        }
        Ok(Some(outputs))
    }

    /// The outputs for the sources of one batch, whose places are given.
    fn of_batch(
        &self,
        places: &[usize],
        sources: &[&[i64]],
        how: &How,
        watch: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Vec<Vec<Hypothesis>>>> {
        let limits: Vec<Limits> = sources.iter().map(|source| self.limits(source.len())).collect();
        let mut rows = self.rows(sources, self.copies(how), &limits)?;
        let (rules, limits) = (self.rules(), &limits[..]);
        let found = match how {
            How::Search { wanted } => {
                let DecodeOptions { length_formula, length_penalty, .. } = *self.options;
                let beam = self.copies(how);
                let request =
                    BeamRequest { beam, wanted: *wanted, length_formula, length_penalty, rules, limits, watch };
                beam_search(&mut rows, request)?
            }
            How::Draws { sampling, seed, first, samples } => {
                let numbers: Vec<u64> = places.iter().map(|place| first + *place as u64).collect();
                let (sampling, seed, samples) = (*sampling, *seed, samples.clone());
                let request = DrawRequest { sampling, seed, sentences: &numbers, samples, rules, limits, watch };
                sample(&mut rows, request)?
            }
        };
        Ok(found.map(|outputs| emptied(outputs, sources)))
    }

    /// Hypotheses or samples of each source.
    fn copies(&self, how: &How) -> usize {
        match how {
            How::Search { .. } => self.options.beam as usize,
            How::Draws { samples, .. } => samples.clone().count(),
        }
    }

    fn rows(&self, sources: &[&[i64]], copies: usize, limits: &[Limits]) -> Result<Hypotheses<'a>> {
        let _no_grad = tch::no_grad_guard();
        let pass = Pass::evaluation(self.compute);
        let (tokens, lengths) = tensors(sources, self.model.device());
        let memory = self.model.encode(Source { tokens: &tokens, lengths: &lengths }, pass)?;
        let longest = limits.iter().map(|limits| limits.max).max().unwrap_or(0) as i64 + 1;
        let state = self.model.state(&memory, copies as i64, longest, pass)?;
        Ok(Hypotheses { model: self.model, state, compute: self.compute })
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

    /// How long the outputs for a source of this length, its end included, may be.
    fn limits(&self, length: usize) -> Limits {
        let most = self.model.max_length() as usize - 1;
        match (length, self.options.max_length) {
            (1, _) => Limits { min: 0, max: 0 },
            (_, Some(_)) => self.options.limits(most),
            (length, None) => {
                let least = self.options.min_length.try_into().unwrap_or(most);
                self.options.limits(most.min((length - 1 + EXTRA_LENGTH).max(least)))
            }
        }
    }
}

/// The same, so few samples at a time that they go through the model together.
fn parts(how: &How) -> Vec<How> {
    let How::Draws { sampling, seed, first, samples } = how else { return vec![how.clone()] };
    let part = |begin: u64| How::Draws {
        sampling: *sampling,
        seed: *seed,
        first: *first,
        samples: begin..samples.end.min(begin + HYPOTHESES as u64),
    };
    samples.clone().step_by(HYPOTHESES).map(part).collect()
}

/// The outputs, those for sources of nothing but an end replaced: nothing was said, and nothing is to be.
fn emptied(mut outputs: Vec<Vec<Hypothesis>>, sources: &[&[i64]]) -> Vec<Vec<Hypothesis>> {
    for (outputs, _) in outputs.iter_mut().zip(sources).filter(|(_, source)| source.len() == 1) {
        outputs.fill(Hypothesis { tokens: Vec::new(), log_probability: 0.0, score: 0.0, ended: true });
    }
    outputs
}

impl NextTokens for Hypotheses<'_> {
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
