//! Outputs that are drawn token by token, of several sentences at once.

use super::candidates::vocabulary;
use super::next_tokens::{Hypothesis, NextTokens, Rules};
use super::options::Limits;
use super::rows::{Next, Rows};
use super::sampling::{Sampling, uniform};
use anyhow::{Result, ensure};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// What is to be drawn.
pub struct DrawRequest<'a> {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// What draws derive from, with the numbers of sentence, sample and token: neither the other sentences nor the
    /// other samples of a batch change an output.
    pub seed: u64,
    /// The sentences' numbers.
    pub sentences: &'a [u64],
    /// The numbers of the samples of each sentence, which are as many rows of the model.
    pub samples: Range<u64>,
    /// What holds of all outputs.
    pub rules: Rules<'a>,
    /// By sentence, how long its outputs may be.
    pub limits: &'a [Limits],
    /// Told before each step of how many are done; answers whether to go on.
    pub watch: &'a mut dyn FnMut(u64) -> bool,
}

/// By sentence its samples, in order of their numbers; their scores are their log-probabilities, among the whole
/// vocabulary and at temperature 1. `None` once the watch answered false. At a sentence's greatest length one more
/// choice is made: an output that does not end there has not ended, and so has one that nothing may follow.
///
/// # Errors
/// A model of other rows than sentences times samples; logits that are not finite; what the model reports.
pub fn sample(model: &mut dyn NextTokens, request: DrawRequest<'_>) -> Result<Option<Vec<Vec<Hypothesis>>>> {
    let DrawRequest { sentences, limits, rules, .. } = request;
    ensure!(sentences.len() == limits.len(), "{} sentences have {} limits", sentences.len(), limits.len());
    let _no_grad = tch::no_grad_guard();
    let copies = request.samples.clone().count();
    let rows = Rows::new((limits.len(), copies), rules.begin, rules.end, rules.device);
    let outputs = limits.iter().map(|_| vec![Output::default(); copies]).collect();
    let mut drawing = Drawing { request, outputs, rows, never: None };
    let mut going = drawing.rows.len() > 0;
    for step in 0.. {
        if !going {
            break;
        }
        if !(drawing.request.watch)(step) {
            return Ok(None);
        }
        let logits = model.step(&drawing.rows.tokens())?;
        let next = drawing.step(&logits, step)?;
        going = drawing.rows.advance(model, &next)?;
    }
    let outputs = drawing.outputs.into_iter();
    Ok(Some(outputs.map(|outputs| outputs.into_iter().map(Output::hypothesis).collect()).collect()))
}

/// All sentences.
struct Drawing<'a> {
    request: DrawRequest<'a>,
    /// By sentence and sample.
    outputs: Vec<Vec<Output>>,
    rows: Rows,
    /// Tokens that are never put out, once the vocabulary is known.
    never: Option<Vec<u32>>,
}

/// One output.
#[derive(Debug, Clone, Default)]
struct Output {
    tokens: Vec<u32>,
    log_probability: f64,
    ended: bool,
    done: bool,
}

impl Drawing<'_> {
    /// Reads the logits of one step; answers how each group of rows goes on.
    fn step(&mut self, logits: &Tensor, step: u64) -> Result<Vec<Vec<Next>>> {
        let vocabulary = vocabulary(logits, self.rows.len(), self.request.rules.end)?;
        let logits = logits.to_kind(Kind::Double).to_device(Device::Cpu);
        let logits = Vec::<Vec<f64>>::try_from(logits)?;
        let mut next = Vec::new();
        for (sentence, first) in self.rows.groups() {
            for copy in 0..self.outputs[sentence].len() {
                if !self.outputs[sentence][copy].done {
                    self.draw((sentence, copy), &logits[first + copy], vocabulary, step)?;
                }
            }
            let outputs = &self.outputs[sentence];
            let token = |output: &Output| output.tokens.last().copied().unwrap_or(self.request.rules.end);
            let rows = (first..).zip(outputs).map(|(row, output)| (row, token(output)));
            next.push(if outputs.iter().all(|output| output.done) { Vec::new() } else { rows.collect() });
        }
        Ok(next)
    }

    /// Draws one output's next token.
    fn draw(&mut self, (sentence, copy): (usize, usize), logits: &[f64], vocabulary: usize, step: u64) -> Result<()> {
        let DrawRequest { sampling, seed, sentences, samples, rules, limits, .. } = &self.request;
        let never = self.never.get_or_insert_with(|| rules.never(vocabulary));
        let output = &mut self.outputs[sentence][copy];
        let blocked = rules.blocked(&output.tokens, limits[sentence].min);
        let draw = uniform(*seed, sentences[sentence], samples.start + copy as u64, step);
        let allowed = |id| never.binary_search(&id).is_err() && !blocked.contains(&id);
        match sampling.choose_among(logits, allowed, draw)? {
            Some(id) if id == rules.end => {
                output.log_probability += log_probability(logits, id);
                (output.ended, output.done) = (true, true);
            }
            Some(id) if output.tokens.len() < limits[sentence].max => {
                output.log_probability += log_probability(logits, id);
                output.tokens.push(id);
            }
            _ => output.done = true,
        }
        Ok(())
    }
}

impl Output {
    fn hypothesis(self) -> Hypothesis {
        let Self { tokens, log_probability, ended, .. } = self;
        Hypothesis { tokens, log_probability, score: log_probability, ended }
    }
}

/// The logarithm of a token's probability.
fn log_probability(logits: &[f64], id: u32) -> f64 {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    logits[id as usize] - highest - sum.ln()
}

#[cfg(test)]
mod tests;
