//! Dropout: the same mask by every path that draws one, and the mean kept.

use crate::attention_layers::normal;
use crate::cases::{BATCH, Case, HEADS, cases, worst};
use synth::attention::attend::attend_by;
use synth::attention::{Dropout, Path};
use synth::kernels::dropout::DropoutKey;
use tch::{Device, Kind};

const PROBABILITY: f64 = 0.4;

/// The key sets libtorch's generator, too, from which nothing here is drawn.
fn key(step: u64) -> DropoutKey {
    DropoutKey::start(1, step, 0, Device::Cpu)
}

#[test]
fn paths_drop_the_same_weights() {
    let (key, other) = (key(1), key(2));
    for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5)] {
        for case in cases() {
            let run = |path, key| case.run(path, kind, Dropout::new(PROBABILITY, key, 3));
            let reference = run(Path::Materialised, &key).unwrap();
            for path in [Path::Shared, Path::Blockwise] {
                let Some(found) = run(path, &key) else { continue };
                let (gap, what) = worst(&reference, &found);
                assert!(gap < tolerance, "{}, {kind:?}, {path}: {what} differs by {gap:e}", case.name);
                if case.lengths.1 > 1 {
                    let (gap, _) = worst(&reference, &run(path, &other).unwrap());
                    assert!(gap > 1e-3, "{}, {path}: the key changes nothing", case.name);
                }
            }
            assert!(run(Path::Fused, &key).is_none(), "{}: the CPU's kernel has no dropout", case.name);
        }
    }
}

#[test]
fn the_layer_sets_masks_apart() {
    let key = key(1);
    for case in cases().iter().filter(|case| case.lengths.1 > 1) {
        let of_layer = |layer| case.run(Path::Blockwise, Kind::Double, Dropout::new(PROBABILITY, &key, layer)).unwrap();
        let high = 1 << 40;
        assert!(worst(&of_layer(3), &of_layer(4)).0 > 1e-3, "{}", case.name);
        assert!(worst(&of_layer(3), &of_layer(3 + high)).0 > 1e-3, "{}", case.name);
    }
}

/// The mean over many masks is the output without dropout.
#[test]
fn what_is_kept_is_scaled() {
    const MASKS: u64 = 400;
    let keys: Vec<DropoutKey> = (0..MASKS).map(key).collect();
    let chosen = ["vanilla, full", "random, causal", "random, padded", "everything, causal"];
    let list: Vec<Case> = cases().into_iter().filter(|case| chosen.contains(&case.name.as_str())).collect();
    assert_eq!(list.len(), chosen.len());
    let _no_grad = tch::no_grad_guard();
    for case in list {
        let expected = case.output(Path::Materialised, Kind::Double, Dropout::NONE).unwrap();
        for path in [Path::Shared, Path::Blockwise, Path::Materialised] {
            let of = |key| case.output(path, Kind::Double, Dropout::new(PROBABILITY, key, 3));
            if of(&keys[0]).is_none() {
                continue;
            }
            let outputs: Vec<_> = keys.iter().map(|key| of(key).unwrap()).collect();
            let outputs = tch::Tensor::stack(&outputs, 0);
            let along = [0i64].as_slice();
            let mean = outputs.mean_dim(along, false, Kind::Double);
            let error = outputs.std_dim(along, true, false) / (MASKS as f64).sqrt();
            // Some hundred entries: none further than five standard errors.
            let far = ((mean - &expected).abs() - error * 5.0 - 1e-12).max().double_value(&[]);
            assert!(far <= 0.0, "{}, {path}: the mean is off by {far} more than chance", case.name);
        }
    }
}

/// A sum hands one and the same gradient to both of its terms. The backward pass of what was computed last runs first:
/// the other term sees what attention's left.
#[test]
fn the_gradient_that_arrives_is_left_as_it_is() {
    let key = key(1);
    for case in cases() {
        for path in [Path::Shared, Path::Blockwise, Path::Materialised] {
            let leaf = normal("leaf", &[BATCH, HEADS, case.lengths.0, case.v.size()[3]]).set_requires_grad(true);
            let other = &leaf * 2.0;
            let dropout = Dropout::new(PROBABILITY, &key, 3);
            let scores = case.scores(Kind::Double);
            let Some(y) = attend_by(path, &scores, &case.v, &case.mask, dropout) else { continue };
            let upstream = normal("upstream", &y.size());
            ((y + other) * &upstream).sum(Kind::Double).backward();
            assert_eq!(leaf.grad(), upstream * 2.0, "{}, {path}", case.name);
        }
    }
}
