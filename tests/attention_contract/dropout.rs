//! Evaluation is deterministic; training is, too, given seed, step and micro-batch.

use crate::attention_layers::{D_MODEL, EVALUATION, HEAD_WIDTH, MAX_LENGTH, difference, normal};
use crate::each_layer;
use synth::attention::options::AttentionOptions;
use synth::attention::{Dimensions, Kind, Mask, Pass, SynthesizedAttention, TokenMixer};
use synth::kernels::dropout::DropoutKey;
use synth::parameters::Parameters;
use tch::{Device, Kind as NumberKind, Tensor};

/// The key sets libtorch's generator, too, from which nothing here is drawn.
fn key(seed: u64, step: u64, micro_batch: u64) -> DropoutKey {
    DropoutKey::start(seed, step, micro_batch, Device::Cpu)
}

fn train(attention: &SynthesizedAttention, x: &Tensor, key: &DropoutKey) -> Tensor {
    let pass = Pass { dropout: Some(key), ..Pass::evaluation(NumberKind::Double) };
    attention.forward(x, &Mask::causal(), pass).unwrap()
}

#[test]
fn evaluation_is_deterministic_and_training_follows_the_key() {
    each_layer(|layer| {
        let x = normal("x", &[4, MAX_LENGTH, D_MODEL]);
        let evaluate = || layer.attention.forward(&x, &Mask::causal(), EVALUATION).unwrap();
        let train = |key| train(&layer.attention, &x, &key);
        assert_eq!(evaluate(), evaluate(), "{}", layer.name);
        assert_eq!(train(key(1, 2, 3)), train(key(1, 2, 3)), "{}", layer.name);
        assert!(difference(&train(key(1, 2, 3)), &evaluate()) > 1e-3, "{}", layer.name);
        for other in [key(2, 2, 3), key(1, 3, 3), key(1, 2, 4), key(1, 3, 2)] {
            assert!(difference(&train(key(1, 2, 3)), &train(other)) > 1e-3, "{}", layer.name);
        }
    });
}

#[test]
fn samples_share_a_mask_only_where_they_share_weights() {
    each_layer(|layer| {
        let x = normal("x", &[1, MAX_LENGTH, D_MODEL]).expand([2, -1, -1], false).contiguous();
        let y = train(&layer.attention, &x, &key(1, 1, 1));
        let same = difference(&y.get(0), &y.get(1)) < 1e-12;
        assert_eq!(same, layer.kind.capabilities().batch_independent, "{}", layer.name);
    });
}

#[test]
fn layers_have_masks_of_their_own() {
    let options = AttentionOptions::default();
    let dimensions = Dimensions { d_model: D_MODEL, heads: 2, head_width: HEAD_WIDTH, max_length: MAX_LENGTH };
    let mut parameters = Parameters::new(1, Device::Cpu, NumberKind::Double);
    let [one, two] = ["layers.0", "layers.1"].map(|place| {
        SynthesizedAttention::new(parameters.root().enter(place), Kind::VANILLA, &options, dimensions, 0.4, 4)
    });
    // The same weights in both.
    let half = parameters.iter().count() / 2;
    let list: Vec<Tensor> = parameters.iter().map(|parameter| parameter.tensor.shallow_clone()).collect();
    for (to, from) in list[half..].iter().zip(&list[..half]) {
        crate::attention_layers::set(to, from);
    }
    let x = normal("x", &[2, MAX_LENGTH, D_MODEL]);
    let evaluate = |layer: &SynthesizedAttention| layer.forward(&x, &Mask::causal(), EVALUATION).unwrap();
    assert_eq!(evaluate(&one), evaluate(&two));
    let key = key(1, 1, 1);
    assert!(difference(&train(&one, &x, &key), &train(&two, &x, &key)) > 1e-3);
}

#[test]
fn evaluation_ignores_the_layer_s_dropout() {
    let without = |dropout| {
        let mut parameters = Parameters::new(1, Device::Cpu, NumberKind::Double);
        let dimensions = Dimensions { d_model: D_MODEL, heads: 2, head_width: HEAD_WIDTH, max_length: MAX_LENGTH };
        let options = AttentionOptions::default();
        let layer = SynthesizedAttention::new(parameters.root(), Kind::VANILLA, &options, dimensions, dropout, 4);
        layer.forward(&normal("x", &[2, MAX_LENGTH, D_MODEL]), &Mask::causal(), EVALUATION).unwrap()
    };
    assert_eq!(without(0.9), without(0.0));
}
