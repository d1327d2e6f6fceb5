//! The contract of every kind of attention, over masks, heads and lengths.
//!
//! Adding a kind to `Kind::ALL` puts it under every test here.

use std::sync::{Mutex, PoisonError};
use synth::attention::kind::Dimensions;
use synth::attention::options::AttentionOptions;
use synth::attention::{Kind, Mask, Pass, SynthesizedAttention, TokenMixer};
use synth::parameters::{Init, Parameters};
use tch::{Device, Kind as NumberKind, Tensor};

const WIDTH: i64 = 3;
const MAX_LENGTH: i64 = 9;
const EVALUATION: Pass = Pass { training: false, compute: NumberKind::Double };
const TRAINING: Pass = Pass { training: true, compute: NumberKind::Double };

/// libtorch's default generator is one for the whole process: tests that draw from it take turns.
static GENERATOR: Mutex<()> = Mutex::new(());

struct Layer {
    attention: SynthesizedAttention,
    parameters: Parameters,
    dimensions: Dimensions,
}

impl Layer {
    fn new(kind: Kind, heads: i64, dropout: f64) -> Self {
        let dimensions = Dimensions { d_model: 8, heads, head_width: WIDTH, max_length: MAX_LENGTH };
        let mut parameters = Parameters::new(7, Device::Cpu, NumberKind::Double);
        // Peaked enough that a wrong mask or a swapped head shows.
        let mut options = AttentionOptions { kind, ..Default::default() };
        options.random.init_std = 1.0;
        let attention = SynthesizedAttention::new(parameters.root(), kind, &options, dimensions, dropout, 0.5);
        Self { attention, parameters, dimensions }
    }

    fn forward(&self, x: &Tensor, mask: &Mask) -> Tensor {
        self.attention.forward(x, mask, EVALUATION).unwrap()
    }
}

/// Values of a standard normal that depend on `seed` alone: libtorch's generator belongs to all tests at once.
fn normal(seed: u64, shape: &[i64]) -> Tensor {
    let mut parameters = Parameters::new(seed, Device::Cpu, NumberKind::Double);
    parameters.root().tensor("x", shape, Init::Normal(1.0)).detach()
}

