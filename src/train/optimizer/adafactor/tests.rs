use crate::train::optimizer::Optimizer;
use crate::train::optimizer::cases::{Plain, compare, parameters};
use crate::train::options::{AdafactorOptions, OptimizerKind, OptimizerOptions};
use std::collections::HashMap;
use tch::Kind;

fn options(adafactor: AdafactorOptions) -> OptimizerOptions {
    OptimizerOptions {
        kind: OptimizerKind::Adafactor,
        weight_decay: 0.0,
        clip_norm: 0.0,
        adafactor,
        ..Default::default()
    }
}

/// What the rule keeps of a tensor.
#[derive(Default)]
struct Kept {
    row: Vec<f64>,
    column: Vec<f64>,
    whole: Vec<f64>,
    first: Vec<f64>,
}

/// Sizes before, along and behind an axis.
fn around(shape: &[usize], axis: usize) -> [usize; 3] {
    [shape[..axis].iter().product(), shape[axis], shape[axis + 1..].iter().product()]
}

/// Means over an axis, in row-major order of the others.
fn mean_over(x: &[f64], shape: &[usize], axis: usize) -> Vec<f64> {
    let [before, along, behind] = around(shape, axis);
    let mean = |o: usize, i: usize| (0..along).map(|k| x[(o * along + k) * behind + i]).sum::<f64>() / along as f64;
    (0..before).flat_map(|o| (0..behind).map(move |i| (o, i))).map(|(o, i)| mean(o, i)).collect()
}

/// The same for all entries of an axis that `shape` has and `x` has not.
fn spread_over(x: &[f64], shape: &[usize], axis: usize) -> Vec<f64> {
    let [_, along, behind] = around(shape, axis);
    (0..shape.iter().product()).map(|at| x[at / (along * behind) * behind + at % behind]).collect()
}

/// The largest axis and the next; the first of those of one length.
fn two_largest(shape: &[usize]) -> Option<(usize, usize)> {
    let first_of = |axes: &[usize]| {
        let most = axes.iter().map(|&axis| shape[axis]).max()?;
        axes.iter().copied().find(|&axis| shape[axis] == most)
    };
    let axes: Vec<usize> = (0..shape.len()).collect();
    let largest = first_of(&axes)?;
    let others: Vec<usize> = axes.into_iter().filter(|&axis| axis != largest).collect();
    Some((largest, first_of(&others)?))
}

