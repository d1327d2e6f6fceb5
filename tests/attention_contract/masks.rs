//! What a query may not see changes nothing: later positions, padding, other samples. By every path.

use crate::attention_layers::{D_MODEL, Layer, MAX_LENGTH, TESTED, difference, normal};
use crate::each_layer;
use synth::attention::{Mask, Path};
use tch::{Kind, Tensor};

/// Odd lengths, the largest, and one that is even.
const LENGTHS: [i64; 5] = [1, 3, 4, 7, MAX_LENGTH];

fn mask(causal: bool, lengths: &[i64]) -> Mask {
    Mask { causal, key_lengths: Some(Tensor::from_slice(lengths)) }
}

fn input(name: &str, batch: i64, length: i64) -> Tensor {
    normal(name, &[batch, length, D_MODEL])
}

/// `x` with other tokens from `start` to `end` in one sample, of a size that no rounding hides.
fn changed(x: &Tensor, sample: i64, start: i64, end: i64) -> Tensor {
    let x = x.copy();
    let _ = x.get(sample).narrow(0, start, end - start).fill_(50.0);
    x
}

/// Every layer, length, and path that computes it.
fn each(mut check: impl FnMut(&Layer, i64, Path, String)) {
    each_layer(|layer| {
        for length in LENGTHS {
            for path in Path::ALL {
                check(layer, length, path, format!("{}, length {length}, {path}", layer.name));
            }
        }
    });
}

#[test]
fn the_past_does_not_see_the_future() {
    let mut compared = 0;
    each(|layer, length, path, what| {
        let x = input("x", 2, length);
        for mask in [Mask::causal(), mask(true, &[length, (length + 1) / 2])] {
            let Some(before) = layer.by(path, &x, &mask) else { continue };
            for position in 1..length {
                let after = layer.by(path, &changed(&x, 0, position, position + 1), &mask).unwrap();
                let past = |y: &Tensor| y.narrow(1, 0, position);
                assert_eq!(difference(&past(&before), &past(&after)), 0.0, "{what}: {position} reaches back");
                let own = |y: &Tensor| y.get(0).get(position);
                assert!(difference(&own(&before), &own(&after)) > 1e-9, "{what}: {position} does not see itself");
                assert_eq!(difference(&before.get(1), &after.get(1)), 0.0, "{what}: another sample sees {position}");
            }
            compared += 1;
        }
    });
    // At least blockwise and materialised, each by two masks.
    assert!(compared >= crate::TESTED.len() * 3 * LENGTHS.len() * 4);
}

#[test]
fn padding_is_not_seen() {
    each(|layer, length, path, what| {
        let real = (length + 1) / 2;
        let x = input("x", 2, length);
        for causal in [false, true] {
            let padded = mask(causal, &[real, length]);
            let Some(before) = layer.by(path, &x, &padded) else { continue };
            let after = layer.by(path, &changed(&x, 0, real, length), &padded).unwrap();
            let first = |y: &Tensor| y.get(0).narrow(0, 0, real);
            assert_eq!(difference(&first(&before), &first(&after)), 0.0, "{what}, causal {causal}");
            assert_eq!(difference(&before.get(1), &after.get(1)), 0.0, "{what}, causal {causal}: the other sample");
            // The same as without the padded positions at all.
            let alone = x.narrow(0, 0, 1).narrow(1, 0, real);
            let alone = layer.by(path, &alone, &Mask { causal, key_lengths: None }).unwrap();
            let gap = difference(&first(&before), &alone.get(0));
            assert!(gap < 1e-12, "{what}, causal {causal}, without padding: {gap:e}");
        }
    });
}

