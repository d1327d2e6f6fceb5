//! Heads are independent and interchangeable: permuting them in every parameter permutes their scores, and changes
//! no output.

use crate::attention_layers::{D_MODEL, EVALUATION, Layer, difference, normal, set};
use crate::each_layer;
use synth::attention::{Mask, Path};
use tch::Tensor;

#[test]
fn permuted_heads_of_parameters_permute_the_scores_and_keep_the_output() {
    each_layer(|layer| {
        let heads = layer.dimensions.heads;
        // One turn: no head of more than one stays.
        let order = Tensor::from_slice(&(0..heads).map(|head| (head + 1) % heads).collect::<Vec<_>>());
        let x = normal("x", &[2, 5, D_MODEL]);
        let scores = || layer.attention.scores(&x, &x, None, EVALUATION).unwrap().materialise(5).copy();
        let masks = [Mask::default(), Mask::causal()];
        let outputs = || {
            let of = |mask| Path::ALL.map(|path| layer.by(path, &x, mask));
            masks.iter().flat_map(of).flatten().collect::<Vec<Tensor>>()
        };
        let (scores_before, outputs_before) = (scores(), outputs());
        let mut permuted = 0;
        for parameter in layer.parameters.iter() {
            if let Some(axis) = heads_axis(layer, &parameter.name, &parameter.tensor) {
                set(&parameter.tensor, &permute(&parameter.tensor, axis, &order));
                permuted += 1;
            }
        }
        assert!(permuted >= 2, "{}", layer.name); // value and output at least
        let expected = scores_before.index_select(1, &order);
        assert!(difference(&scores(), &expected) < 1e-12, "{}: scores", layer.name);
        assert!(heads == 1 || difference(&scores_before, &expected) > 1e-3, "{}: heads are alike", layer.name);
        for (before, after) in outputs_before.iter().zip(outputs()) {
            assert!(difference(before, &after) < 1e-12, "{}: output", layer.name);
        }
    });
}

/// The axis of a parameter along which heads stand, each in one stretch; `None` where heads share it.
fn heads_axis(layer: &Layer, name: &str, tensor: &Tensor) -> Option<i64> {
    match name {
        "output.weight" => Some(1), // [d_model, heads · d_h]
        "output.bias" => None,
        "mixture" => (tensor.dim() == 2).then_some(1), // [parts, heads] or [parts]
        "dense.w2" | "dense.b2" => (!layer.options.dense.shared_output).then_some(0),
        // Projections [heads · width, d_model], their biases [heads · width], tables [heads, …].
        _ => Some(0),
    }
}

fn permute(tensor: &Tensor, axis: i64, order: &Tensor) -> Tensor {
    let shape = tensor.size();
    let heads = order.size()[0];
    let mut apart = shape.clone();
    apart.splice(axis as usize..=axis as usize, [heads, shape[axis as usize] / heads]);
    tensor.detach().reshape(&apart).index_select(axis, order).reshape(&shape)
}
