//! ROUGE (Lin, 2004) as rouge-score 0.1.2 computes it: F1 of a segment, averaged over segments.

use super::segments::{SegmentMetric, mean, one};
use super::signature::yes_or_no;
use rougers::{Document, RougeScorer, RougeType, Tokenizer};

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
        Self { overlap, stemmer, sentence_break, scorer: scorer.expect("orders of one and two words exist") }
    }

    fn document(&self, text: &str) -> Document {
        match &self.sentence_break {
            Some(sentence_break) => self.scorer.document(&text.replace(sentence_break, "\n")),
            None => self.scorer.document(text),
        }
    }
}

impl SegmentMetric for Rouge {
    /// The F1 of the reference that has the best.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = self.document(hypothesis);
        let f1 = |reference: &&str| {
            let scores = self.scorer.score_documents(&self.document(reference), &hypothesis);
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
}
