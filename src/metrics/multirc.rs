//! MultiRC's F1a and exact match, as SuperGLUE computes them.

use super::f1::f1;

/// F1 of right answers over the answers of all questions, in points from 0 to 100. By question, whether each of its
/// answers is right; both lists have equal shapes.
pub fn f1a(predicted: &[Vec<bool>], expected: &[Vec<bool>]) -> f64 {
    f1(&true, &predicted.concat(), &expected.concat())
}

/// Questions all of whose answers are judged right, in points from 0 to 100.
pub fn exact_match(predicted: &[Vec<bool>], expected: &[Vec<bool>]) -> f64 {
    super::accuracy::accuracy(predicted, expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_count_for_f1_and_questions_for_exact_match() {
        let predicted = [vec![true, false], vec![true], vec![false, true]];
        let expected = [vec![true, false], vec![true], vec![true, true]];
        assert!((f1a(&predicted, &expected) - 600.0 / 7.0).abs() < 1e-12);
        assert!((exact_match(&predicted, &expected) - 200.0 / 3.0).abs() < 1e-12);
    }
}
