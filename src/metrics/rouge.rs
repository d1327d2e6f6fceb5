//! ROUGE (Lin, 2004) as rouge-score 0.1.2 computes it: F1 of a segment, averaged over segments.

use super::segments::{SegmentMetric, mean, one};
use super::signature::yes_or_no;
use rougers::{RougeScorer, RougeType, Tokenizer};
use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of one sentence times those of another from which on ROUGE-Lsum compares one pair at a time: its table takes
/// 4 bytes for each pair of words, and a word with what ends it at least 2. This much is 64 MiB.
const LARGE: usize = 1 << 26;

/// What two texts are compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Their words.
    Rouge1,
    /// Their pairs of neighbouring words.
    Rouge2,
    /// Their longest common subsequence of words.
    RougeL,
    /// The union of longest common subsequences of the reference's sentences with the hypothesis' sentences. Sentences
    /// are the lines of a segment's text.
    RougeLsum,
}

/// ROUGE in points from 0 to 100.
#[derive(Debug)]
pub struct Rouge {
    overlap: RougeType,
    stemmer: bool,
    sentence_break: Option<String>,
    scorer: RougeScorer,
    /// Held while a large table lies in memory.
    large: Mutex<()>,
}

impl Rouge {
    /// With Porter's stemmer or without. For ROUGE-Lsum, a `sentence_break` ends a sentence as the end of a line does.
    pub fn new(overlap: Overlap, stemmer: bool, sentence_break: Option<&str>) -> Self {
        let sentence_break = sentence_break.filter(|text| overlap == Overlap::RougeLsum && !text.is_empty());
        let overlap = match overlap {
            Overlap::Rouge1 => RougeType::N(1),
            Overlap::Rouge2 => RougeType::N(2),
            Overlap::RougeL => RougeType::L,
            Overlap::RougeLsum => RougeType::LSum,
        };
        let scorer = RougeScorer::with_tokenizer(vec![overlap], Tokenizer::new(stemmer));
        let sentence_break = sentence_break.map(str::to_string);
        let scorer = scorer.expect("orders of one and two words exist");
        Self { overlap, stemmer, sentence_break, scorer, large: Mutex::new(()) }
    }

    /// The text with a sentence a line.
    fn sentences<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.sentence_break {
            Some(sentence_break) => text.replace(sentence_break, "\n").into(),
            None => text.into(),
        }
    }

    /// Waits where comparing the texts takes a large table.
    fn alone(&self, one: &str, other: &str) -> Option<MutexGuard<'_, ()>> {
        let longest = |text: &str| text.split('\n').map(str::len).max().unwrap_or(0);
        let large = self.overlap == RougeType::LSum && longest(one).saturating_mul(longest(other)) > LARGE;
        large.then(|| self.large.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SegmentMetric for Rouge {
    /// The F1 of the reference that has the best.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let text = self.sentences(hypothesis);
        let hypothesis = self.scorer.document(&text);
        let f1 = |reference: &&str| {
            let reference = self.sentences(reference);
            let _alone = self.alone(&text, &reference);
            let scores = self.scorer.score_documents(&self.scorer.document(&reference), &hypothesis);
            scores.get(self.overlap).map_or(0.0, |score| score.fmeasure)
        };
        one(references.iter().map(f1).fold(0.0, f64::max))
    }

    fn score(&self, sums: &[f64]) -> f64 {
        100.0 * mean(sums)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![("stem", yes_or_no(self.stemmer)), ("avg", "f1".to_string())];
        settings.extend(self.sentence_break.iter().map(|text| ("break", text.clone())));
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of rouge-score 0.1.2.
    #[test]
    fn figures_are_rouge_scores() {
        let score = |overlap, references: &[&str]| {
            let metric = Rouge::new(overlap, true, Some("<n>"));
            metric.score(&metric.statistics("running home the dog runs", references))
        };
        let overlaps = [Overlap::Rouge1, Overlap::Rouge2, Overlap::RougeL];
        for (overlap, expected) in overlaps.into_iter().zip([80.0, 50.0, 60.0]) {
            let found = score(overlap, &["nothing", "the dogs were running home"]);
            assert!((found - expected).abs() < 1e-9, "{overlap:?}: {found}");
        }
        assert!((score(Overlap::RougeLsum, &["the dogs were running<n>home"]) - 80.0).abs() < 1e-9);
    }

    #[test]
    fn large_tables_come_one_at_a_time() {
        let (long, lines) = ("word ".repeat(2000), "word\n".repeat(2000));
        let waits = |overlap, one: &str, other: &str| Rouge::new(overlap, true, None).alone(one, other).is_some();
        assert!(waits(Overlap::RougeLsum, &long, &long));
        assert!(!waits(Overlap::RougeLsum, &long, &lines) && !waits(Overlap::RougeL, &long, &long));
    }
}
