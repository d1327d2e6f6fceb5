//! The shared path where all that a sample sees is far below what others see: exponentials underflow.

use crate::attention_layers::normal;
use crate::cases::{BATCH, Case, HEADS, worst};
use synth::attention::{Dropout, Mask, Path};
use synth::kernels::dropout::DropoutKey;
use tch::{Device, Kind, Tensor};

const LENGTH: i64 = 7;

/// Scores that are `gap` lower in the first three keys, all that the first sample sees.
fn case(gap: f64) -> Case {
    let shape = [1, HEADS, LENGTH, LENGTH];
    let table = normal("table", &shape);
    let _ = table.narrow(3, 0, 3).g_sub_scalar_(gap);
    Case {
        name: format!("a gap of {gap}"),
        q: None,
        k: None,
        tables: vec![(table.set_requires_grad(true), None)],
        factors: None,
        v: normal("v", &[BATCH, HEADS, LENGTH, 4]).set_requires_grad(true),
        mask: Mask { causal: false, key_lengths: Some(Tensor::from_slice(&[3i64, 7, 0])) },
        lengths: (LENGTH, LENGTH),
    }
}

/// Without the softmax per length the exponentials of a sample are all zero, and 0 / 0 no number.
#[test]
fn what_underflows_is_right_all_the_same() {
    for (kind, gap, tolerance) in [
        // On either side of the least denominator, and far beyond the least exponential.
        (Kind::Double, 600.0, 1e-12),
        (Kind::Double, 640.0, 1e-12),
        (Kind::Double, 650.0, 1e-12),
        (Kind::Double, 800.0, 1e-12),
        (Kind::Float, 50.0, 1e-5),
        (Kind::Float, 62.0, 1e-5),
        (Kind::Float, 70.0, 1e-5),
        (Kind::Float, 100.0, 1e-5),
        (Kind::Float, 200.0, 1e-5),
        (Kind::BFloat16, 200.0, 0.05),
    ] {
        let case = case(gap);
        let reference = case.run(Path::Materialised, kind, Dropout::NONE).unwrap();
        let found = case.run(Path::Shared, kind, Dropout::NONE).unwrap();
        let (worst, what) = worst(&reference, &found);
        assert!(worst < tolerance, "{}, {kind:?}: {what} differs by {worst:e}", case.name);
        let first = found[0].1.get(0).abs().min().double_value(&[]);
        assert!(first > 0.0 && first.is_finite(), "{}, {kind:?}: {first}", case.name);
    }
}

#[test]
fn what_underflows_has_the_same_dropout_mask() {
    let key = DropoutKey::start(1, 2, 3, Device::Cpu);
    for gap in [0.0, 800.0] {
        let case = case(gap);
        let run = |path| case.run(path, Kind::Double, Dropout::new(0.4, &key, 5)).unwrap();
        let (gap, what) = worst(&run(Path::Materialised), &run(Path::Shared));
        assert!(gap < 1e-12, "{}: {what} differs by {gap:e}", case.name);
    }
}
