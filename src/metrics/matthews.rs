//! Matthews correlation coefficient, as scikit-learn's `matthews_corrcoef` computes it for any number of labels.

use std::collections::HashMap;
use std::hash::Hash;

/// From -1 to 1; 0 where either list holds one label only.
pub fn matthews<T: Eq + Hash>(predicted: &[T], expected: &[T]) -> f64 {
    let mut counts: HashMap<&T, (f64, f64)> = HashMap::new();
    let mut equal = 0.0;
    for (predicted, expected) in predicted.iter().zip(expected) {
        counts.entry(predicted).or_default().0 += 1.0;
        counts.entry(expected).or_default().1 += 1.0;
        equal += f64::from(predicted == expected);
    }
    let total = predicted.len() as f64;
    let sum = |product: fn(&(f64, f64)) -> f64| counts.values().map(product).sum::<f64>();
    let covariance = equal * total - sum(|(predicted, expected)| predicted * expected);
    let spread = (total * total - sum(|(predicted, _)| predicted * predicted))
        * (total * total - sum(|(_, expected)| expected * expected));
    if spread == 0.0 { 0.0 } else { covariance / spread.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Figures of scikit-learn 1.9.1.
    #[test]
    fn figures_are_scikit_learns() {
        assert!((matthews(&[1, 1, 0, 1, 0], &[1, 0, 0, 1, 1]) - 0.16666666666666666).abs() < 1e-15);
        assert!((matthews(&[1, 2, 3, 1], &[1, 2, 2, 3]) - 0.3).abs() < 1e-15);
        assert_eq!(matthews(&[1, 1], &[0, 1]), 0.0);
    }
}
