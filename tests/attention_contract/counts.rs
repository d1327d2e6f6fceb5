//! Closed formulas of parameters and operations, against layers that were built.

use crate::attention_layers::{D_MODEL, EVALUATION, Layer, normal};
use crate::each_layer;
use synth::attention::Scores;
use tch::Tensor;

#[test]
fn the_formula_counts_the_parameters() {
    each_layer(|layer| {
        let counts = layer.parameters.counts();
        let name = &layer.name;
        assert_eq!(u128::from(counts.total), layer.kind.parameters(&layer.options, layer.dimensions), "{name}");
        let frozen = layer.kind.frozen_parameters(&layer.options, layer.dimensions);
        assert_eq!(u128::from(counts.total - counts.trainable), frozen, "{name}");
        assert_eq!(counts.attention, counts.total, "{name}");
    });
}

#[test]
fn the_formula_counts_the_operations() {
    each_layer(|layer| {
        for (batch, n, m) in [(3, 5, 5), (2, 4, 9), (1, 7, 2)] {
            let (x, memory) = (normal("x", &[batch, n, D_MODEL]), normal("memory", &[batch, m, D_MODEL]));
            let scores = layer.attention.scores(&x, &memory, None, EVALUATION).unwrap();
            let expected = projections(layer, (batch, n, m)) + pairs(layer, &scores, (batch, n, m));
            let sizes = [batch, n, m].map(|size| size as u64);
            let found = layer.kind.flops(&layer.options, layer.dimensions, sizes.into());
            assert_eq!(found, expected as u128, "{}, batch {batch}, {n} queries, {m} keys", layer.name);
        }
    });
}

/// 2 operations per weight of every projection and token that it reads.
fn projections(layer: &Layer, (batch, n, m): (i64, i64, i64)) -> i64 {
    let weights = layer.parameters.iter().filter(|parameter| parameter.name.ends_with(".weight"));
    let operations = weights.map(|parameter| {
        let of_keys = parameter.name.rsplit('.').nth(1).is_some_and(|name| ["key", "value"].contains(&name));
        let tokens = if of_keys { m } else { n };
        2 * batch * tokens * parameter.tensor.numel() as i64
    });
    operations.sum()
}

/// 2 operations per multiply-add of the products that the scores stand for, and of weights by values.
fn pairs(layer: &Layer, scores: &Scores, (batch, n, m): (i64, i64, i64)) -> i64 {
    let product = match (&scores.q, &scores.k) {
        (Some(q), Some(k)) => {
            // b₂ stands beside W₂ as one more column: a bias, which is not counted.
            let columns = k.size()[3] - i64::from(has(layer, "dense.b2"));
            q.size()[0].max(k.size()[0]) * columns
        }
        _ => 0,
    };
    let outer = scores.factors.as_ref().map_or(0, |factors| factors.a.size()[0]);
    let values = batch * parameter(layer, "value.weight").size()[0] / layer.dimensions.heads;
    2 * layer.dimensions.heads * n * m * (product + outer + values)
}

fn has(layer: &Layer, name: &str) -> bool {
    layer.parameters.iter().any(|parameter| parameter.name == name)
}

fn parameter(layer: &Layer, name: &str) -> Tensor {
    layer.parameters.iter().find(|parameter| parameter.name == name).unwrap().tensor.detach()
}
