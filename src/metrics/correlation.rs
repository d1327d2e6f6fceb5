//! Pearson's and Spearman's correlation, as scipy's `pearsonr` and `spearmanr` compute them.

/// Pearson's correlation, from -1 to 1; `None` where a list holds one value only, which no other can follow.
pub fn pearson(predicted: &[f64], expected: &[f64]) -> Option<f64> {
    let centred = |list: &[f64]| {
        let mean = list.iter().sum::<f64>() / list.len() as f64;
        list.iter().map(|value| value - mean).collect::<Vec<f64>>()
    };
    if is_constant(predicted) || is_constant(expected) {
        return None;
    }
    let (predicted, expected) = (centred(predicted), centred(expected));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = product(&predicted, &predicted).sqrt() * product(&expected, &expected).sqrt();
    Some((product(&predicted, &expected) / norms).clamp(-1.0, 1.0))
}

/// Spearman's correlation: Pearson's of the ranks, in which equal values share their mean rank.
pub fn spearman(predicted: &[f64], expected: &[f64]) -> Option<f64> {
    pearson(&ranks(predicted), &ranks(expected))
}

fn is_constant(list: &[f64]) -> bool {
    list.iter().all(|value| *value == list[0])
}

fn ranks(list: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by(|&a, &b| list[a].total_cmp(&list[b]));
    let mut ranks = vec![0.0; list.len()];
    let mut below = 0.0;
    for equal in order.chunk_by(|&a, &b| list[a] == list[b]) {
        for &place in equal {
            ranks[place] = below + (equal.len() as f64 + 1.0) / 2.0;
        }
        below += equal.len() as f64;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_rank() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 0.0, -0.0]), [4.5, 3.0, 4.5, 1.5, 1.5]);
    }

    /// Figures of scipy 1.17.1.
    #[test]
    fn figures_are_scipys() {
        let (predicted, expected) = ([1.0, 2.0, 3.0, 4.0, 4.0], [2.0, 1.0, 4.0, 3.0, 5.0]);
        assert!((pearson(&predicted, &expected).unwrap() - 0.7276068751089989).abs() < 1e-12);
        assert!((spearman(&predicted, &expected).unwrap() - 0.7181848464596079).abs() < 1e-12);
        assert_eq!(pearson(&[1.0, 1.0], &[1.0, 2.0]), None);
    }
}
