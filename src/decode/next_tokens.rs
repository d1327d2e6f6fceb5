//! What decoding asks of a model, and what it holds to whatever the model says.

use anyhow::Result;
use tch::{Device, Tensor};

/// A model at work on rows of tokens that grow together. It has a source for each group of as many rows as there are
/// hypotheses or samples of a sentence, and has read nothing yet.
pub trait NextTokens {
    /// Reads one token of each row (int64 `[rows]`); logits `[rows, vocabulary]`, of any kind, of what follows.
    ///
    /// # Errors
    /// What the model reports.
    fn step(&mut self, tokens: &Tensor) -> Result<Tensor>;

    /// Row i becomes what row `rows[i]` was (int64). With `same_sources` there are as many rows as before, and each
    /// takes the place of one of its group. Without, whole groups may be gone; those that stay keep their order.
    ///
    /// # Errors
    /// What the model reports.
    fn select(&mut self, rows: &Tensor, same_sources: bool) -> Result<()>;
}

/// What holds of all outputs, however their tokens are chosen.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// What the model reads first; it is never put out, unless it is the end too.
    pub begin: u32,
    /// What ends an output; [`Limits`](super::Limits) say when it may come.
    pub end: u32,
    /// Further tokens that are never put out. The end is no such token.
    pub excluded: &'a [u32],
    /// No run of so many tokens comes twice in an output; 0 allows all.
    pub no_repeat_ngram: usize,
    /// Where the model reads tokens.
    pub device: Device,
}

/// One output.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without those of begin and end.
    pub tokens: Vec<u32>,
    /// The sum of its tokens' logarithms of probability, that of the end included where it ended.
    pub log_probability: f64,
    /// What it is ranked by, the more the better.
    pub score: f64,
    /// Whether its end was put out: not where it became as long as it may, or nothing may follow it.
    pub ended: bool,
}

impl Rules<'_> {
    /// The tokens of a vocabulary of so many that are never put out, ascending, each once.
    pub(super) fn never(&self, vocabulary: usize) -> Vec<u32> {
        let all = self.excluded.iter().copied().chain([self.begin]);
        let mut never: Vec<u32> = all.filter(|&id| id != self.end && (id as usize) < vocabulary).collect();
        never.sort_unstable();
        never.dedup();
        never
    }

    /// What else may not follow `tokens`, of an output that has fewer than `min` of them or not: each token that would
    /// make a run come twice, and the end before its time.
    pub(super) fn blocked(&self, tokens: &[u32], min: usize) -> Vec<u32> {
        let mut blocked = repeating(tokens, self.no_repeat_ngram);
        blocked.extend((tokens.len() < min).then_some(self.end));
        blocked
    }
}

/// The tokens that, put behind `tokens`, make a run of `n` a second time; ascending, each once; none for 0.
fn repeating(tokens: &[u32], n: usize) -> Vec<u32> {
    if n == 0 || tokens.len() < n {
        return Vec::new();
    }
    let last = &tokens[tokens.len() + 1 - n..];
    let runs = tokens.windows(n).filter(|run| run.starts_with(last));
    let mut found: Vec<u32> = runs.map(|run| run[n - 1]).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comes_twice(tokens: &[u32], n: usize) -> bool {
        let runs: Vec<&[u32]> = tokens.windows(n).collect();
        (0..runs.len()).any(|i| runs[..i].contains(&runs[i]))
    }

    /// All texts of up to six of three tokens.
    #[test]
    fn repetitions_are_those_that_a_plain_search_finds() {
        for length in 0..=6u32 {
            for number in 0..3u32.pow(length) {
                let tokens: Vec<u32> = (0..length).map(|i| number / 3u32.pow(i) % 3).collect();
                for n in 1..=4 {
                    if comes_twice(&tokens, n) {
                        continue;
                    }
                    let wrong = |id: &u32| comes_twice(&[&tokens[..], &[*id]].concat(), n);
                    assert_eq!(repeating(&tokens, n), (0..3).filter(wrong).collect::<Vec<_>>(), "{tokens:?}, {n}");
                }
                assert!(repeating(&tokens, 0).is_empty());
            }
        }
    }

    #[test]
    fn the_end_is_allowed_in_its_time_alone() {
        let rules = Rules { begin: 9, end: 1, excluded: &[3, 1, 3, 99], no_repeat_ngram: 1, device: Device::Cpu };
        assert_eq!(rules.never(20), [3, 9]);
        assert_eq!(rules.never(5), [3]);
        assert_eq!(Rules { begin: 1, ..rules }.never(20), [3], "what begins an output may end it");
        assert_eq!(rules.blocked(&[5, 4], 3), [4, 5, 1]);
        assert_eq!(rules.blocked(&[5, 4], 2), [4, 5]);
    }
}
