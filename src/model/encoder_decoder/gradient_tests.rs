//! The gradients of all parameters against differences of the loss.

use super::tests::{Pairs, attentions, build, models};
use crate::parameters::{Init, Parameters};
use tch::{Device, Kind as Number, Tensor, no_grad};

/// Of each step to either side, along a direction of one number for each of a tensor's.
const STEP: f64 = 2e-6;

#[test]
fn gradients_are_the_slopes_that_differences_show() {
    for model in &models() {
        for attention in &attentions() {
            let (parameters, built) = build(model, attention);
            let pairs = Pairs::new();
            let independent = attention.cross.is_some_and(|kind| kind.capabilities().batch_independent);
            pairs.loss(&built).backward();
            let mut directions = Parameters::new(8, Device::Cpu, Number::Double);
            for parameter in parameters.trainable() {
                let (tensor, gradient) = (&parameter.tensor, parameter.tensor.grad());
                let name =
                    format!("{} of {}, {:?}", parameter.name, attention.label(model.depth()), model.norm_position);
                // Where scores follow from positions alone nothing is read of a norm before the attention over a memory.
                let unread = parameter.name.contains("cross_attention_norm") && !gradient.defined();
                assert!(gradient.defined() || unread && independent, "{name}");
                let gradient = if unread { tensor.detach().zeros_like() } else { gradient };
                for number in 0..2 {
                    let drawn = format!("{}.{number}", parameter.name);
                    let direction = directions.root().tensor(&drawn, &tensor.size(), Init::Normal(1.0)).detach();
                    let slope = (&gradient * &direction).sum(Number::Double).double_value(&[]);
                    let difference = difference(tensor, &direction, || pairs.loss(&built));
                    let bound = 1e-7 * slope.abs().max(1.0);
                    assert!((slope - difference).abs() < bound, "{name}: {slope} against {difference}");
                }
            }
        }
    }
}

/// The slope of `loss` along `direction`.
fn difference(tensor: &Tensor, direction: &Tensor, loss: impl Fn() -> Tensor) -> f64 {
    let start = tensor.detach().copy();
    no_grad(|| {
        let at = |distance: f64| {
            tensor.detach().copy_(&(&start + direction * distance));
            loss().double_value(&[])
        };
        let difference = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        tensor.detach().copy_(&start);
        difference
    })
}
