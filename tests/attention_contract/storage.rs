//! A layer that was stored and read again is the same; a fixed R never changes.

use crate::attention_layers::{D_MODEL, EVALUATION, Layer, MAX_LENGTH, TESTED, difference, normal};
use crate::each_layer;
use synth::attention::{Mask, Part, TokenMixer};
use synth::checkpoints::tensors;
use synth::libtorch::optimizer::LearningRate;
use synth::train::optimizer::Optimizer;
use synth::train::options::OptimizerOptions;
use tch::{Kind, Tensor};

fn output(layer: &Layer) -> Tensor {
    let x = normal("x", &[2, MAX_LENGTH, D_MODEL]);
    layer.attention.forward(&x, &Mask::causal(), EVALUATION).unwrap()
}

/// Whether no part that stays as it starts owns the tensor.
fn is_trained(name: &str) -> bool {
    let owner = name.split('.').next();
    Part::ALL.into_iter().all(|part| part.variant().trained || owner != Some(part.variant().name))
}

#[test]
fn stored_layers_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for &tested in TESTED {
        let stored = Layer::new(tested, 2);
        tensors::write(&path, &stored.parameters.named(), &serde_json::json!({})).unwrap();
        let read = Layer::at_start(tested, 2, MAX_LENGTH, 99);
        assert!(difference(&output(&stored), &output(&read)) > 1e-3, "{}", stored.name);
        tensors::read_into(&path, &read.parameters.named()).unwrap();
        for ((name, stored), (_, read)) in stored.parameters.named().iter().zip(read.parameters.named()) {
            assert_eq!(*stored, read, "{name}");
        }
        assert_eq!(output(&stored), output(&read), "{}", stored.name);
    }
}

#[test]
fn only_a_fixed_table_is_not_trained() {
    each_layer(|layer| {
        for parameter in layer.parameters.iter() {
            let trained = parameter.tensor.requires_grad();
            assert_eq!(trained, is_trained(&parameter.name), "{}: {}", layer.name, parameter.name);
        }
    });
}

#[test]
fn an_update_changes_every_tensor_but_a_fixed_table() {
    for &tested in TESTED {
        let layer = Layer::new(tested, 2);
        let before: Vec<Tensor> = layer.parameters.iter().map(|parameter| parameter.tensor.detach().copy()).collect();
        let optimizer = Optimizer::new(
            &layer.parameters,
            &OptimizerOptions { weight_decay: 0.0, ..Default::default() },
            Kind::Double,
        )
        .unwrap();
        output(&layer).square().sum(Kind::Double).backward();
        optimizer.update(&optimizer.gradients().unwrap(), 0.0, LearningRate::Host(0.1), &Tensor::from(0f32)).unwrap();
        for (parameter, before) in layer.parameters.iter().zip(before) {
            let what = format!("{}: {}", layer.name, parameter.name);
            let changed = difference(&parameter.tensor.detach(), &before) > 0.0;
            assert_eq!(changed, is_trained(&parameter.name), "{what}");
        }
    }
}
