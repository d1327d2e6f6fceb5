//! Beam search and greedy decoding, plainly: every hypothesis is read anew from its beginning at each step.

use std::cmp::Ordering;

use crate::model::{Model, Rows, logarithm_of_sum};
use crate::tokenizer::Tokenizer;

/// What an output may be, and how hypotheses are compared.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Hypotheses that are kept.
    pub beam: usize,
    /// The exponent of the length formula.
    pub penalty: f64,
    /// The formula: n to the power, or that of arXiv 1609.08144.
    pub power: bool,
    /// Tokens at least, the end not counted.
    pub least: usize,
    /// Tokens at most.
    pub most: usize,
    /// No run of so many tokens comes twice, unless it is 0.
    pub no_repeat: usize,
}

/// An output.
#[derive(Clone, Debug)]
pub struct Output {
    /// The tokens, without the end.
    pub tokens: Vec<usize>,
    /// Whether it ended.
    pub ended: bool,
    /// The logarithm of its probability.
    pub log_probability: f64,
    /// That by the length.
    pub score: f64,
}

/// A token behind a hypothesis.
struct Candidate {
    hypothesis: usize,
    token: usize,
    sum: f64,
    logit: f64,
}

impl Search {
    /// The outputs for a source, the best first.
    pub fn outputs(self, model: &Model<f64>, tokenizer: &Tokenizer, source: &[usize]) -> Vec<Output> {
        if source.len() == 1 {
            return vec![Output { tokens: vec![], ended: true, log_probability: 0.0, score: 0.0 }];
        }
        let memory = model.memory(source, None);
        let mut alive = vec![(Vec::new(), 0.0)];
        let (mut ended, mut unended): (Vec<Output>, Vec<Output>) = (Vec::new(), Vec::new());
        for length in 0..=self.most {
            let following = alive.iter().enumerate().map(|(hypothesis, (tokens, sum))| {
                let logits = next(model, tokenizer, &memory, tokens);
                let total = logarithm_of_sum(&logits);
                let allowed = (0..logits.len()).filter(|token| self.allows(tokenizer, tokens, *token));
                let candidate = |token: usize| {
                    let logit = logits[token];
                    Candidate { hypothesis, token, sum: sum + (logit - total), logit }
                };
                allowed.map(candidate).collect::<Vec<_>>()
            });
            let following: Vec<Vec<Candidate>> = following.collect();
            let stuck: Vec<bool> = following.iter().map(Vec::is_empty).collect();
            let mut candidates: Vec<Candidate> = following.into_iter().flatten().collect();
            candidates.sort_by(|one, other| {
                let sums = descending(one.sum, other.sum).then(one.hypothesis.cmp(&other.hypothesis));
                sums.then(descending(one.logit, other.logit)).then(one.token.cmp(&other.token))
            });
            candidates.truncate(2 * self.beam);
            let ends: Vec<&Candidate> =
                candidates.iter().take(self.beam).filter(|candidate| candidate.token == tokenizer.end()).collect();
            ended.extend(ends.iter().map(|end| self.output(alive[end.hypothesis].0.clone(), true, end.sum)));
            for (hypothesis, (tokens, sum)) in alive.iter().enumerate() {
                let has_ended = ends.iter().any(|end| end.hypothesis == hypothesis);
                if !has_ended && (length == self.most || stuck[hypothesis]) {
                    unended.push(self.output(tokens.clone(), false, *sum));
                }
            }
            if ended.len() >= self.beam {
                break;
            }
            let going = candidates.iter().filter(|candidate| candidate.token != tokenizer.end()).take(self.beam);
            let extended = |candidate: &Candidate| [&alive[candidate.hypothesis].0[..], &[candidate.token]].concat();
            alive = going.map(|candidate| (extended(candidate), candidate.sum)).collect();
        }
        for outputs in [&mut ended, &mut unended] {
            outputs.sort_by(|one, other| descending(one.score, other.score));
        }
        ended.into_iter().chain(unended).collect()
    }

    fn allows(self, tokenizer: &Tokenizer, tokens: &[usize], token: usize) -> bool {
        if token == tokenizer.end() {
            return tokens.len() >= self.least;
        }
        let with = [tokens, &[token]].concat();
        let repeats = self.no_repeat > 0 && with.len() >= self.no_repeat && {
            let (before, run) = (&with[..with.len() - 1], &with[with.len() - self.no_repeat..]);
            before.windows(self.no_repeat).any(|earlier| earlier == run)
        };
        token != tokenizer.begin() && Some(token) != tokenizer.unknown() && !repeats
    }

    fn output(self, tokens: Vec<usize>, ended: bool, log_probability: f64) -> Output {
        let length = (tokens.len() + usize::from(ended)).max(1) as f64;
        let divisor = if self.power { length } else { (5.0 + length) / 6.0 }.powf(self.penalty);
        Output { tokens, ended, log_probability, score: log_probability / divisor }
    }
}

/// Takes the likeliest token, the lowest id of equal ones, until that is the end, which it is not before so many, or
/// there are so many.
pub fn greedy(model: &Model<f64>, tokenizer: &Tokenizer, source: &[usize], [least, most]: [usize; 2]) -> Vec<usize> {
    let memory = model.memory(source, None);
    let mut tokens = Vec::new();
    while tokens.len() < most {
        let mut logits = next(model, tokenizer, &memory, &tokens);
        let early = (tokens.len() < least).then(|| tokenizer.end());
        for never in [Some(tokenizer.begin()), tokenizer.unknown(), early].into_iter().flatten() {
            logits[never] = f64::NEG_INFINITY;
        }
        let likeliest = (0..logits.len()).rev().max_by(|one, other| logits[*one].total_cmp(&logits[*other]));
        match likeliest.expect("a token") {
            token if token == tokenizer.end() => break,
            token => tokens.push(token),
        }
    }
    tokens
}

/// The logits for the token behind a hypothesis.
fn next(model: &Model<f64>, tokenizer: &Tokenizer, memory: &Rows<f64>, tokens: &[usize]) -> Vec<f64> {
    let inputs = [&[tokenizer.begin()], tokens].concat();
    model.decoded(&inputs, Some(memory), None).pop().expect("a row")
}

fn descending(one: f64, other: f64) -> Ordering {
    other.total_cmp(&one)
}
