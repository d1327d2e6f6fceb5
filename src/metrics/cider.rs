//! CIDEr-D (Vedantam et al., 2015) as nlg-eval computes it under the name CIDEr.

use super::ngrams::{self, Counts};
use super::segments::{SegmentMetric, mean, one};
use super::text::words;
use super::vocabulary::Vocabulary;
use std::collections::{HashMap, HashSet};

/// The longest n-gram that counts.
const ORDER: usize = 4;
/// Words of difference in length at which the weight falls to exp(-1/2).
const SIGMA: f64 = 6.0;

/// CIDEr-D on nlg-eval's scale, 0 to 10. Words are what stands between white space, case and all; how rare an n-gram
/// is follows from the references of the whole corpus.
#[derive(Debug)]
pub struct CiderD<'a> {
    vocabulary: HashMap<&'a str, u32>,
    /// By order, in how many segments an n-gram stands in a reference.
    segments_with: [HashMap<u128, f64>; ORDER],
    /// The logarithm of the number of segments.
    log_segments: f64,
}

/// An n-gram of one text: its key, its weight.
type Weights = Vec<(u128, f64)>;

/// A text as weights of its n-grams, by order.
struct Vector {
    weights: [Weights; ORDER],
    norms: [f64; ORDER],
    /// Pairs of words; what nlg-eval takes for the length.
    pairs: f64,
}

impl<'a> CiderD<'a> {
    /// For a corpus with these references by segment.
    pub fn new(references: &[Vec<&'a str>]) -> Self {
        let mut vocabulary = Vocabulary::default();
        let mut segments_with: [HashMap<u128, f64>; ORDER] = Default::default();
        for segment in references {
            let texts: Vec<_> = segment.iter().map(|reference| vocabulary.numbers(words(reference))).collect();
            for (n, segments_with) in segments_with.iter_mut().enumerate() {
                let counts = texts.iter().flat_map(|text| ngrams::of_words(text, n + 1));
                for key in counts.map(|(key, _)| key).collect::<HashSet<_>>() {
                    *segments_with.entry(key).or_default() += 1.0;
                }
            }
        }
        Self { vocabulary: vocabulary.into_numbers(), segments_with, log_segments: (references.len() as f64).ln() }
    }

    /// `other` numbers the words that stand in no reference.
    fn vector<'b>(&self, text: &'b str, other: &mut Vocabulary<'b>) -> Vector {
        let known = self.vocabulary.len() as u32;
        let number = |word| self.vocabulary.get(word).copied().unwrap_or_else(|| known + other.number(word));
        let words: Vec<u32> = words(text).map(number).collect();
        let weights: [Weights; ORDER] = std::array::from_fn(|n| self.weights(n, &ngrams::of_words(&words, n + 1)));
        let norms = std::array::from_fn(|n| weights[n].iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt());
        Vector { weights, norms, pairs: words.len().saturating_sub(1) as f64 }
    }

    fn weights(&self, n: usize, counts: &Counts) -> Weights {
        let rarity = |key| self.log_segments - self.segments_with[n].get(key).map_or(0.0, |segments| segments.ln());
        counts.iter().map(|(key, count)| (*key, *count as f64 * rarity(key))).collect()
    }
}

/// The mean over orders of the clipped cosine, weighed down by the difference in length.
fn similarity(hypothesis: &Vector, reference: &Vector) -> f64 {
    let difference = hypothesis.pairs - reference.pairs;
    let weight = (-(difference * difference) / (2.0 * SIGMA * SIGMA)).exp();
    let cosine = |n: usize| {
        let norms = hypothesis.norms[n] * reference.norms[n];
        let product = clipped_product(&hypothesis.weights[n], &reference.weights[n]);
        if norms == 0.0 { product } else { product / norms }
    };
    (0..ORDER).map(cosine).sum::<f64>() * weight / ORDER as f64
}

/// The product of two sorted vectors, in which the hypothesis counts at most as much as the reference.
fn clipped_product(hypothesis: &Weights, reference: &Weights) -> f64 {
    let mut reference = reference.iter().peekable();
    let mut product = 0.0;
    for (key, weight) in hypothesis {
        while reference.next_if(|(other, _)| other < key).is_some() {}
        if let Some((_, other)) = reference.next_if(|(other, _)| other == key) {
            product += weight.min(*other) * other;
        }
    }
    product
}

impl SegmentMetric for CiderD<'_> {
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let mut other = Vocabulary::default();
        let hypothesis = self.vector(hypothesis, &mut other);
        let similarities =
            references.iter().map(|reference| similarity(&hypothesis, &self.vector(reference, &mut other)));
        one(10.0 * similarities.sum::<f64>() / references.len().max(1) as f64)
    }

    fn score(&self, sums: &[f64]) -> f64 {
        mean(sums)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("n", ORDER.to_string()), ("sigma", SIGMA.to_string()), ("tok", "none".to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of nlg-eval's scorer.
    #[test]
    fn figures_are_nlg_evals() {
        let references = [vec!["a b d", "a b c c"], vec!["x z"]];
        let metric = CiderD::new(&references);
        let rows = [("a b c", 4.49882517), ("x y", 1.25)].map(|(hypothesis, expected)| {
            let row = metric.statistics(hypothesis, &references[usize::from(hypothesis == "x y")]);
            assert!((metric.score(&row) - expected).abs() < 1e-8, "{hypothesis}: {row:?}");
            row
        });
        assert!((metric.score(&[rows[0][0] + rows[1][0], 2.0]) - 2.874412582510915).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_rare_in_one_segment() {
        let references = [vec!["a b"]];
        let metric = CiderD::new(&references);
        assert_eq!(metric.statistics("a b", &references[0]), [0.0, 1.0]);
    }
}
