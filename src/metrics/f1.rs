//! F1 of labels, as scikit-learn's `f1_score` computes it.

use std::collections::BTreeSet;

/// What of a label is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Predicted and right.
    pub hits: u64,
    /// Predicted, right or not.
    pub predicted: u64,
    /// Expected, found or not.
    pub expected: u64,
}

impl Counts {
    /// Counts `label`.
    pub fn of<T: PartialEq>(label: &T, predicted: &[T], expected: &[T]) -> Self {
        let mut counts = Self::default();
        for (predicted, expected) in predicted.iter().zip(expected) {
            let (predicted, expected) = (predicted == label, expected == label);
            counts.hits += u64::from(predicted && expected);
            counts.predicted += u64::from(predicted);
            counts.expected += u64::from(expected);
        }
        counts
    }

    /// The harmonic mean of precision and recall in points, 0 where the label neither stands nor is predicted.
    pub fn f1(self) -> f64 {
        match self.predicted + self.expected {
            0 => 0.0,
            both => 200.0 * self.hits as f64 / both as f64,
        }
    }
}

/// F1 of the label `positive`, in points from 0 to 100.
pub fn f1<T: PartialEq>(positive: &T, predicted: &[T], expected: &[T]) -> f64 {
    Counts::of(positive, predicted, expected).f1()
}

/// The mean F1 of all labels that are predicted or expected, in points from 0 to 100.
pub fn macro_f1<T: Ord>(predicted: &[T], expected: &[T]) -> f64 {
    let labels: BTreeSet<&T> = predicted.iter().chain(expected).collect();
    let sum: f64 = labels.iter().map(|label| f1(*label, predicted, expected)).sum();
    sum / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of scikit-learn 1.9.1.
    #[test]
    fn figures_are_scikit_learns() {
        let (predicted, expected) = (["1", "1", "0", "1", "0"], ["1", "0", "0", "1", "1"]);
        assert!((f1(&"1", &predicted, &expected) - 66.66666666666667).abs() < 1e-12);
        assert!((macro_f1(&predicted, &expected) - 58.333333333333336).abs() < 1e-12);
        assert!((macro_f1(&["a", "b", "c"], &["a", "c", "d"]) - 25.0).abs() < 1e-12);
        assert_eq!(f1(&"2", &predicted, &expected), 0.0);
    }
}
