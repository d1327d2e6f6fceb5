//! Blocks that are computed again in the backward pass give the same numbers.

use super::*;
use crate::attention::options::AttentionOptions;
use crate::kernels::dropout::DropoutKey;
use crate::kernels::host::with_kernels;
use crate::kernels::vocabulary_loss::Objective;
use crate::model::options::{NormPosition, Positions};
use crate::model::vocabulary_loss::vocabulary_loss;
use tch::Kind as Number;

/// The loss of some tokens, then the gradients of all parameters.
fn train(model: &ModelOptions, kind: &str, stored: Number, compute: Number, recompute: bool) -> Vec<Tensor> {
    let attention: AttentionOptions = toml::from_str(&format!("kind = \"{kind}\"\ndropout = 0.3")).unwrap();
    let mut parameters = Parameters::new(1, Device::Cpu, stored);
    let decoder = Decoder::new(&mut parameters, model, &attention, 17).with_recompute(recompute);
    let tokens = Tensor::arange(20, (Number::Int64, Device::Cpu)).remainder(17).view([2, 10]);
    let targets = Tensor::arange(20, (Number::Int64, Device::Cpu)).remainder(5);
    let key = DropoutKey::start(3, 4, 5, Device::Cpu);
    let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
    let hidden = decoder.hidden(&tokens, pass).unwrap().flatten(0, 1);
    let loss = vocabulary_loss(&hidden, decoder.output(), &targets, Objective::default(), pass).unwrap().objective;
    loss.backward();
    let gradients = parameters.trainable().map(|parameter| parameter.tensor.grad());
    [loss.detach()].into_iter().chain(gradients).collect()
}

#[test]
fn gradients_are_the_same_bits() {
    let base = ModelOptions {
        layers: 3,
        d_model: 16,
        heads: 2,
        d_ff: Some(24),
        dropout: 0.2,
        max_length: 10,
        ..Default::default()
    };
    let models = [
        base.clone(),
        ModelOptions { norm_position: NormPosition::Post, ..base.clone() },
        ModelOptions { positions: Positions::Relative, bias: false, ..base },
    ];
    for model in &models {
        for kind in ["vanilla", "dense", "random", "fixed-random+factorized-dense", "random+vanilla"] {
            for (stored, compute) in [(Number::Double, Number::Double), (Number::Float, Number::BFloat16)] {
                let run = |recompute| train(model, kind, stored, compute, recompute);
                let (expected, found) = (run(false), run(true));
                assert!(expected.iter().all(|tensor| tensor.defined()), "{kind}: a parameter without gradient");
                assert!(found == expected, "{kind}, {compute:?}, {model:?}");
                let [expected, found] = [false, true].map(|recompute| with_kernels(|| run(recompute)));
                assert!(found == expected, "by kernels: {kind}, {compute:?}, {model:?}");
            }
        }
    }
}
