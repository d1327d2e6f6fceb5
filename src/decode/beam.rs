//! Beam search over sentences of different lengths at once, by fairseq's rules.

use super::candidates::{Candidate, Candidates, Mask, Row, vocabulary};
use super::next_tokens::{Hypothesis, NextTokens, Rules};
use super::options::{LengthFormula, Limits};
use super::rows::{Next, Rows};
use anyhow::{Result, ensure};
use std::cmp::Ordering;
use tch::Tensor;

/// What is to be searched for.
pub struct BeamRequest<'a> {
    /// Hypotheses of each sentence, which are as many rows of the model, one or more. 1 is greedy decoding.
    pub beam: usize,
    /// Hypotheses of each sentence that are answered, one or more, no more than `beam`. The fewer are wanted, the
    /// earlier a sentence is done; those that are answered stay the same.
    pub wanted: usize,
    /// What a hypothesis's log-probability is divided by, for its score.
    pub length_formula: LengthFormula,
    /// The exponent of that, 0 or more.
    pub length_penalty: f64,
    /// What holds of all outputs.
    pub rules: Rules<'a>,
    /// By sentence, how long its outputs may be.
    pub limits: &'a [Limits],
    /// Told before each step of how many are done; answers whether to go on.
    pub watch: &'a mut dyn FnMut(u64) -> bool,
}

/// By sentence its best hypotheses, one or more: first those that ended, the best score first, then those that did not,
/// the best first. `None` once the watch answered false.
///
/// Each step keeps of every sentence's hypotheses, each with each token behind it, the most likely: of equal ones that
/// of the better hypothesis, of one hypothesis that with the higher logit, then with the lower token. The first `beam`
/// that do not end go on; an end counts where it stands among the first `beam`. A sentence is done once `beam` of its
/// hypotheses ended, or no other can come before the `wanted` best any more, or at its greatest length. What has not
/// ended there, or found nothing that may follow it, is kept as not ended. Its length is that without an end.
///
/// # Errors
/// A model of other rows than sentences times `beam`; logits that are not finite; what the model reports.
pub fn beam_search(model: &mut dyn NextTokens, request: BeamRequest<'_>) -> Result<Option<Vec<Vec<Hypothesis>>>> {
    let BeamRequest { beam, wanted, limits, rules, .. } = request;
    ensure!((1..=beam).contains(&wanted), "{wanted} hypotheses of a beam of {beam} cannot be answered");
    let _no_grad = tch::no_grad_guard();
    let sentences = limits.iter().map(|limits| Sentence::new(*limits)).collect();
    let rows = Rows::new((limits.len(), beam), rules.begin, rules.end, rules.device);
    let mut search = Search { request, sentences, rows, never: None };
    let mut going = !search.sentences.is_empty();
    for step in 0.. {
        if !going {
            break;
        }
        if !(search.request.watch)(step as u64) {
            return Ok(None);
        }
        let logits = model.step(&search.rows.tokens())?;
        let next = search.step(&logits, step)?;
        going = search.rows.advance(model, &next)?;
    }
    Ok(Some(search.sentences.into_iter().map(|sentence| sentence.best(wanted)).collect()))
}

/// All sentences.
struct Search<'a> {
    request: BeamRequest<'a>,
    sentences: Vec<Sentence>,
    rows: Rows,
    /// Tokens that are never put out: int64, on the device; once the vocabulary is known.
    never: Option<Tensor>,
}

/// One sentence.
struct Sentence {
    limits: Limits,
    /// What goes on, the best first: hypothesis i in the sentence's row i. None once the sentence is done.
    live: Vec<Live>,
    ended: Vec<Hypothesis>,
    unended: Vec<Hypothesis>,
}

/// A hypothesis that goes on.
#[derive(Debug, Clone, Default)]
struct Live {
    tokens: Vec<u32>,
    log_probability: f64,
}

/// What becomes of a sentence's hypotheses: their numbers, and what follows them.
#[derive(Default)]
struct Choice {
    ended: Vec<(usize, Candidate)>,
    going: Vec<(usize, Candidate)>,
}