fn lengths(list: &[i64]) -> Mask {
    Mask { causal: false, key_lengths: Some(Tensor::from_slice(list)) }
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

/// Every kind with 1, 2 and 8 heads, at odd and full lengths.
fn each(mut check: impl FnMut(&Layer, i64, String)) {
    for kind in Kind::ALL {
        for heads in [1, 2, 8] {
            let layer = Layer::new(kind, heads, 0.0);
            for length in [1, 2, 5, MAX_LENGTH] {
                check(&layer, length, format!("{kind}, {heads} heads, length {length}"));
            }
        }
    }
}

#[test]
fn the_past_does_not_see_the_future() {
    each(|layer, length, what| {
        let x = normal(1, &[2, length, 8]);
        let before = layer.forward(&x, &Mask::causal());
        for changed in 1..length {
            let y = x.copy();
            let _ = y.narrow(1, changed, 1).fill_(3.0);
            let after = layer.forward(&y, &Mask::causal());
            let past = difference(&before.narrow(1, 0, changed), &after.narrow(1, 0, changed));
            assert_eq!(past, 0.0, "{what}: position {changed} reaches back");
            let own = difference(&before.narrow(1, changed, 1), &after.narrow(1, changed, 1));
            assert!(own > 1e-3, "{what}: position {changed} does not see itself");
        }
    });
}

#[test]
fn padding_is_not_seen() {
    each(|layer, length, what| {
        let real = (length + 1) / 2;
        let x = normal(2, &[2, length, 8]);
        let y = x.copy();
        let _ = y.narrow(1, real, length - real).fill_(5.0);
        let causal = Mask { causal: true, ..lengths(&[real, real]) };
        for mask in [lengths(&[real, real]), causal] {
            let (a, b) = (layer.forward(&x, &mask), layer.forward(&y, &mask));
            let seen = difference(&a.narrow(1, 0, real), &b.narrow(1, 0, real));
            assert_eq!(seen, 0.0, "{what}, causal {}", mask.causal);
            // The same as without the padded positions at all.
            let short = Mask { causal: mask.causal, key_lengths: None };
            let alone = layer.forward(&x.narrow(1, 0, real), &short);
            assert!(difference(&a.narrow(1, 0, real), &alone) < 1e-12, "{what}, causal {}", mask.causal);
        }
    });
}

#[test]
fn a_query_without_a_key_gives_zero() {
    each(|layer, length, what| {
        let x = normal(3, &[2, length, 8]).set_requires_grad(true);
        let y = layer.forward(&x, &lengths(&[0, length]));
        assert_eq!(y.narrow(0, 0, 1).abs().max().double_value(&[]), 0.0, "{what}");
        y.sum(NumberKind::Double).backward();
        assert!(x.grad().isfinite().all().int64_value(&[]) == 1, "{what}: gradients");
    });
}

#[test]
fn kinds_depend_on_what_they_should() {
    for kind in Kind::ALL {
        let layer = Layer::new(kind, 2, 0.0);
        let (x, y) = (normal(4, &[1, 5, 8]), normal(5, &[1, 5, 8]));
        // Attention is linear in the values where its weights do not depend on the input.
        let sum = layer.forward(&(&x + &y), &Mask::causal());
        let parts = layer.forward(&x, &Mask::causal()) + layer.forward(&y, &Mask::causal());
        let linear = difference(&sum, &parts) < 1e-12;
        assert_eq!(linear, kind.capabilities().batch_independent, "{kind}");
    }
}

#[test]
fn heads_are_independent() {
    for kind in Kind::ALL {
        let layer = Layer::new(kind, 2, 0.0);
        let x = normal(6, &[2, 5, 8]);
        let before = layer.forward(&x, &Mask::causal());
        // Swap the heads in every parameter that has them: the output stays.
        tch::no_grad(|| {
            for parameter in layer.parameters.iter() {
                let tensor = &parameter.tensor;
                let swapped = match parameter.name.as_str() {
                    "output.weight" => swap(&tensor.view([8, 2, WIDTH]), 1).reshape([8, 2 * WIDTH]),
                    "random.r" => swap(tensor, 0),
                    _ => swap(&tensor.view([2, WIDTH, 8]), 0).reshape([2 * WIDTH, 8]),
                };
                tensor.shallow_clone().copy_(&swapped);
            }
        });
        assert!(difference(&before, &layer.forward(&x, &Mask::causal())) < 1e-12, "{kind}");
    }
}

fn swap(x: &Tensor, axis: i64) -> Tensor {
    x.index_select(axis, &Tensor::from_slice(&[1i64, 0]))
}

#[test]
fn the_formula_counts_the_parameters() {
    for kind in Kind::ALL {
        for heads in [1, 2, 8] {
            let layer = Layer::new(kind, heads, 0.0);
            let counts = layer.parameters.counts();
            assert_eq!(u128::from(counts.total), kind.parameters(layer.dimensions), "{kind}, {heads} heads");
            assert_eq!(counts.attention, counts.total);
        }
    }
}

#[test]
fn tables_are_cut_at_their_top_left_corner_and_never_exceeded() {
    for kind in Kind::ALL {
        let layer = Layer::new(kind, 2, 0.0);
        let x = normal(8, &[2, MAX_LENGTH, 8]);
        let whole = layer.forward(&x, &Mask::causal());
        let short = layer.forward(&x.narrow(1, 0, 4), &Mask::causal());
        assert!(difference(&whole.narrow(1, 0, 4), &short) < 1e-12, "{kind}");
        let long = normal(9, &[1, MAX_LENGTH + 1, 8]);
        let answer = layer.attention.forward(&long, &Mask::causal(), EVALUATION);
        assert_eq!(answer.is_err(), kind.capabilities().length_bound, "{kind}");
        if let Err(error) = answer {
            assert!(error.to_string().contains("model.max_length = 9"), "{error}");
        }
    }
}

#[test]
fn evaluation_is_deterministic_and_training_follows_the_seed() {
    for kind in Kind::ALL {
        let layer = Layer::new(kind, 2, 0.5);
        let x = normal(10, &[4, 9, 8]);
        let _turn = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        let train = |seed| {
            tch::manual_seed(seed);
            layer.attention.forward(&x, &Mask::causal(), TRAINING).unwrap()
        };
        assert_eq!(layer.forward(&x, &Mask::causal()), layer.forward(&x, &Mask::causal()));
        assert_eq!(train(1), train(1), "{kind}");
        assert!(difference(&train(1), &train(2)) > 1e-3, "{kind}");
        assert!(difference(&train(1), &layer.forward(&x, &Mask::causal())) > 1e-3, "{kind}");
    }
}

#[test]
fn samples_share_a_dropout_mask_only_where_they_share_weights() {
    for kind in Kind::ALL {
        let layer = Layer::new(kind, 2, 0.5);
        let _turn = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
        let one = normal(11, &[1, 9, 8]);
        let x = one.expand([2, -1, -1], false).contiguous();
        let y = layer.attention.forward(&x, &Mask::causal(), TRAINING).unwrap();
        let same = difference(&y.get(0), &y.get(1)) == 0.0;
        assert_eq!(same, kind.capabilities().batch_independent, "{kind}");
    }
}
