//! BLEU (Papineni et al., 2002) as sacrebleu 2.6 computes it.

use super::ngrams::{self, Counts, MAX_WORDS};
use super::segments::SegmentMetric;
use super::signature::yes_or_no;
use super::text::{trim_end, words};
use super::tokenizers::Tokenizer;
use super::vocabulary::Vocabulary;
use std::fmt;
use std::str::FromStr;

/// The longest n-gram that counts, where nothing else is said.
const ORDER: usize = MAX_WORDS;

/// What happens where no n-gram of an order matches (Chen and Cherry, 2014).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Smoothing {
    /// Nothing: the score is 0.
    None,
    /// This many matches instead of none.
    Floor(f64),
    /// This many more matches and n-grams for every order but the first.
    AddK(f64),
    /// Half a match, for the next such order a quarter, and so on, as mteval-v13a.
    #[default]
    Exponential,
}

impl fmt::Display for Smoothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Floor(value) => write!(f, "floor[{value:.2}]"),
            Self::AddK(value) => write!(f, "add-k[{value:.2}]"),
            Self::Exponential => f.write_str("exp"),
        }
    }
}

impl FromStr for Smoothing {
    type Err = String;

    /// `exp`, `none`, `floor` (0.1), `add-k` (1), or these two with a value as in `floor:0.01`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
        let number = value.map(|value| value.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0));
        match (name, number) {
            ("exp", None) => Ok(Self::Exponential),
            ("none", None) => Ok(Self::None),
            ("floor", None) => Ok(Self::Floor(0.1)),
            ("floor", Some(Some(value))) => Ok(Self::Floor(value)),
            ("add-k", None) => Ok(Self::AddK(1.0)),
            ("add-k", Some(Some(value))) => Ok(Self::AddK(value)),
            _ => Err("expected exp, none, floor, add-k, floor:VALUE or add-k:VALUE with a VALUE above 0".to_string()),
        }
    }
}

/// BLEU in points from 0 to 100.
#[derive(Debug, Clone)]
pub struct Bleu {
    /// How lines are cut into words.
    pub tokenizer: Tokenizer,
    /// What stands in for no match.
    pub smoothing: Smoothing,
    /// Whether case is ignored.
    pub lowercase: bool,
    /// Whether orders longer than every hypothesis are left out. Sentence scores always leave them out.
    pub effective_order: bool,
    /// The longest n-gram that counts, 1 to 4 words: sacrebleu's `max_ngram_order`.
    pub max_order: usize,
}

impl Default for Bleu {
    fn default() -> Self {
        Self {
            tokenizer: Tokenizer::default(),
            smoothing: Smoothing::default(),
            lowercase: false,
            effective_order: false,
            max_order: ORDER,
        }
    }
}

impl Bleu {
    /// The line with white space between the words that count.
    fn separate(&self, line: &str) -> String {
        let line = trim_end(line);
        if self.lowercase {
            self.tokenizer.separate(&line.to_lowercase()).into_owned()
        } else {
            self.tokenizer.separate(line).into_owned()
        }
    }

    fn points(&self, sums: &[f64], effective_order: bool) -> f64 {
        let (lengths, counts) = sums.split_at(2);
        let (correct, total) = counts.split_at(self.max_order);
        if correct.iter().all(|&count| count == 0.0) {
            return 0.0;
        }
        let precisions = self.precisions(correct, total);
        let orders = if effective_order { precisions.len() } else { self.max_order };
        if precisions.len() < orders {
            return 0.0;
        }
        let logarithms: f64 = precisions.iter().map(|precision| precision.ln()).sum();
        brevity_penalty(lengths[0], lengths[1]) * (logarithms / orders as f64).exp()
    }

    /// By order, n-grams that match in percent of all; no longer than there are n-grams.
    fn precisions(&self, correct: &[f64], total: &[f64]) -> Vec<f64> {
        let mut precisions = Vec::with_capacity(self.max_order);
        let mut share = 1.0;
        for (n, (correct, total)) in correct.iter().zip(total).enumerate() {
            let added = match self.smoothing {
                Smoothing::AddK(value) if n > 0 => value,
                _ => 0.0,
            };
            let (correct, total) = (correct + added, total + added);
            if total == 0.0 {
                break;
            }
            let counted = match self.smoothing {
                _ if correct > 0.0 => correct,
                Smoothing::Floor(value) => value,
                Smoothing::Exponential => {
                    share *= 2.0;
                    1.0 / share
                }
                Smoothing::None | Smoothing::AddK(_) => 0.0,
            };
            precisions.push(100.0 * counted / total);
        }
        precisions
    }
}

fn brevity_penalty(hypothesis_length: f64, reference_length: f64) -> f64 {
    if hypothesis_length >= reference_length {
        1.0
    } else if hypothesis_length > 0.0 {
        (1.0 - reference_length / hypothesis_length).exp()
    } else {
        0.0
    }
}

