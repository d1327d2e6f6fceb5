//! TER (Snover et al., 2006) as sacrebleu 2.6 computes it: case ignored, nothing else normalised.

mod edit_distance;
mod shifts;

use super::segments::SegmentMetric;
use super::text::words;
use super::vocabulary::Vocabulary;
use edit_distance::EditDistance;

/// Translation edit rate: edits and shifts of phrases per 100 words of the reference. 0 is best; it can exceed 100.
#[derive(Debug, Clone, Default)]
pub struct Ter;

/// The edits that make `reference` of `hypothesis`, a shift counting as one.
fn edits(hypothesis: &[u32], reference: &[u32]) -> usize {
    if reference.is_empty() {
        return hypothesis.len();
    }
    let distance = EditDistance::new(hypothesis.len(), reference);
    let mut words = hypothesis.to_vec();
    let mut shifts = 0;
    let mut tried = 0;
    loop {
        let matrix = distance.matrix(&words);
        match shifts::best(&words, &distance, &matrix, &mut tried) {
            Some(better) if tried < shifts::MAX_TRIED => words = better,
            _ => return shifts + matrix.distance(),
        }
        shifts += 1;
    }
}

impl SegmentMetric for Ter {
    /// The edits towards the closest reference, and the mean length of the references.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = hypothesis.to_lowercase();
        let references: Vec<String> = references.iter().map(|reference| reference.to_lowercase()).collect();
        let mut vocabulary = Vocabulary::default();
        let hypothesis = vocabulary.numbers(words(&hypothesis));
        let references: Vec<_> = references.iter().map(|reference| vocabulary.numbers(words(reference))).collect();
        let fewest = references.iter().map(|reference| edits(&hypothesis, reference)).min().unwrap_or(0);
        let lengths: usize = references.iter().map(Vec::len).sum();
        vec![fewest as f64, lengths as f64 / references.len().max(1) as f64]
    }

    fn score(&self, sums: &[f64]) -> f64 {
        if sums[1] > 0.0 {
            100.0 * (sums[0] / sums[1])
        } else if sums[0] > 0.0 {
            100.0
        } else {
            0.0
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let pairs = [("case", "lc"), ("tok", "tercom"), ("norm", "no"), ("punct", "yes"), ("asian", "no")];
        pairs.map(|(key, value)| (key, value.to_string())).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::segments::tests::score_of;

    #[test]
    fn a_shift_is_one_edit() {
        assert_eq!(edits(&[3, 4, 5, 1, 2], &[1, 2, 3, 4, 5]), 1);
        assert_eq!(edits(&[1, 2], &[]), 2);
        assert_eq!(edits(&[], &[1, 2]), 2);
    }

    /// Figures of sacrebleu 2.6.0.
    #[test]
    fn figures_are_sacrebleus() {
        let found = score_of(&Ter, &["d a b c", "x"], &[&["a b c D"], &["x y"]]);
        assert!((found - 33.33333333333333).abs() < 1e-9);
        let found = score_of(&Ter, &["c d e a b", "x y"], &[&["a b c d e", "q"], &["z", ""]]);
        assert!((found - 85.71428571428571).abs() < 1e-9);
        assert_eq!((Ter.score(&[3.0, 0.0]), Ter.score(&[0.0, 0.0])), (100.0, 0.0));
    }
}
