//! Exact match and F1 of answers, as SQuAD's and ReCoRD's evaluation scripts compute them.

use super::segments::{SegmentMetric, mean, one};
use super::text::words;
use regex::{Captures, Regex};
use std::collections::HashMap;
use std::sync::LazyLock;

/// What an answer is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Squad {
    /// Whether it is one of the expected answers.
    ExactMatch,
    /// The words that it has in common with the closest expected answer.
    F1,
}

/// The answer in lower case, without ASCII punctuation and articles, with single spaces.
pub fn normalise(answer: &str) -> String {
    // Python's \w, at whose borders the scripts look for articles.
    static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}_]+").expect("the pattern is valid"));
    let bare: String = answer.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    let without_articles = WORD.replace_all(&bare, |word: &Captures| match &word[0] {
        "a" | "an" | "the" => " ".to_string(),
        other => other.to_string(),
    });
    words(&without_articles).collect::<Vec<_>>().join(" ")
}

/// F1 of the words of two normalised answers, from 0 to 1; 0 where they have none in common.
fn f1(predicted: &str, expected: &str) -> f64 {
    let mut left: HashMap<&str, usize> = HashMap::new();
    let (predicted, expected): (Vec<&str>, Vec<&str>) = (words(predicted).collect(), words(expected).collect());
    for word in &expected {
        *left.entry(word).or_default() += 1;
    }
    let mut common = 0;
    for word in &predicted {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    if common == 0 {
        return 0.0;
    }
    let (precision, recall) = (f64::from(common) / predicted.len() as f64, f64::from(common) / expected.len() as f64);
    2.0 * precision * recall / (precision + recall)
}

impl SegmentMetric for Squad {
    /// The value of the expected answer that has the best. Where none is expected (SQuAD 2.0), an answer without words
    /// is right.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let predicted = normalise(hypothesis);
        if references.is_empty() {
            return one(f64::from(predicted.is_empty()));
        }
        let compare = |expected: &&str| match (self, normalise(expected)) {
            (Self::ExactMatch, expected) => f64::from(predicted == expected),
            (Self::F1, expected) => f1(&predicted, &expected),
        };
        one(references.iter().map(compare).fold(0.0, f64::max))
    }

    fn score(&self, sums: &[f64]) -> f64 {
        100.0 * mean(sums)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("norm", "squad".to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(metric: Squad, hypothesis: &str, references: &[&str]) -> f64 {
        metric.score(&metric.statistics(hypothesis, references))
    }

    #[test]
    fn answers_are_normalised() {
        assert_eq!(normalise(" The  U.S.A., an A-team\u{a0}of théa"), "usa ateam of théa");
        assert_eq!(normalise("a’b the_x"), "’b thex");
    }

    #[test]
    fn the_best_answer_counts() {
        assert_eq!(score(Squad::ExactMatch, "the Cat!", &["dog", "cat"]), 100.0);
        assert_eq!(score(Squad::F1, "black cat", &["dog", "cat cat"]), 50.0);
        assert_eq!(score(Squad::F1, "", &[]), 100.0);
        assert_eq!(score(Squad::F1, "cat", &[]), 0.0);
        // As SQuAD 1.1's script: nothing is in common, although both are equal.
        assert_eq!((score(Squad::ExactMatch, "a", &["the"]), score(Squad::F1, "a", &["the"])), (100.0, 0.0));
    }
}
