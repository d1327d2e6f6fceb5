//! Models for tests: what follows is a function of a sentence's number and what was read, and nothing else.

use super::next_tokens::{NextTokens, Rules};
use crate::randomness::derive;
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// What the scripted models read first.
pub const BEGIN: u32 = 0;
/// What ends their outputs.
pub const END: u32 = 1;
/// Rules without anything further.
pub const RULES: Rules<'static> =
    Rules { begin: BEGIN, end: END, excluded: &[], no_repeat_ngram: 0, device: Device::Cpu };

/// Logits of what follows the tokens that were put out, by a sentence's number.
pub type Script<'a> = &'a dyn Fn(u64, &[u32]) -> Vec<f64>;

/// Logits between -3 and 3, in steps of a `step`th, by a hash.
pub fn hashed(seed: u64, vocabulary: usize, steps: u64) -> impl Fn(u64, &[u32]) -> Vec<f64> {
    move |sentence, tokens| {
        let mut numbers = vec![sentence];
        numbers.extend(tokens.iter().map(|id| u64::from(*id)));
        let logit = |id| {
            let number = derive(seed, "scripted", &[&numbers[..], &[id as u64]].concat());
            (number % (6 * steps + 1)) as f64 / steps as f64 - 3.0
        };
        (0..vocabulary).map(logit).collect()
    }
}

/// A model that keeps the books of its rows and refuses what no state could do.
pub struct Scripted<'a> {
    script: Script<'a>,
    copies: usize,
    kind: Kind,
    begin: u32,
    /// Sentence and all tokens read, by row.
    rows: Vec<(u64, Vec<u32>)>,
    /// Rows that went through the model.
    pub work: usize,
}

impl<'a> Scripted<'a> {
    /// `copies` rows for each sentence.
    pub fn new(script: Script<'a>, sentences: &[u64], copies: usize, kind: Kind) -> Self {
        let rows = sentences.iter().flat_map(|&sentence| vec![(sentence, Vec::new()); copies]).collect();
        Self { script, copies, kind, begin: BEGIN, rows, work: 0 }
    }

    /// One that reads `begin` first.
    pub fn beginning(script: Script<'a>, sentences: &[u64], copies: usize, begin: u32) -> Self {
        Self { begin, ..Self::new(script, sentences, copies, Kind::Float) }
    }
}

impl NextTokens for Scripted<'_> {
    fn step(&mut self, tokens: &Tensor) -> Result<Tensor> {
        let tokens = Vec::<i64>::try_from(tokens)?;
        ensure!(tokens.len() == self.rows.len(), "{} tokens for {} rows", tokens.len(), self.rows.len());
        let mut logits = Vec::new();
        for ((sentence, read), token) in self.rows.iter_mut().zip(tokens) {
            ensure!(!read.is_empty() || token == i64::from(self.begin), "{token} came first");
            read.push(token as u32);
            logits.extend((self.script)(*sentence, &read[1..]));
        }
        self.work += self.rows.len();
        Ok(Tensor::from_slice(&logits).view([self.rows.len() as i64, -1]).to_kind(self.kind))
    }

    fn select(&mut self, rows: &Tensor, same_sources: bool) -> Result<()> {
        let rows: Vec<usize> = Vec::<i64>::try_from(rows)?.into_iter().map(|row| row as usize).collect();
        let groups: Vec<usize> = rows.iter().map(|row| row / self.copies).collect();
        ensure!(
            groups.chunks(self.copies).all(|group| group.len() == self.copies && group[0] == group[self.copies - 1])
        );
        ensure!(groups.is_sorted(), "groups change their order: {groups:?}");
        let all: Vec<usize> = (0..self.rows.len()).map(|row| row / self.copies).collect();
        ensure!((groups == all) == same_sources, "{groups:?} where same_sources is {same_sources}");
        self.rows = rows.into_iter().map(|row| self.rows[row].clone()).collect();
        Ok(())
    }
}
