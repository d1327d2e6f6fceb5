use crate::train::optimizer::Optimizer;
use crate::train::optimizer::cases::{Plain, compare, parameters};
use crate::train::options::{OptimizerKind, OptimizerOptions};
use std::collections::HashMap;
use tch::Kind;

fn options(momentum: f64, nesterov: bool) -> OptimizerOptions {
    OptimizerOptions { kind: OptimizerKind::Sgd, momentum, nesterov, weight_decay: 0.0, ..Default::default() }
}

/// A rule on one tensor: the tensor, its gradient, the update's number, the rate.
type Reference = Box<dyn FnMut(&Plain, &[f64], usize, f64) -> Vec<f64>>;

/// The rule in plain numbers: b ← momentum · b + g, and what follows from it.
fn reference(momentum: f64, nesterov: bool) -> Reference {
    let mut buffers: HashMap<usize, Vec<f64>> = HashMap::new();
    Box::new(move |tensor, gradient, _, rate| {
        let b = buffers.entry(tensor.number).or_insert_with(|| vec![0.0; gradient.len()]);
        let step = |b: &mut f64, g: f64| {
            *b = momentum * *b + g;
            rate * if nesterov { g + momentum * *b } else { *b }
        };
        b.iter_mut().zip(gradient).map(|(b, g)| step(b, *g)).collect()
    })
}

#[test]
fn every_form_follows_the_rule() {
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
        for (weight_decay, clip_norm) in [(0.0, 0.0), (0.25, 0.0), (0.25, 2.0), (0.0, 1e6)] {
            let options = OptimizerOptions { weight_decay, clip_norm, ..options(momentum, nesterov) };
            compare(&options, || reference(momentum, nesterov));
        }
    }
}

#[test]
fn without_momentum_nothing_is_kept() {
    let names = |momentum| {
        let parameters = parameters();
        let state = Optimizer::new(&parameters, &options(momentum, false), Kind::Double).unwrap().state();
        state.into_iter().map(|(name, tensor)| (name, tensor.size())).collect::<Vec<_>>()
    };
    assert_eq!(names(0.0), [("updates".to_string(), vec![])]);
    let kept = names(0.5);
    assert_eq!(kept.len(), parameters().iter().count() + 1);
    assert_eq!(kept[3], ("momentum.t3".to_string(), vec![3, 2]));
}
