//! Gradients in float64 against finite differences, along random directions: every entry of a leaf has its share.

use crate::attention_layers::{D_MODEL, EVALUATION, Layer, TESTED, normal, set};
use crate::cases::cases;
use synth::attention::{Dropout, Mask, Path};
use tch::{Kind, Tensor};

const STEP: f64 = 1e-5;
/// Directions for each leaf.
const DIRECTIONS: usize = 2;

/// The derivative of `value` along `direction` of `leaf`, by central differences.
fn numeric(leaf: &Tensor, direction: &Tensor, value: impl Fn() -> f64) -> f64 {
    let start = leaf.detach().copy();
    let at = |step: f64| {
        set(leaf, &(&start + direction * step));
        value()
    };
    let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
    set(leaf, &start);
    slope
}

/// Asserts that a leaf's gradient is that of `value`.
fn check(what: &str, leaf: &Tensor, gradient: &Tensor, value: impl Fn() -> f64) {
    for i in 0..DIRECTIONS {
        let direction = normal(&format!("direction {i}"), &leaf.size());
        let numeric = numeric(leaf, &direction, &value);
        let found = (gradient * direction).sum(Kind::Double).double_value(&[]);
        let gap = (numeric - found).abs() / numeric.abs().max(1.0);
        assert!(gap < 1e-7, "{what}: {numeric} and {found}");
    }
}

#[test]
fn paths_have_the_gradients_of_finite_differences() {
    for case in cases() {
        for path in Path::ALL {
            let Some(results) = case.run(path, Kind::Double, Dropout::NONE) else { continue };
            let upstream = normal("upstream", &results[0].1.size());
            let value = || {
                let y = case.output(path, Kind::Double, Dropout::NONE).unwrap();
                (y * &upstream).sum(Kind::Double).double_value(&[])
            };
            let _no_grad = tch::no_grad_guard();
            for ((name, leaf), (_, gradient)) in case.leaves().into_iter().zip(&results[1..]) {
                check(&format!("{}, {path}: {name}", case.name), leaf, gradient, value);
            }
        }
    }
}

/// Every parameter of every kind and option, both inputs and an added bias, through every path.
#[test]
fn layers_have_the_gradients_of_finite_differences() {
    for &tested in TESTED {
        let layer = Layer::new(tested, 2);
        let leaf = |name: &str, shape: &[i64]| normal(name, shape).set_requires_grad(true);
        let (x, memory) = (leaf("x", &[2, 5, D_MODEL]), leaf("memory", &[2, 6, D_MODEL]));
        let relative = leaf("relative", &[1, 2, 5, 6]);
        let mask = Mask { causal: false, key_lengths: Some(Tensor::from_slice(&[6i64, 3])) };
        for bias in [None, Some(&relative)] {
            let inputs = [("x", &x), ("memory", &memory)].into_iter().chain(bias.map(|bias| ("relative", bias)));
            let trained = layer.parameters.trainable().map(|parameter| (parameter.name.as_str(), &parameter.tensor));
            let leaves: Vec<(&str, &Tensor)> = inputs.chain(trained).collect();
            for path in Path::ALL {
                let output = || layer.attention.attend_to_by(path, (&x, &memory), bias, &mask, EVALUATION).unwrap();
                let Some(y) = output() else { continue };
                let upstream = normal("upstream", &y.size());
                let loss = |y: Tensor| (y * &upstream).sum(Kind::Double);
                loss(y).backward();
                for (name, leaf) in &leaves {
                    let mut tensor = leaf.shallow_clone();
                    // Where scores do not depend on the input the queries' has no gradient; all else has one.
                    let defined = tensor.grad().defined();
                    assert!(
                        defined || *name == "x" && layer.kind.capabilities().batch_independent,
                        "{}: {name}",
                        layer.name
                    );
                    let gradient = if defined { tensor.grad().copy() } else { tensor.zeros_like() };
                    tensor.zero_grad();
                    let value = || tch::no_grad(|| loss(output().unwrap()).double_value(&[]));
                    check(&format!("{}, {path}: {name}", layer.name), leaf, &gradient.detach(), value);
                }
            }
        }
    }
}
