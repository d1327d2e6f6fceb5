//! Mixtures: equal weights at the start, and the parts themselves where a weight is 1.

use crate::attention_layers::{D_MODEL, EVALUATION, Layer, MAX_LENGTH, TESTED, Tested, difference, normal, set};
use synth::attention::options::{MixturePer, MixtureWeights};
use synth::attention::{Mask, TokenMixer};
use tch::Tensor;

fn scores(layer: &Layer, x: &Tensor) -> Tensor {
    let scores = layer.attention.scores(x, x, None, EVALUATION).unwrap().materialise(x.size()[1]);
    scores.expand([x.size()[0], -1, -1, -1], false)
}

/// Every mixture with its weights at the start, and its parts, each in a layer of its own that starts alike.
fn each(mut check: impl FnMut(&Layer, &[Layer])) {
    for &tested in TESTED.iter().filter(|(kind, _)| kind.contains('+')) {
        for heads in [1, 2, 8] {
            let mixture = Layer::new(tested, heads);
            if let Some(logits) = logits(&mixture) {
                set(&logits, &logits.zeros_like());
            }
            let part = |part: &'static str| Layer::new((part, tested.1) as Tested, heads);
            let names: Vec<&'static str> = mixture.kind.parts().map(|part| part.variant().name).collect();
            check(&mixture, &names.into_iter().map(part).collect::<Vec<_>>());
        }
    }
}

/// `[parts]` or `[parts, heads]`.
fn logits(layer: &Layer) -> Option<Tensor> {
    layer.parameters.iter().find(|parameter| parameter.name == "mixture").map(|mixture| mixture.tensor.shallow_clone())
}

#[test]
fn weights_start_equal_and_a_sum_has_none() {
    each(|mixture, parts| {
        let x = normal("x", &[2, 5, D_MODEL]);
        let softmax = mixture.options.mixture.weights == MixtureWeights::Softmax;
        let weight = if softmax { 1.0 / parts.len() as f64 } else { 1.0 };
        let expected = parts.iter().map(|part| scores(part, &x) * weight).reduce(|sum, part| sum + part).unwrap();
        assert!(difference(&scores(mixture, &x), &expected) < 1e-12, "{}", mixture.name);
        assert_eq!(logits(mixture).is_some(), softmax, "{}", mixture.name);
    });
}

#[test]
fn logits_start_at_zero() {
    for &tested in TESTED {
        let layer = Layer::at_start(tested, 2, MAX_LENGTH, 3);
        if let Some(logits) = logits(&layer) {
            assert_eq!(logits.abs().max().double_value(&[]), 0.0, "{}", layer.name);
        }
    }
}

#[test]
fn a_weight_of_one_gives_the_part_alone() {
    each(|mixture, parts| {
        let Some(logits) = logits(mixture) else { return };
        let x = normal("x", &[2, 5, D_MODEL]);
        for (i, part) in parts.iter().enumerate() {
            force(&logits, &vec![i; if logits.dim() == 2 { logits.size()[1] as usize } else { 1 }]);
            let what = format!("{}: {}", mixture.name, part.kind);
            assert!(difference(&scores(mixture, &x), &scores(part, &x)) < 1e-12, "{what}");
            for mask in [Mask::default(), Mask::causal()] {
                let output = |layer: &Layer| layer.attention.forward(&x, &mask, EVALUATION).unwrap();
                assert!(difference(&output(mixture), &output(part)) < 1e-12, "{what}");
            }
        }
    });
}

#[test]
fn each_head_can_have_weights_of_its_own() {
    each(|mixture, parts| {
        let Some(logits) = logits(mixture).filter(|_| mixture.options.mixture.per == MixturePer::Head) else { return };
        let x = normal("x", &[2, 5, D_MODEL]);
        let choice: Vec<usize> = (0..mixture.dimensions.heads as usize).map(|head| head % parts.len()).collect();
        force(&logits, &choice);
        let found = scores(mixture, &x);
        for (head, part) in choice.into_iter().enumerate() {
            let of_head = |scores: &Tensor| scores.select(1, head as i64);
            let expected = of_head(&scores(&parts[part], &x));
            assert!(difference(&of_head(&found), &expected) < 1e-12, "{}: head {head}", mixture.name);
        }
    });
}

#[test]
fn weights_are_the_softmax_of_the_logits() {
    each(|mixture, parts| {
        let Some(logits) = logits(mixture) else { return };
        let values = normal("logits", &logits.size());
        set(&logits, &values);
        let exponentials = values.exp();
        let weights = &exponentials / exponentials.sum_dim_intlist([0i64].as_slice(), true, None::<tch::Kind>);
        let x = normal("x", &[2, 5, D_MODEL]);
        let weighted =
            parts.iter().enumerate().map(|(i, part)| scores(part, &x) * weights.get(i as i64).view([1, -1, 1, 1]));
        let expected = weighted.reduce(|sum, part| sum + part).unwrap();
        assert!(difference(&scores(mixture, &x), &expected) < 1e-12, "{}", mixture.name);
    });
}

/// Gives one part, of the layer or of each head, all the weight.
fn force(logits: &Tensor, choice: &[usize]) {
    let forced = logits.full_like(-1e9).view([logits.size()[0], -1]);
    for (head, &part) in choice.iter().enumerate() {
        let _ = forced.get(part as i64).get(head as i64).fill_(1e9);
    }
    set(logits, &forced.view_as(logits));
}
