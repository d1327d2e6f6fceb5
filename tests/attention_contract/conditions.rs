//! What the scores depend on: nothing of the input, the query alone, or query and key.

use crate::attention_layers::{D_MODEL, EVALUATION, Layer, difference, normal};
use crate::each_layer;
use tch::Tensor;

const LENGTH: i64 = 5;
const CHANGED: i64 = 2;

/// `[batch | 1, heads, N, M]`.
fn scores(layer: &Layer, x: &Tensor) -> Tensor {
    layer.attention.scores(x, x, None, EVALUATION).unwrap().materialise(x.size()[1])
}

#[test]
fn scores_depend_on_what_their_parts_read() {
    each_layer(|layer| {
        let x = normal("x", &[2, LENGTH, D_MODEL]);
        let y = x.copy();
        let _ = y.narrow(1, CHANGED, 1).fill_(2.0);
        let gap = (scores(layer, &x) - scores(layer, &y)).abs();
        for i in 0..LENGTH {
            for j in 0..LENGTH {
                let changed = gap.select(3, j).select(2, i).max().double_value(&[]) > 0.0;
                assert_eq!(changed, expected(layer, i, j), "{}: score {i}, {j}", layer.name);
            }
        }
    });
}

/// Whether position `CHANGED`'s input has a say in the score of query i and key j.
fn expected(layer: &Layer, i: i64, j: i64) -> bool {
    let of_query = !layer.kind.capabilities().batch_independent;
    of_query && i == CHANGED || reads_keys(layer) && j == CHANGED
}

fn reads_keys(layer: &Layer) -> bool {
    layer.kind.parts().any(|part| part.variant().reads_keys)
}

#[test]
fn scores_have_a_batch_axis_only_where_samples_differ() {
    each_layer(|layer| {
        let x = normal("x", &[3, LENGTH, D_MODEL]);
        let scores = layer.attention.scores(&x, &x, None, EVALUATION).unwrap();
        let independent = layer.kind.capabilities().batch_independent;
        assert_eq!(scores.batch_independent(), independent, "{}", layer.name);
        let materialised = scores.materialise(LENGTH);
        assert_eq!(materialised.size()[0], if independent { 1 } else { 3 }, "{}", layer.name);
        // Tables stand there once, whatever the batch.
        for table in &scores.tables {
            assert_eq!(table.table.size(), [1, layer.dimensions.heads, LENGTH, LENGTH], "{}", layer.name);
        }
        assert_eq!(!scores.tables.is_empty(), layer.kind.capabilities().whole_table, "{}", layer.name);
    });
}

#[test]
fn keys_come_from_the_memory_and_queries_from_the_input() {
    each_layer(|layer| {
        let (x, memory) = (normal("x", &[2, 3, D_MODEL]), normal("memory", &[2, LENGTH, D_MODEL]));
        let of = |x: &Tensor, memory: &Tensor| {
            layer.attention.scores(x, memory, None, EVALUATION).unwrap().materialise(LENGTH)
        };
        let before = of(&x, &memory);
        assert_eq!(before.size()[2..], [3, LENGTH], "{}", layer.name);
        let independent = layer.kind.capabilities().batch_independent;
        assert_eq!(difference(&before, &of(&(&x * 2.0), &memory)) == 0.0, independent, "{}", layer.name);
        assert_eq!(difference(&before, &of(&x, &(&memory * 2.0))) > 0.0, reads_keys(layer), "{}", layer.name);
    });
}

/// Relative positions, say: outside a mixture's weights, as in the authors' code.
#[test]
fn an_added_bias_is_added_to_the_scores() {
    each_layer(|layer| {
        let (x, memory) = (normal("x", &[2, 3, D_MODEL]), normal("memory", &[2, LENGTH, D_MODEL]));
        let bias = normal("bias", &[1, layer.dimensions.heads, 3, LENGTH]);
        let of = |bias| layer.attention.scores(&x, &memory, bias, EVALUATION).unwrap().materialise(LENGTH);
        assert!(difference(&of(Some(&bias)), &(of(None) + &bias)) < 1e-12, "{}", layer.name);
    });
}
