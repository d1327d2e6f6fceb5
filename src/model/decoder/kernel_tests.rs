//! A whole model by the kernels, on the host, against the same model in plain operations.

use super::*;
use crate::attention::options::AttentionOptions;
use crate::kernels::dropout::DropoutKey;
use crate::kernels::host::with_kernels;
use crate::kernels::vocabulary_loss::Objective;
use crate::model::options::{Activation, Norm as NormKind, NormPosition, Positions, ResidualStream};
use crate::model::vocabulary_loss::vocabulary_loss;
use tch::{Device, Kind as Number};

const VOCABULARY: i64 = 37;
const SHAPE: [i64; 2] = [3, 10];

/// The loss of random tokens, then the gradients of all parameters.
fn gradients(model: &ModelOptions, attention: &AttentionOptions, [stored, compute]: [Number; 2]) -> Vec<Tensor> {
    let mut parameters = Parameters::new(1, Device::Cpu, stored);
    let decoder = Decoder::new(&mut parameters, model, attention, VOCABULARY);
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(2);
    let tokens = Tensor::randint(VOCABULARY, SHAPE, (Number::Int64, Device::Cpu));
    let targets = Tensor::randint(VOCABULARY, [SHAPE[0] * SHAPE[1]], (Number::Int64, Device::Cpu));
    let _ = targets.narrow(0, 4, 3).fill_(-100);
    let key = DropoutKey::start(3, 4, 5, Device::Cpu);
    let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
    let hidden = decoder.hidden(&tokens, pass).unwrap().flatten(0, 1);
    let loss = vocabulary_loss(&hidden, decoder.output(), &targets, Objective::default(), pass).unwrap();
    let loss = loss.objective / targets.numel() as f64;
    loss.backward();
    let gradients = parameters.trainable().map(|parameter| parameter.tensor.grad());
    [loss].into_iter().chain(gradients).map(|tensor| tensor.detach().to_kind(Number::Double)).collect()
}

/// The largest of the tensors' distances, each in units of its own norm.
fn distance(found: &[Tensor], expected: &[Tensor]) -> f64 {
    let of = |(a, b): (&Tensor, &Tensor)| ((a - b).norm() / (b.norm() + 1e-12)).double_value(&[]);
    found.iter().zip(expected).map(of).fold(0.0, f64::max)
}

fn small() -> ModelOptions {
    ModelOptions {
        layers: 2,
        d_model: 24,
        heads: 2,
        d_ff: Some(52),
        dropout: 0.2,
        max_length: 12,
        ..Default::default()
    }
}

fn attention(kind: &str) -> AttentionOptions {
    toml::from_str(&format!("kind = \"{kind}\"\ndropout = 0.1")).unwrap()
}

#[test]
fn gradients_of_models_are_those_of_plain_operations() {
    let base = small();
    let models = [
        base.clone(),
        ModelOptions { activation: Activation::Gelu, positions: Positions::Sinusoidal, ..base.clone() },
        ModelOptions { bias: false, positions: Positions::None, tie_embeddings: false, d_model: 22, ..base.clone() },
        ModelOptions { dropout: 0.0, activation: Activation::GeluTanh, ..base.clone() },
        ModelOptions {
            norm: NormKind::Rms,
            activation: Activation::Swiglu,
            positions: Positions::Relative,
            ..base.clone()
        },
        ModelOptions { norm_position: NormPosition::Post, activation_dropout: Some(0.1), ..base.clone() },
        ModelOptions { norm_position: NormPosition::Post, norm: NormKind::Rms, bias: false, ..base },
    ];
    for model in &models {
        for kind in ["vanilla", "dense", "random", "factorized-random+vanilla"] {
            let attention = attention(kind);
            let expected = gradients(model, &attention, [Number::Double; 2]);
            let found = with_kernels(|| gradients(model, &attention, [Number::Float; 2]));
            let gap = distance(&found, &expected);
            assert!(gap < 2e-5, "{gap} in float32: {kind}, {model:?}");
            // In bfloat16 no further from float64 than plain operations are.
            let bf16 = [Number::Float, Number::BFloat16];
            let (kernels, plain) =
                (with_kernels(|| gradients(model, &attention, bf16)), gradients(model, &attention, bf16));
            let (kernels, plain) = (distance(&kernels, &expected), distance(&plain, &expected));
            assert!(kernels < 1.5 * plain.max(0.01), "{kernels} against {plain} in bfloat16: {kind}, {model:?}");
        }
    }
}

/// A stream in bfloat16 costs accuracy, within a bound, and by kernels no more than in plain operations.
#[test]
fn gradients_along_a_stream_in_bfloat16() {
    let base = ModelOptions { layers: 4, ..small() };
    let models = [
        base.clone(),
        ModelOptions { bias: false, positions: Positions::Sinusoidal, dropout: 0.0, d_model: 22, ..base },
    ];
    let bf16 = [Number::Float, Number::BFloat16];
    for wide in &models {
        let narrow = ModelOptions { residual_stream: ResidualStream::Bfloat16, ..wide.clone() };
        for kind in ["vanilla", "random"] {
            let attention = attention(kind);
            let expected = gradients(wide, &attention, [Number::Double; 2]);
            let of = |model| gradients(model, &attention, bf16);
            let [wide, kernels] = [wide, &narrow].map(|model| with_kernels(|| of(model)));
            assert_ne!(wide, kernels, "{kind}: the stream's kind changes nothing");
            let [wide, kernels, plain] = [wide, kernels, of(&narrow)].map(|found| distance(&found, &expected));
            assert!(kernels < 2.5 * wide, "{kernels} against {wide} along a float32 stream: {kind}, {narrow:?}");
            assert!(kernels < 1.5 * plain, "{kernels} against {plain} in plain operations: {kind}, {narrow:?}");
        }
    }
}
