//! All paths give the same outputs and gradients.

use crate::cases::{Case, cases, worst};
use synth::attention::attend::{attend_by, choose};
use synth::attention::{Dropout, Path, attend};
use tch::Kind;

/// Cases that each path computes, in the order of `Path::ALL`; none must fall out unnoticed. Of 13 forms and 9 masks:
/// 4 forms depend on nothing of the input, 5 are a product alone of at most 256 columns, which a kernel takes but for
/// a causal mask with several queries fewer than keys.
const COMPUTED: [usize; 4] = [4 * 9, 5 * 8, 13 * 9, 13 * 9];

fn compare(kind: Kind, tolerance: f64) {
    let mut computed = [0; 4];
    for case in cases() {
        let reference = case.run(Path::Materialised, kind, Dropout::NONE).unwrap();
        for (path, computed) in Path::ALL.into_iter().zip(&mut computed) {
            let Some(found) = case.run(path, kind, Dropout::NONE) else { continue };
            let (gap, what) = worst(&reference, &found);
            assert!(gap < tolerance, "{}, {kind:?}, {path}: {what} differs by {gap:e}", case.name);
            *computed += 1;
        }
    }
    assert_eq!(computed, COMPUTED, "shared, fused, blockwise, materialised");
}

#[test]
fn every_path_agrees_with_the_materialised_one_in_float64() {
    compare(Kind::Double, 1e-12);
}

#[test]
fn every_path_agrees_with_the_materialised_one_in_float32() {
    compare(Kind::Float, 1e-5);
}

#[test]
fn every_path_agrees_with_the_materialised_one_in_bfloat16() {
    compare(Kind::BFloat16, 0.05);
}

/// The reference itself, against sums over what each query sees, one number at a time.
#[test]
fn the_materialised_path_is_the_definition() {
    for case in cases() {
        let found = case.output(Path::Materialised, Kind::Double, Dropout::NONE).unwrap().detach();
        let expected = by_definition(&case);
        let gap = crate::attention_layers::difference(&found, &(expected * found.ones_like()));
        assert!(gap < 1e-12, "{}: {gap:e}", case.name);
    }
}

fn by_definition(case: &Case) -> tch::Tensor {
    let (n, m) = case.lengths;
    let defined = case.output(Path::Materialised, Kind::Double, Dropout::NONE).unwrap().detach().zeros_like();
    let number = |tensor: &tch::Tensor, at: [i64; 4]| {
        // An axis of 1 is shared.
        let at: Vec<i64> = at.iter().zip(tensor.size()).map(|(&i, size)| if size == 1 { 0 } else { i }).collect();
        tensor.double_value(&at)
    };
    let [batch, heads, _, width] = defined.size()[..] else { unreachable!("outputs have four axes") };
    for (sample, head, i) in (0..batch).flat_map(|b| (0..heads).flat_map(move |h| (0..n).map(move |i| (b, h, i)))) {
        let length = case.mask.key_lengths.as_ref().map_or(m, |lengths| lengths.int64_value(&[sample]));
        let position = m - n + i;
        if case.mask.causal && position >= length {
            continue; // Not defined, or without any key.
        }
        let seen = if case.mask.causal { length.min(position + 1) } else { length };
        let score = |j: i64| {
            let mut sum = 0.0;
            if let (Some(q), Some(k)) = (&case.q, &case.k) {
                sum += (0..q.size()[3])
                    .map(|c| number(q, [sample, head, i, c]) * number(k, [sample, head, j, c]))
                    .sum::<f64>();
            }
            for (table, weight) in &case.tables {
                let weight = weight.as_ref().map_or(1.0, |weight| number(weight, [0, head, 0, 0]));
                sum += weight * table.double_value(&[0, head, i, j]);
            }
            if let Some((a, b)) = &case.factors {
                let width = b.size()[3];
                sum += a.double_value(&[sample, head, i, j / width]) * b.double_value(&[sample, head, i, j % width]);
            }
            sum.exp()
        };
        let weights: Vec<f64> = (0..seen).map(score).collect();
        let total: f64 = weights.iter().sum();
        for c in 0..width {
            let sum = (0..seen).map(|j| weights[j as usize] * case.v.double_value(&[sample, head, j, c])).sum::<f64>();
            let _ = defined.get(sample).get(head).get(i).get(c).fill_(if seen == 0 { 0.0 } else { sum / total });
        }
    }
    defined
}

#[test]
fn a_sample_without_a_key_gives_zero() {
    let mut seen = 0;
    for case in cases() {
        let Some(lengths) = &case.mask.key_lengths else { continue };
        for path in Path::ALL {
            let scores = case.scores(Kind::Double);
            let Some(y) = attend_by(path, &scores, &case.v, &case.mask, Dropout::NONE) else { continue };
            for sample in 0..lengths.size()[0] {
                if lengths.int64_value(&[sample]) == 0 {
                    assert_eq!(y.get(sample).abs().max().double_value(&[]), 0.0, "{}, {path}", case.name);
                    seen += 1;
                }
            }
        }
    }
    assert_eq!(seen, 4 * (4 + 5 + 13 + 13)); // Four masks have such a sample.
}

#[test]
fn attend_is_the_path_that_was_chosen() {
    for case in cases() {
        let (scores, mask) = (case.scores(Kind::Double), &case.mask);
        let path = choose(&scores, &case.v, mask, Dropout::NONE);
        let expected = attend_by(path, &scores, &case.v, mask, Dropout::NONE).unwrap();
        assert_eq!(attend(&scores, &case.v, mask, Dropout::NONE), expected, "{}", case.name);
    }
}
