//! Accuracy.

use super::segments::{SegmentMetric, mean, one};

/// Labels that are equal, in points from 0 to 100. The lists are equally long, with one label or more.
pub fn accuracy<T: PartialEq>(predicted: &[T], expected: &[T]) -> f64 {
    let equal = predicted.iter().zip(expected).filter(|(predicted, expected)| predicted == expected).count();
    100.0 * equal as f64 / predicted.len().max(1) as f64
}

/// The same of segments that are labels: white space around them does not count, and any of several references will
/// do.
#[derive(Debug, Clone, Default)]
pub struct Accuracy;

impl SegmentMetric for Accuracy {
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        one(f64::from(references.iter().any(|reference| reference.trim() == hypothesis.trim())))
    }

    fn score(&self, sums: &[f64]) -> f64 {
        100.0 * mean(sums)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_labels_count() {
        assert_eq!(Accuracy.score(&Accuracy.statistics("a ", &["b", "a"])), 100.0);
        assert_eq!(accuracy(&["a", "b", "c", "a"], &["a", "b", "b", "b"]), 50.0);
    }
}
