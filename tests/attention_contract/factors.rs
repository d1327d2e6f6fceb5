//! Factorized kinds: an outer product that tells every position apart, and a product of low rank.

use crate::attention_layers::{D_MODEL, EVALUATION, Layer, Tested, difference, normal};
use std::collections::HashSet;
use tch::{Kind, Tensor};

const HEADS: i64 = 2;

fn scores(layer: &Layer, n: i64) -> Tensor {
    let x = normal("x", &[1, n, D_MODEL]);
    layer.attention.scores(&x, &x, None, EVALUATION).unwrap().materialise(n).detach()
}

/// Prime and composite lengths with factors that are the default, one given, both given, and more than enough.
const FACTORIZED_DENSE: &[(i64, Tested, (i64, i64))] = &[
    (7, ("factorized-dense", ""), (3, 3)),
    (11, ("factorized-dense", ""), (4, 3)),
    (9, ("factorized-dense", ""), (3, 3)),
    (12, ("factorized-dense", ""), (4, 3)),
    (16, ("factorized-dense", ""), (4, 4)),
    (256, ("factorized-dense", ""), (16, 16)),
    (7, ("factorized-dense", "factorized-dense.factors = 2"), (2, 4)),
    (12, ("factorized-dense", "factorized-dense.factors = 6"), (6, 2)),
    (16, ("factorized-dense", "factorized-dense.factors = [4, 4]"), (4, 4)),
    (11, ("factorized-dense", "factorized-dense.factors = [1, 11]"), (1, 11)),
    (11, ("factorized-dense", "factorized-dense.factors = [11, 1]"), (11, 1)),
    (12, ("factorized-dense", "factorized-dense.factors = [5, 7]"), (5, 7)),
    (256, ("factorized-dense", "factorized-dense.factors = [4, 64]"), (4, 64)),
];

#[test]
fn factorized_dense_tells_every_position_apart() {
    for &(n, tested, _) in FACTORIZED_DENSE {
        let layer = Layer::at_start(tested, HEADS, n, 1);
        let scores = scores(&layer, n);
        for head in 0..HEADS {
            let columns = (0..n).map(|j| {
                let column = Vec::<f64>::try_from(scores.get(0).get(head).select(1, j).contiguous()).unwrap();
                column.into_iter().map(f64::to_bits).collect::<Vec<_>>()
            });
            assert_eq!(columns.collect::<HashSet<_>>().len(), n as usize, "{}, N = {n}", layer.name);
        }
    }
}

#[test]
fn factorized_dense_is_the_outer_product_of_two_projections() {
    for &(n, tested, (a, b)) in FACTORIZED_DENSE {
        let layer = Layer::at_start(tested, HEADS, n, 1);
        let x = normal("x", &[1, n, D_MODEL]).get(0);
        let factor = |name: &str, width: i64| {
            let weight = layer.parameters.iter().find(|parameter| parameter.name == name).unwrap().tensor.detach();
            x.matmul(&weight.view([HEADS, width, D_MODEL]).transpose(1, 2)) // [heads, N, width]
        };
        let [first, second] = [factor("factorized-dense.a.weight", a), factor("factorized-dense.b.weight", b)];
        let columns = (0..n).map(|p| first.select(2, p / b) * second.select(2, p % b));
        let expected = Tensor::stack(&columns.collect::<Vec<_>>(), 2);
        assert!(difference(&scores(&layer, n).get(0), &expected) < 1e-12, "{}, N = {n}", layer.name);
    }
}

#[test]
fn factorized_random_has_its_rank_and_the_scale_that_was_asked_for() {
    for (tested, rank) in [(("factorized-random", ""), 8), (("factorized-random", "factorized-random.rank = 3"), 3)] {
        let layer = Layer::at_start(tested, HEADS, 64, 1);
        let scores = scores(&layer, 64).get(0);
        let found = Vec::<i64>::try_from(scores.linalg_matrix_rank(1e-9, false)).unwrap();
        assert_eq!(found, [rank; HEADS as usize], "{}", layer.name);
        // s⁴·k = init_std², which is 1 here.
        let std = scores.to_kind(Kind::Double).std(true).double_value(&[]);
        assert!((std - 1.0).abs() < 0.2, "{}: {std}", layer.name);
    }
}