impl Search<'_> {
    /// Reads the logits that follow `step` tokens; answers how each group of rows goes on.
    fn step(&mut self, logits: &Tensor, step: usize) -> Result<Vec<Vec<Next>>> {
        let mut candidates = self.candidates(logits)?;
        let beam = self.request.beam;
        let groups: Vec<(usize, usize)> = self.rows.groups().collect();
        let unsettled: Vec<usize> =
            groups.iter().flat_map(|&group| self.choose(group, &candidates).unsettled(group.1, &candidates)).collect();
        candidates.settle(&unsettled)?;
        let mut next = Vec::with_capacity(groups.len());
        for group in groups {
            let (sentence, first) = group;
            let choice = self.choose(group, &candidates);
            let score = |log_probability: f64, length: usize| {
                log_probability / self.request.length_formula.divisor(length, self.request.length_penalty)
            };
            let rows = &candidates.rows[first..first + beam];
            let sentence = &mut self.sentences[sentence];
            sentence.go_on(&choice, rows, step, score);
            if sentence.is_done(beam, self.request.wanted, score) {
                sentence.live.clear();
            }
            let going = choice.going.iter().take(sentence.live.len());
            next.push(going.map(|(hypothesis, candidate)| (first + hypothesis, candidate.id)).collect());
        }
        Ok(next)
    }

    fn candidates(&mut self, logits: &Tensor) -> Result<Candidates> {
        let BeamRequest { beam, rules, .. } = self.request;
        let vocabulary = vocabulary(logits, self.rows.len(), rules.end)?;
        let never = self.never.get_or_insert_with(|| {
            let never: Vec<i64> = rules.never(vocabulary).into_iter().map(i64::from).collect();
            Tensor::from_slice(&never).to_device(logits.device())
        });
        let mut counts = vec![false; self.rows.len()];
        let mut blocked = Vec::new();
        for (sentence, first) in self.rows.groups() {
            let Sentence { live, limits, .. } = &self.sentences[sentence];
            for (row, live) in (first..).zip(live) {
                counts[row] = true;
                blocked.extend(rules.blocked(&live.tokens, limits.min).into_iter().map(|id| (row, id)));
            }
        }
        Candidates::read(logits, Mask { never, blocked: &blocked }, 2 * beam, |row| counts[row])
    }

    /// What becomes of the hypotheses of a sentence with these candidates.
    fn choose(&self, (sentence, first): (usize, usize), candidates: &Candidates) -> Choice {
        let (beam, end) = (self.request.beam, self.request.rules.end);
        let live = &self.sentences[sentence].live;
        let rows = live.iter().zip(&candidates.rows[first..]).enumerate();
        let mut all: Vec<(f64, usize, Candidate)> = rows
            .flat_map(|(number, (live, row))| {
                let sum = |candidate: &Candidate| live.log_probability + candidate.log_probability;
                row.candidates.iter().map(move |candidate| (sum(candidate), number, *candidate))
            })
            .collect();
        // Stable: equal ones stay in order of their hypotheses and, within one, of their logits and ids.
        all.sort_by(|(a, ..), (b, ..)| b.partial_cmp(a).unwrap_or(Ordering::Equal));
        let mut choice = Choice::default();
        for (rank, (_, number, candidate)) in all.into_iter().take(2 * beam).enumerate() {
            if candidate.id != end && choice.going.len() < beam {
                choice.going.push((number, candidate));
            } else if candidate.id == end && rank < beam {
                choice.ended.push((number, candidate));
            }
        }
        choice
    }
}

impl Choice {
    /// The rows on whose unsettled candidates the choice depends, of a sentence with this first row.
    fn unsettled(&self, first: usize, candidates: &Candidates) -> Vec<usize> {
        let used = self.ended.iter().chain(&self.going);
        let unsettled = used.filter(|(number, candidate)| {
            let row = &candidates.rows[first + number];
            row.unsettled == Some(candidate.logit)
        });
        let mut rows: Vec<usize> = unsettled.map(|(number, _)| first + number).collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    }
}

impl Sentence {
    fn new(limits: Limits) -> Self {
        Self { limits, live: vec![Live::default()], ended: Vec::new(), unended: Vec::new() }
    }

    /// Takes the choice over hypotheses of `length` tokens, whose candidates were `rows`.
    fn go_on(&mut self, choice: &Choice, rows: &[Row], length: usize, score: impl Fn(f64, usize) -> f64) {
        let before = std::mem::take(&mut self.live);
        let hypothesis = |live: &Live, log_probability, ended| {
            let length = if ended { length + 1 } else { length.max(1) };
            Hypothesis { tokens: live.tokens.clone(), log_probability, score: score(log_probability, length), ended }
        };
        for (number, end) in &choice.ended {
            let live = &before[*number];
            self.ended.push(hypothesis(live, live.log_probability + end.log_probability, true));
        }
        let last = length >= self.limits.max;
        for (number, live) in before.iter().enumerate() {
            let ended = choice.ended.iter().any(|(ended, _)| *ended == number);
            if !ended && (last || rows[number].candidates.is_empty()) {
                self.unended.push(hypothesis(live, live.log_probability, false));
            }
        }
        if !last {
            let extend = |(number, candidate): &(usize, Candidate)| {
                let Live { tokens, log_probability } = &before[*number];
                let tokens = [&tokens[..], &[candidate.id]].concat();
                Live { tokens, log_probability: log_probability + candidate.log_probability }
            };
            self.live = choice.going.iter().map(extend).collect();
        }
    }

    /// Whether nothing can change the `wanted` best any more. What goes on can only lose log-probability, and score at
    /// most as if it became as long as it may without losing any: then the divisor is the greatest.
    fn is_done(&self, beam: usize, wanted: usize, score: impl Fn(f64, usize) -> f64) -> bool {
        let longest = self.limits.max.saturating_add(1);
        let bound = |live: &Live| score(live.log_probability, longest);
        let best = self.live.iter().map(bound).fold(f64::NEG_INFINITY, f64::max);
        // Of equal scores the one that ended first comes first.
        let before = self.ended.iter().filter(|ended| ended.score >= best).count();
        self.ended.len() >= beam || before >= wanted
    }

    /// The best hypotheses.
    fn best(mut self, wanted: usize) -> Vec<Hypothesis> {
        for list in [&mut self.ended, &mut self.unended] {
            list.sort_by(|a, b| b.score.partial_cmp(&a.score).unwrap_or(Ordering::Equal));
        }
        self.ended.into_iter().chain(self.unended).take(wanted).collect()
    }
}

#[cfg(test)]
mod tests;
