//! Which path is taken: the cheapest exact one, in memory no larger than the design allows.

use crate::attention_layers::{D_MODEL, EVALUATION, Layer, TESTED, normal};
use crate::cases::cases;
use synth::attention::attend::choose;
use synth::attention::{Dropout, Mask, Pass, Path, Scores, TokenMixer};
use synth::kernels::dropout::DropoutKey;
use tch::{Device, Kind, Tensor};

#[test]
fn the_choice_applies_and_is_never_the_materialised_path() {
    for case in cases() {
        let scores = case.scores(Kind::Double);
        for dropout in [0.0, 0.1] {
            let key = DropoutKey::start(1, 2, 3, Device::Cpu);
            let chosen = choose(&scores, &case.v, &case.mask, Dropout::new(dropout, &key, 4));
            let product = scores.tables.is_empty() && scores.factors.is_none();
            let narrow = scores.q.as_ref().is_none_or(|q| q.size()[3] <= 256);
            let aligned = !case.mask.causal || case.lengths.0 == case.lengths.1 || case.lengths.0 == 1;
            // Short as they are, tables and products of factors pay for themselves in every case.
            let expected = if scores.batch_independent() {
                Path::Shared
            } else if product && narrow && aligned && dropout == 0.0 {
                Path::Fused
            } else {
                Path::Blockwise
            };
            assert_eq!(chosen, expected, "{}, dropout {dropout}", case.name);
        }
    }
}

/// N·M ≤ batch·(N + M)·d_h: the table of scores is no larger than the values and what they give.
#[test]
fn factors_are_multiplied_out_only_where_that_pays() {
    let of = |scores: &Scores, batch: i64, m: i64, dropout, causal| {
        let (v, key) = (normal("v", &[batch, 2, m, 4]), DropoutKey::start(1, 2, 3, Device::Cpu));
        choose(scores, &v, &Mask { causal, key_lengths: None }, Dropout::new(dropout, &key, 4))
    };
    let product = |n: i64, m: i64| {
        let factor = |name, length| Some(normal(name, &[1, 2, length, 8]));
        Scores { q: factor("q", n), k: factor("k", m), ..Scores::default() }
    };
    // 64·64 = 4096 against batch·128·4 = batch·512.
    let square = product(64, 64);
    for causal in [false, true] {
        assert_eq!(of(&square, 8, 64, 0.0, causal), Path::Shared);
        assert_eq!(of(&square, 8, 64, 0.1, causal), Path::Shared);
        assert_eq!(of(&square, 7, 64, 0.0, causal), Path::Fused);
        assert_eq!(of(&square, 7, 64, 0.1, causal), Path::Blockwise);
        assert_eq!(of(&product(65, 65), 8, 65, 0.0, causal), Path::Fused);
    }
    // 16·64 = 1024 against batch·80·4 = batch·320.
    assert_eq!(of(&product(16, 64), 4, 64, 0.0, false), Path::Shared);
    assert_eq!(of(&product(16, 64), 3, 64, 0.0, false), Path::Fused);
    // A table that stands there anyway is always worth its softmax.
    assert_eq!(of(&Scores::of_table(normal("table", &[1, 2, 64, 64])), 1, 64, 0.0, false), Path::Shared);
}

/// The shapes of a batch of one do not tell whether scores depend on the input.
#[test]
fn a_batch_of_one_takes_the_path_of_larger_ones() {
    for &tested in TESTED {
        let layer = Layer::new(tested, 2);
        let path = |batch| layer.attention.path(batch, 5, &Mask::causal(), EVALUATION).unwrap();
        assert_eq!(path(1), path(2), "{}", layer.name);
    }
}

/// What the layer says of itself is what `attend` does with its scores.
#[test]
fn layers_tell_the_path_that_they_take() {
    let key = DropoutKey::start(1, 1, 1, Device::Cpu);
    for &tested in TESTED {
        let layer = Layer::new(tested, 2);
        let x = normal("x", &[2, 5, D_MODEL]);
        let padded = Mask { causal: false, key_lengths: Some(Tensor::from_slice(&[5i64, 2])) };
        for mask in [Mask::default(), Mask::causal(), padded] {
            let path = |pass: Pass<'_>| layer.attention.path(2, 5, &mask, pass).unwrap();
            let evaluated = path(EVALUATION);
            let trained = path(Pass { dropout: Some(&key), ..Pass::evaluation(Kind::Double) });
            let scores = layer.attention.scores(&x, &x, None, EVALUATION).unwrap();
            let independent = layer.kind.capabilities().batch_independent;
            // Products alone: dot product, dense, and low rank beside one of them.
            let product = scores.tables.is_empty() && scores.factors.is_none();
            let expected = match (independent, product) {
                (true, _) => Path::Shared,
                (false, true) => Path::Fused,
                (false, false) => Path::Blockwise,
            };
            assert_eq!(evaluated, expected, "{}", layer.name);
            assert_eq!(trained, if independent { Path::Shared } else { Path::Blockwise }, "{}", layer.name);
            let y = layer.attention.forward(&x, &mask, EVALUATION).unwrap();
            assert_eq!(y, layer.by(evaluated, &x, &mask).unwrap(), "{}", layer.name);
        }
    }
}
