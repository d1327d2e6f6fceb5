//! Blocks that are computed again in the backward pass give the same numbers, a memory's gradient too.

use super::tests::{Pairs, small};
use super::*;
use crate::kernels::host::with_kernels;
use crate::kernels::vocabulary_loss::Objective;
use crate::model::options::{NormPosition, Positions};
use crate::model::vocabulary_loss::vocabulary_loss;

/// The loss of some pairs, then the gradients of all parameters.
fn train(model: &ModelOptions, attention: &str, kinds: [Number; 2], recompute: bool) -> Vec<Tensor> {
    let attention: AttentionOptions = toml::from_str(attention).unwrap();
    let [stored, compute] = kinds;
    let mut parameters = Parameters::new(1, Device::Cpu, stored);
    let built = EncoderDecoder::new(&mut parameters, model, &attention, Vocabularies::joint(11));
    let built = built.with_recompute(recompute);
    let key = DropoutKey::start(3, 4, 5, Device::Cpu);
    let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
    let pairs = Pairs::new();
    let hidden = built.hidden(pairs.source(), &pairs.inputs, pass).unwrap().flatten(0, 1);
    let targets = pairs.targets.flatten(0, 1);
    let loss = vocabulary_loss(&hidden, built.output(), &targets, Objective::default(), pass).unwrap().objective;
    loss.backward();
    let gradients = parameters.trainable().map(|parameter| parameter.tensor.grad());
    [loss.detach()].into_iter().chain(gradients).collect()
}

#[test]
fn gradients_are_the_same_bits() {
    let base = ModelOptions { layers: 3, encoder_layers: Some(2), d_model: 16, dropout: 0.2, ..small() };
    let models = [
        base.clone(),
        ModelOptions { norm_position: NormPosition::Post, ..base.clone() },
        ModelOptions { positions: Positions::Relative, bias: false, ..base },
    ];
    for model in &models {
        for (own, cross) in [("vanilla", "vanilla"), ("dense", "random+vanilla"), ("random", "factorized-dense")] {
            let attention = format!("kind = {own:?}\ncross = {cross:?}\ndropout = 0.3");
            for kinds in [[Number::Double; 2], [Number::Float, Number::BFloat16]] {
                let run = |recompute| train(model, &attention, kinds, recompute);
                let (expected, found) = (run(false), run(true));
                assert!(expected.iter().all(|tensor| tensor.defined()), "{attention}: a parameter without gradient");
                assert!(found == expected, "{attention}, {kinds:?}, {model:?}");
                let [expected, found] = [false, true].map(|recompute| with_kernels(|| run(recompute)));
                assert!(found == expected, "by kernels: {attention}, {kinds:?}, {model:?}");
            }
        }
    }
}