#[test]
fn the_batch_around_a_sample_is_not_seen() {
    each(|layer, length, path, what| {
        let real = (length + 1) / 2;
        let x = input("x", 2, length);
        for causal in [false, true] {
            let Some(before) = layer.by(path, &x, &mask(causal, &[real, length])) else { continue };
            let first = |y: &Tensor| y.get(0).narrow(0, 0, real);
            // Other tokens, another length beside it, the shape kept.
            let other = changed(&x, 1, 0, length);
            for beside in [length, 1, 0] {
                let after = layer.by(path, &other, &mask(causal, &[real, beside])).unwrap();
                let gap = difference(&first(&before), &first(&after));
                assert_eq!(gap, 0.0, "{what}, causal {causal}, {beside} tokens beside it");
            }
            // Alone, and in a larger batch.
            let alone = layer.by(path, &x.narrow(0, 0, 1), &mask(causal, &[real])).unwrap();
            let crowd = Tensor::cat(&[&x, &input("crowd", 3, length)], 0);
            let crowd = layer.by(path, &crowd, &mask(causal, &[real, length, 1, length, 0])).unwrap();
            for (after, batch) in [(alone, 1), (crowd, 5)] {
                let gap = difference(&first(&before), &first(&after));
                assert!(gap < 1e-12, "{what}, causal {causal}, in a batch of {batch}: {gap:e}");
            }
        }
    });
}

/// Lengths at which kernels split their work.
#[test]
fn nothing_hidden_is_seen_in_long_sequences_either() {
    const LENGTH: i64 = 301;
    const REAL: i64 = 150;
    let pure = TESTED.iter().filter(|(_, options)| options.is_empty());
    for layer in pure.map(|&tested| Layer::at_start(tested, 2, LENGTH, 7)) {
        let x = input("x", 2, LENGTH);
        for (path, causal) in Path::ALL.into_iter().flat_map(|path| [(path, false), (path, true)]) {
            let what = format!("{}, {path}, causal {causal}", layer.name);
            let first = |y: &Tensor| y.get(0).narrow(0, 0, REAL);
            let Some(before) = layer.by(path, &x, &mask(causal, &[REAL, LENGTH])) else { continue };
            let pads = layer.by(path, &changed(&x, 0, REAL, LENGTH), &mask(causal, &[REAL, LENGTH])).unwrap();
            assert_eq!(difference(&first(&before), &first(&pads)), 0.0, "{what}: padding");
            let beside = layer.by(path, &changed(&x, 1, 0, LENGTH), &mask(causal, &[REAL, 7])).unwrap();
            assert_eq!(difference(&first(&before), &first(&beside)), 0.0, "{what}: the other sample");
            let alone = layer.by(path, &x.narrow(0, 0, 1).narrow(1, 0, REAL), &mask(causal, &[REAL])).unwrap();
            let gap = difference(&first(&before), &first(&alone));
            assert!(gap < 1e-12, "{what}: alone: {gap:e}");
        }
        for path in Path::ALL {
            let Some(before) = layer.by(path, &x, &Mask::causal()) else { continue };
            let after = layer.by(path, &changed(&x, 0, REAL, LENGTH), &Mask::causal()).unwrap();
            let past = |y: &Tensor| y.get(0).narrow(0, 0, REAL);
            assert_eq!(difference(&past(&before), &past(&after)), 0.0, "{}, {path}: the future", layer.name);
        }
    }
}

#[test]
fn a_query_without_a_key_gives_zero_and_finite_gradients() {
    each(|layer, length, path, what| {
        for causal in [false, true] {
            for lengths in [[0, length], [0, 0]] {
                let x = input("x", 2, length).set_requires_grad(true);
                let Some(y) = layer.by(path, &x, &mask(causal, &lengths)) else { continue };
                // What the output projection makes of zero.
                let nothing = tensor(layer, "output.bias")
                    .unwrap_or_else(|| Tensor::zeros([D_MODEL], (Kind::Double, y.device())));
                assert_eq!(difference(&y.get(0), &nothing.expand_as(&y.get(0))), 0.0, "{what}, causal {causal}");
                y.square().sum(Kind::Double).backward();
                let gradients = layer.parameters.iter().map(|parameter| parameter.tensor.grad()).chain([x.grad()]);
                for mut gradient in gradients.filter(Tensor::defined) {
                    let finite = gradient.isfinite().all().int64_value(&[]) == 1;
                    assert!(finite, "{what}, causal {causal}, {lengths:?}: gradients");
                    let _ = gradient.zero_();
                }
            }
        }
    });
}

fn tensor(layer: &Layer, name: &str) -> Option<Tensor> {
    layer.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.tensor.detach())
}