fn root_mean_square(x: &[f64]) -> f64 {
    (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt()
}

/// `old` ← b · `old` + (1 − b) · `now`, from zeros on.
fn go_on(old: &mut Vec<f64>, now: &[f64], b: f64) {
    old.resize(now.len(), 0.0);
    old.iter_mut().zip(now).for_each(|(old, now)| *old = b * *old + (1.0 - b) * now);
}

/// g over the root of its mean square.
fn scaled(kept: &mut Kept, options: &AdafactorOptions, shape: &[usize], g: &[f64], b: f64) -> Vec<f64> {
    let square: Vec<f64> = g.iter().map(|g| g * g + options.eps[0]).collect();
    let factored = two_largest(shape).filter(|(_, other)| shape[*other] as i64 >= options.min_factored);
    let Some((largest, other)) = factored else {
        go_on(&mut kept.whole, &square, b);
        return g.iter().zip(&kept.whole).map(|(g, v)| g / v.sqrt()).collect();
    };
    go_on(&mut kept.row, &mean_over(&square, shape, largest), b);
    go_on(&mut kept.column, &mean_over(&square, shape, other), b);
    let mut rows = shape.to_vec();
    rows.remove(largest);
    let axis = if other > largest { other - 1 } else { other };
    let mean = spread_over(&mean_over(&kept.row, &rows, axis), &rows, axis);
    let ratio: Vec<f64> = kept.row.iter().zip(&mean).map(|(row, mean)| row / mean).collect();
    let (row, column) = (spread_over(&ratio, shape, largest), spread_over(&kept.column, shape, other));
    g.iter().zip(row.iter().zip(&column)).map(|(g, (row, column))| g * row.powf(-0.5) * column.powf(-0.5)).collect()
}

/// A rule on one tensor: the tensor, its gradient, the update's number, the rate.
type Reference = Box<dyn FnMut(&Plain, &[f64], usize, f64) -> Vec<f64>>;

/// The rule in plain numbers.
fn reference(options: AdafactorOptions) -> Reference {
    let mut tensors: HashMap<usize, Kept> = HashMap::new();
    Box::new(move |tensor, gradient, t, rate| {
        let kept = tensors.entry(tensor.number).or_default();
        let b = 1.0 - (t as f64).powf(-options.decay_exponent);
        let mut u = scaled(kept, &options, &tensor.shape, gradient, b);
        if options.clip_threshold > 0.0 {
            let excess = (root_mean_square(&u) / options.clip_threshold).max(1.0);
            u.iter_mut().for_each(|u| *u /= excess);
        }
        let own = root_mean_square(&tensor.numbers).max(options.eps[1]);
        let scale = if options.scale_by_parameter { rate * own } else { rate };
        let step: Vec<f64> = u.iter().map(|u| scale * u).collect();
        if options.beta1 == 0.0 {
            return step;
        }
        go_on(&mut kept.first, &step, options.beta1);
        kept.first.clone()
    })
}

#[test]
fn every_option_follows_the_rule() {
    let base = AdafactorOptions { min_factored: 2, ..Default::default() };
    let cases = [
        base.clone(),
        AdafactorOptions::default(), // nothing here is long enough
        AdafactorOptions { min_factored: 3, ..base.clone() },
        AdafactorOptions { min_factored: 5, beta1: 0.9, ..base.clone() },
        AdafactorOptions { clip_threshold: 0.0, ..base.clone() },
        AdafactorOptions { clip_threshold: 0.3, ..base.clone() },
        AdafactorOptions { clip_threshold: 1e6, decay_exponent: 0.5, ..base.clone() },
        AdafactorOptions { scale_by_parameter: false, ..base.clone() },
        AdafactorOptions { scale_by_parameter: false, beta1: 0.5, clip_threshold: 0.0, ..base.clone() },
        AdafactorOptions { eps: [0.1, 0.75], beta1: 0.9, ..base },
    ];
    for adafactor in cases {
        for (weight_decay, clip_norm) in [(0.0, 0.0), (0.25, 2.0)] {
            let options = OptimizerOptions { weight_decay, clip_norm, ..options(adafactor.clone()) };
            compare(&options, || reference(adafactor.clone()));
        }
    }
}

#[test]
fn the_state_is_a_row_and_a_column_where_axes_are_long_enough() {
    let state = |adafactor: AdafactorOptions| {
        let parameters = parameters();
        let state = Optimizer::new(&parameters, &options(adafactor), Kind::Double).unwrap().state();
        state.into_iter().map(|(name, tensor)| (name, tensor.size())).collect::<HashMap<_, _>>()
    };
    let found = state(AdafactorOptions { min_factored: 3, ..Default::default() });
    let shape = |name: &str| found.get(name).map(Vec::as_slice);
    assert_eq!(shape("second_moment.t0"), Some(&[5][..]));
    assert_eq!(shape("second_moment.t3"), Some(&[3, 2][..]));
    // The largest axis is gone from the row's moment, the next from the column's; of equal ones the earlier comes first.
    assert_eq!((shape("row_moment.t5"), shape("column_moment.t5")), (Some(&[3][..]), Some(&[3][..])));
    assert_eq!((shape("row_moment.t6"), shape("column_moment.t6")), (Some(&[2, 3][..]), Some(&[4, 2][..])));
    assert_eq!((shape("row_moment.t8"), shape("column_moment.t8")), (Some(&[2, 5][..]), Some(&[2, 5][..])));
    assert_eq!((shape("row_moment.t9"), shape("column_moment.t9")), (Some(&[2, 4, 5][..]), Some(&[5, 2, 4][..])));
    assert_eq!((shape("second_moment.t5"), shape("first_moment.t5")), (None, None));
    let found = state(AdafactorOptions { beta1: 0.1, ..Default::default() });
    assert_eq!(
        (found["first_moment.t6"].as_slice(), found["second_moment.t6"].as_slice()),
        (&[4, 2, 3][..], &[4, 2, 3][..])
    );
}