impl SegmentMetric for Bleu {
    /// The hypothesis' length, the closest reference length, then by order the n-grams that match and all of them.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = self.separate(hypothesis);
        let references: Vec<String> = references.iter().map(|reference| self.separate(reference)).collect();
        let mut vocabulary = Vocabulary::default();
        let hypothesis = vocabulary.numbers(words(&hypothesis));
        let references: Vec<_> = references.iter().map(|reference| vocabulary.numbers(words(reference))).collect();
        let closest = references.iter().map(Vec::len).min_by_key(|&length| (length.abs_diff(hypothesis.len()), length));
        let mut statistics = vec![0.0; 2 + 2 * self.max_order];
        statistics[0] = hypothesis.len() as f64;
        statistics[1] = closest.unwrap_or(0) as f64;
        for n in 0..self.max_order {
            let counts = ngrams::of_words(&hypothesis, n + 1);
            let known = references.iter().map(|reference| ngrams::of_words(reference, n + 1));
            let known: Counts = known.reduce(|all, one| ngrams::union(&all, &one)).unwrap_or_default();
            statistics[2 + n] = ngrams::matches(&counts, &known) as f64;
            statistics[2 + self.max_order + n] = ngrams::total(&counts) as f64;
        }
        statistics
    }

    fn score(&self, sums: &[f64]) -> f64 {
        self.points(sums, self.effective_order)
    }

    fn sentence_score(&self, statistics: &[f64]) -> f64 {
        self.points(statistics, true)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("case", if self.lowercase { "lc" } else { "mixed" }.to_string()),
            ("eff", yes_or_no(self.effective_order)),
            ("tok", self.tokenizer.to_string()),
            ("smooth", self.smoothing.to_string()),
        ];
        // sacrebleu's signature does not tell it.
        settings.extend((self.max_order != ORDER).then(|| ("order", self.max_order.to_string())));
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::segments::tests::score_of;

    /// Figures of sacrebleu 2.6.0.
    #[test]
    fn smoothing_stands_in_for_matches() {
        let score = |metric| score_of(&metric, &["a b c x"], &[&["a b c d"]]);
        for (smoothing, expected) in [("exp", 59.460355750136046), ("none", 0.0), ("floor", 39.76353643835254)] {
            let metric = Bleu { smoothing: smoothing.parse().unwrap(), ..Bleu::default() };
            assert!((score(metric) - expected).abs() < 1e-9, "{smoothing}");
        }
        let metric = Bleu { smoothing: Smoothing::AddK(1.0), ..Bleu::default() };
        assert!((score(metric) - 65.80370064762461).abs() < 1e-9);
    }

    #[test]
    fn short_texts_have_fewer_orders() {
        let metric = Bleu::default();
        let statistics = metric.statistics("a b", &["a b", "a b c d e f"]);
        assert_eq!(statistics, [2.0, 2.0, 2.0, 1.0, 0.0, 0.0, 2.0, 1.0, 0.0, 0.0]);
        assert_eq!(metric.score(&statistics), 0.0);
        assert!((metric.sentence_score(&statistics) - 100.0).abs() < 1e-9);
    }

    /// 4 of 5 words match, 2 of 4 pairs; one word fewer than the reference has.
    #[test]
    fn longer_ngrams_than_the_greatest_order_do_not_count() {
        let of_order = |max_order| Bleu { max_order, ..Bleu::default() };
        let score = |max_order| score_of(&of_order(max_order), &["a b x d e"], &[&["a b c d e f"]]);
        let brevity = (1.0f64 - 6.0 / 5.0).exp();
        assert!((score(1) - 80.0 * brevity).abs() < 1e-9);
        assert!((score(2) - (80.0f64 * 50.0).sqrt() * brevity).abs() < 1e-9);
        assert_eq!(score_of(&of_order(1), &[""], &[&["a"]]), 0.0);
        let told = |metric: Bleu| metric.settings().iter().any(|(key, _)| *key == "order");
        assert_eq!(of_order(1).settings()[4], ("order", "1".to_string()));
        assert!(!told(Bleu::default()));
    }

    #[test]
    fn methods_are_read_and_shown() {
        for (text, shown) in [("exp", "exp"), ("floor", "floor[0.10]"), ("add-k:0.5", "add-k[0.50]"), ("none", "none")]
        {
            assert_eq!(text.parse::<Smoothing>().unwrap().to_string(), shown);
        }
        for wrong in ["", "exp:1", "floor:", "floor:0", "floor:nan", "add-k:-1", "add"] {
            assert!(wrong.parse::<Smoothing>().is_err(), "{wrong}");
        }
    }
}
