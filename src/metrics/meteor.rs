//! METEOR's stages that need no tables: equal words, then equal stems.
//!
//! It is not METEOR, which also knows synonyms and paraphrases, and is not to be called so. It is what NLTK 3's
//! `meteor_score` (the formula of Lavie and Agarwal, 2007) gives where WordNet knows no word.

use super::porter::stem;
use super::segments::{SegmentMetric, mean, one};
use super::text::words;
use std::collections::HashMap;

/// How much recall counts beside precision.
const ALPHA: f64 = 0.9;
/// The power of fragmentation in the penalty.
const BETA: f64 = 3.0;
/// The penalty where no two matched words stand together.
const GAMMA: f64 = 0.5;

/// METEOR's exact and stem stages, in points from 0 to 100, averaged over segments.
#[derive(Debug, Clone, Default)]
pub struct MeteorExactStem;

/// Matched words: places in hypothesis and reference.
type Pairs = Vec<(usize, usize)>;

/// Matches the words that are left, from the last word of the hypothesis on, each with the last equal one of the
/// reference; matched words become `None`.
fn match_equal(hypothesis: &mut [Option<String>], reference: &mut [Option<String>], pairs: &mut Pairs) {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (j, word) in reference.iter().enumerate() {
        if let Some(word) = word {
            places.entry(word.clone()).or_default().push(j);
        }
    }
    for (i, word) in hypothesis.iter_mut().enumerate().rev() {
        if let Some(j) = word.as_ref().and_then(|word| places.get_mut(word)).and_then(Vec::pop) {
            (*word, reference[j]) = (None, None);
            pairs.push((i, j));
        }
    }
}

fn align(hypothesis: &str, reference: &str) -> (Pairs, usize, usize) {
    let split = |text: &str| words(text).map(|word| Some(word.to_lowercase())).collect::<Vec<_>>();
    let (mut hypothesis, mut reference) = (split(hypothesis), split(reference));
    let mut pairs = Pairs::new();
    match_equal(&mut hypothesis, &mut reference, &mut pairs);
    for word in hypothesis.iter_mut().chain(&mut reference).flatten() {
        *word = stem(word);
    }
    match_equal(&mut hypothesis, &mut reference, &mut pairs);
    pairs.sort_unstable();
    (pairs, hypothesis.len(), reference.len())
}

/// From 0 to 1.
fn meteor(hypothesis: &str, reference: &str) -> f64 {
    let (pairs, hypothesis_words, reference_words) = align(hypothesis, reference);
    if pairs.is_empty() {
        return 0.0;
    }
    let matched = pairs.len() as f64;
    let (precision, recall) = (matched / hypothesis_words as f64, matched / reference_words as f64);
    let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
    let apart = |pair: &&[(usize, usize)]| (pair[1].0, pair[1].1) != (pair[0].0 + 1, pair[0].1 + 1);
    let chunks = 1 + pairs.windows(2).filter(apart).count();
    (1.0 - GAMMA * (chunks as f64 / matched).powf(BETA)) * mean
}

impl SegmentMetric for MeteorExactStem {
    /// The score of the reference that has the best.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        one(references.iter().map(|reference| meteor(hypothesis, reference)).fold(0.0, f64::max))
    }

    fn score(&self, sums: &[f64]) -> f64 {
        100.0 * mean(sums)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let pairs = [("case", "lc"), ("tok", "none"), ("stages", "exact+stem"), ("stem", "porter-nltk")];
        let mut settings: Vec<_> = pairs.map(|(key, value)| (key, value.to_string())).to_vec();
        settings
            .extend([("alpha", ALPHA), ("beta", BETA), ("gamma", GAMMA)].map(|(key, value)| (key, value.to_string())));
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of NLTK's own documentation that need no synonym.
    #[test]
    fn scores_are_nltks() {
        assert_eq!(meteor("non matching hypothesis", "this is a cat"), 0.0);
        let hypothesis =
            "It is a guide to action which ensures that the military always obeys the commands of the party";
        let reference = "It is a guide to action that ensures that the military will forever heed Party commands";
        assert!((meteor(hypothesis, reference) - 0.6944).abs() < 5e-5);
    }

    #[test]
    fn stems_match_where_words_do_not() {
        let (pairs, ..) = align("dogs walked home", "a dog walking home");
        assert_eq!(pairs, [(0, 1), (1, 2), (2, 3)]);
    }
}
