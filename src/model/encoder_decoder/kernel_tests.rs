//! A whole model by the kernels, on the host, against the same model in plain operations.

use super::tests::{Pairs, small};
use super::*;
use crate::kernels::host::with_kernels;
use crate::kernels::vocabulary_loss::Objective;
use crate::model::options::{NormPosition, Positions, ResidualStream};
use crate::model::vocabulary_loss::vocabulary_loss;

/// The loss of some pairs, then the gradients of all parameters.
fn gradients(model: &ModelOptions, attention: &str, [stored, compute]: [Number; 2]) -> Vec<Tensor> {
    let attention: AttentionOptions = toml::from_str(attention).unwrap();
    let mut parameters = Parameters::new(1, Device::Cpu, stored);
    let built = EncoderDecoder::new(&mut parameters, model, &attention, Vocabularies::joint(11));
    let key = DropoutKey::start(3, 4, 5, Device::Cpu);
    let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
    let pairs = Pairs::new();
    let hidden = built.hidden(pairs.source(), &pairs.inputs, pass).unwrap().flatten(0, 1);
    let targets = pairs.targets.flatten(0, 1);
    let loss = vocabulary_loss(&hidden, built.output(), &targets, Objective::default(), pass).unwrap().objective;
    loss.backward();
    let gradients = parameters.trainable().map(|parameter| parameter.tensor.grad());
    [loss].into_iter().chain(gradients).map(|tensor| tensor.detach().to_kind(Number::Double)).collect()
}

/// The largest of the tensors' distances, each in units of its own norm.
fn distance(found: &[Tensor], expected: &[Tensor]) -> f64 {
    let of = |(a, b): (&Tensor, &Tensor)| ((a - b).norm() / (b.norm() + 1e-12)).double_value(&[]);
    found.iter().zip(expected).map(of).fold(0.0, f64::max)
}

#[test]
fn gradients_are_those_of_plain_operations() {
    let base = ModelOptions { d_model: 24, d_ff: Some(52), dropout: 0.2, ..small() };
    let models = [
        ModelOptions { positions: Positions::Relative, ..base.clone() },
        ModelOptions { norm_position: NormPosition::Post, positions: Positions::Sinusoidal, ..base },
    ];
    for model in &models {
        for (own, cross) in [("vanilla", "vanilla"), ("random", "dense"), ("dense", "factorized-random+vanilla")] {
            let attention = format!("kind = {own:?}\ncross = {cross:?}\ndropout = 0.1");
            let expected = gradients(model, &attention, [Number::Double; 2]);
            let found = with_kernels(|| gradients(model, &attention, [Number::Float; 2]));
            let gap = distance(&found, &expected);
            assert!(gap < 2e-5, "{gap} in float32: {attention}, {model:?}");
            for residual_stream in [ResidualStream::Float32, ResidualStream::Bfloat16] {
                let model = ModelOptions { residual_stream, ..model.clone() };
                // In bfloat16 no further from float64 than plain operations are.
                let run = || gradients(&model, &attention, [Number::Float, Number::BFloat16]);
                let [kernels, plain] = [with_kernels(run), run()].map(|found| distance(&found, &expected));
                assert!(kernels < 1.5 * plain.max(0.01), "{kernels} against {plain}: {attention}, {model:?}");
            }
        }
    }
}
