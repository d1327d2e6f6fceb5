//! Steps of one token by a prepared decoder: what they give, is what the whole sequence gives at once.

#[path = "../attention_layers/mod.rs"]
mod attention_layers;
mod gpu;

use attention_layers::{Layer, TESTED};
use std::rc::Rc;
use synth::attention::options::AttentionOptions;
use synth::attention::{Kind, Pass};
use synth::decode::{GreedyDecoder, Sequences};
use synth::model::decoder::{Decoder, PreparedDecoder};
use synth::model::options::{Activation, ModelOptions, Norm, NormPosition, Positions};
use synth::parameters::{Init, Parameters};
use tch::{Device, Kind as NumberKind, Tensor};

const BATCH: i64 = 3;
const VOCABULARY: i64 = 13;
const SHORT: i64 = 9;
/// Long enough that steps reach 64, then 128, then all.
const LONG: i64 = 140;

fn model(max_length: i64) -> ModelOptions {
    ModelOptions { layers: 3, d_model: 8, heads: 2, head_width: Some(3), max_length, ..Default::default() }
}

/// Of widths that the stock kernels take.
fn wide() -> ModelOptions {
    ModelOptions { d_model: 64, heads: 4, head_width: None, ..model(SHORT) }
}

/// A decoder whose every tensor has an effect: biases and mixtures, which start at 0, are drawn.
fn decoder(model: &ModelOptions, attention: &AttentionOptions, kind: NumberKind) -> Decoder {
    decoder_on(Device::Cpu, model, attention, kind)
}

fn decoder_on(device: Device, model: &ModelOptions, attention: &AttentionOptions, kind: NumberKind) -> Decoder {
    let mut parameters = Parameters::new(5, device, kind);
    let decoder = Decoder::new(&mut parameters, model, attention, VOCABULARY);
    let zeros = parameters.iter().filter(|parameter| parameter.tensor.count_nonzero(None).int64_value(&[]) == 0);
    tch::no_grad(|| {
        for parameter in zeros {
            let mut drawn = Parameters::new(6, Device::Cpu, kind);
            let drawn = drawn.root().tensor(&parameter.name, &parameter.tensor.size(), Init::Normal(0.5));
            parameter.tensor.shallow_clone().copy_(&drawn);
        }
    });
    decoder
}

fn of_kinds(names: &[&str]) -> AttentionOptions {
    AttentionOptions {
        layers: Some(names.iter().map(|name| name.parse::<Kind>().unwrap()).collect()),
        ..Default::default()
    }
}

fn tokens(length: i64) -> Tensor {
    let numbers: Vec<i64> = (0..BATCH * length).map(|i| i * i * 7 % VOCABULARY).collect();
    Tensor::from_slice(&numbers).view([BATCH, length])
}

/// Logits of the whole sequence at once, `[batch, length, vocabulary]`.
fn whole(decoder: &Decoder, tokens: &Tensor, compute: NumberKind) -> Tensor {
    let tokens = tokens.to_device(decoder.device());
    tch::no_grad(|| decoder.forward(&tokens, Pass::evaluation(compute)).unwrap())
}

/// Logits of steps after a prompt, from its last token's on.
fn in_steps(sequences: &mut Sequences<'_>, tokens: &Tensor, prompt: i64) -> Tensor {
    let length = tokens.size()[1];
    let tokens = tokens.to_device(sequences.logits().device());
    sequences.begin(&tokens.narrow(1, 0, prompt)).unwrap();
    let steps = (prompt..=length).map(|next| {
        sequences.step(false).unwrap();
        assert_eq!(sequences.length(), next);
        if next < length {
            sequences.put(&tokens.select(1, next));
        }
        sequences.logits().copy()
    });
    Tensor::stack(&steps.collect::<Vec<_>>(), 1)
}

fn sequences<'a>(decoder: &'a Decoder, length: i64, compute: NumberKind, graphs: bool) -> Sequences<'a> {
    let model = Rc::new(PreparedDecoder::new(decoder, compute));
    Sequences::new(model, (BATCH, length), None, graphs).unwrap()
}

/// The largest difference between the logits of steps after a prompt, and those of the whole sequence.
fn gap(decoder: &Decoder, length: i64, prompt: i64, compute: NumberKind) -> f64 {
    let tokens = tokens(length);
    let mut sequences = sequences(decoder, length, compute, true);
    // What an earlier sequence left has no effect.
    let other = (tokens.flip([1]) + 1).remainder(VOCABULARY).to_device(decoder.device());
    sequences.begin(&other).unwrap();
    sequences.step(true).unwrap();
    let found = in_steps(&mut sequences, &tokens, prompt);
    let expected = whole(decoder, &tokens, compute).narrow(1, prompt - 1, length - prompt + 1);
    largest(&(found - expected))
}

fn largest(x: &Tensor) -> f64 {
    x.abs().max().double_value(&[])
}

#[test]
fn steps_equal_the_whole() {
    for positions in [Positions::Learned, Positions::Sinusoidal, Positions::Relative, Positions::None] {
        for &tested in TESTED {
            let attention = Layer::new(tested, 1).options;
            let model = ModelOptions { positions, relative_buckets: 6, relative_distance: 8, ..model(SHORT) };
            let decoder = decoder(&model, &attention, NumberKind::Double);
            for prompt in [1, 4, SHORT] {
                let gap = gap(&decoder, SHORT, prompt, NumberKind::Double);
                assert!(gap < 1e-10, "{tested:?}, {positions:?}, a prompt of {prompt}: {gap:e}");
            }
        }
    }
}

#[test]
fn every_reach_gives_the_same() {
    for names in [
        ["vanilla", "random", "dense+vanilla"],
        ["factorized-dense", "vanilla", "factorized-random"],
        ["random", "fixed-random", "random+vanilla"],
        ["dense", "random+dense", "vanilla"],
    ] {
        for positions in [Positions::Learned, Positions::Relative] {
            let model = ModelOptions { positions, ..model(LONG) };
            let decoder = decoder(&model, &of_kinds(&names), NumberKind::Double);
            for (length, prompt) in [(LONG, 1), (LONG, 127), (70, 60)] {
                let gap = gap(&decoder, length, prompt, NumberKind::Double);
                assert!(gap < 1e-10, "{names:?}, {positions:?}, {length} tokens after a prompt of {prompt}: {gap:e}");
            }
        }
    }
}

#[test]
fn every_model_gives_the_same() {
    let norms =
        [Norm::Layer, Norm::Rms].into_iter().flat_map(|norm| [(norm, NormPosition::Pre), (norm, NormPosition::Post)]);
    let activations = [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Swiglu];
    for (activation, (norm, norm_position)) in activations.into_iter().flat_map(|a| norms.clone().map(move |n| (a, n)))
    {
        for (bias, tie_embeddings, d_ff) in [(true, true, None), (false, false, Some(11)), (true, false, Some(11))] {
            let base = ModelOptions { norm, norm_position, ..model(SHORT) };
            let model = ModelOptions { activation, bias, tie_embeddings, d_ff, ..base };
            let attention = AttentionOptions { bias, ..of_kinds(&["vanilla", "random", "dense+vanilla"]) };
            let decoder = decoder(&model, &attention, NumberKind::Double);
            let gap = gap(&decoder, SHORT, 2, NumberKind::Double);
            assert!(gap < 1e-10, "{activation:?}, {norm:?}, {norm_position:?}, bias {bias}, d_ff {d_ff:?}: {gap:e}");
        }
    }
}

/// How far bfloat16 is from float32 in steps and at once, relative to the largest logit.
fn rounding(decoder: &Decoder) -> (f64, f64) {
    let tokens = tokens(SHORT);
    let exact = whole(decoder, &tokens, NumberKind::Float);
    let steps = in_steps(&mut sequences(decoder, SHORT, NumberKind::BFloat16, true), &tokens, 1);
    let at_once = whole(decoder, &tokens, NumberKind::BFloat16);
    let distance = |found: &Tensor| largest(&(found - &exact)) / largest(&exact);
    (distance(&steps), distance(&at_once))
}

#[test]
fn other_kinds_of_numbers_give_the_same_within_rounding() {
    for name in ["vanilla", "random", "dense", "factorized-dense", "factorized-random", "random+vanilla"] {
        let attention = AttentionOptions { kind: name.parse().ok(), ..Default::default() };
        let decoder = decoder(&wide(), &attention, NumberKind::Float);
        let float = gap(&decoder, SHORT, 3, NumberKind::Float);
        assert!(float < 1e-5, "{name}: {float:e}");
        let (steps, at_once) = rounding(&decoder);
        assert!(steps < 2.5 * at_once && steps < 0.02, "{name}: {steps:e} in steps, {at_once:e} at once");
    }
}

/// The most likely tokens by whole passes, the lowest id of equal ones.
fn slowly(decoder: &Decoder, first: &[i64], length: usize, excluded: Option<i64>) -> Vec<i64> {
    let mut text = first.to_vec();
    while text.len() < length {
        let logits = decoder.forward(&Tensor::from_slice(&text).unsqueeze(0), Pass::evaluation(NumberKind::Double));
        let last = Vec::<f64>::try_from(logits.unwrap().get(0).get(-1).detach()).unwrap();
        let mut ids: Vec<usize> = (0..last.len()).filter(|id| Some(*id as i64) != excluded).collect();
        ids.sort_by(|a, b| last[*b].total_cmp(&last[*a]));
        text.push(ids[0] as i64);
    }
    text
}

/// As [`decoder`], with embeddings so large that the next token depends on what is seen.
fn lively(names: &[&str], max_length: i64) -> Decoder {
    let model = ModelOptions { tie_embeddings: false, ..model(max_length) };
    let mut parameters = Parameters::new(9, Device::Cpu, NumberKind::Double);
    let decoder = Decoder::new(&mut parameters, &model, &of_kinds(names), VOCABULARY);
    tch::no_grad(|| {
        for parameter in parameters.iter().filter(|parameter| !parameter.name.starts_with("decoder")) {
            let _ = parameter.tensor.shallow_clone().g_mul_scalar_(50.0);
        }
    });
    decoder
}

#[test]
fn the_device_chooses_the_most_likely() {
    for names in [["vanilla", "random", "vanilla"], ["random", "dense", "random+vanilla"]] {
        let decoder = lively(&names, 80);
        let model = Rc::new(PreparedDecoder::new(&decoder, NumberKind::Double));
        let free = slowly(&decoder, &[1, 2, 3], 80, None);
        assert!(free.iter().collect::<std::collections::BTreeSet<_>>().len() > 3, "{names:?}: {free:?}");
        for excluded in [None, Some(free[5])] {
            let id = excluded.map(|id| id as u32);
            let mut sequences = Sequences::new(Rc::clone(&model), (2, 80), id, true).unwrap();
            let prompts = [[1, 2, 3], [4, 2, 3]];
            sequences.begin(&Tensor::from_slice2(&prompts)).unwrap();
            while sequences.length() < 79 {
                sequences.step(true).unwrap();
            }
            let expected = prompts.map(|prompt| slowly(&decoder, &prompt, 80, excluded));
            let found = Vec::<Vec<i64>>::try_from(sequences.tokens(0..80).contiguous()).unwrap();
            assert_eq!(found, expected, "{names:?} without {excluded:?}");
            assert!(excluded.is_none_or(|id| !found[0][3..].contains(&id)));
        }
    }
}

#[test]
fn of_equal_logits_the_lowest_id_is_chosen() {
    let decoder = lively(&["vanilla", "random", "vanilla"], 8);
    // Nothing tells one id from another.
    let output = decoder.output();
    let _ = tch::no_grad(|| output.shallow_clone().zero_());
    for (excluded, expected) in [(None, 0), (Some(0), 1), (Some(3), 0)] {
        let model = Rc::new(PreparedDecoder::new(&decoder, NumberKind::Double));
        let mut sequences = Sequences::new(model, (1, 8), excluded, true).unwrap();
        sequences.begin(&Tensor::from_slice(&[5i64]).view([1, 1])).unwrap();
        for _ in 0..7 {
            sequences.step(true).unwrap();
        }
        let found = Vec::<i64>::try_from(sequences.tokens(1..8).view([-1])).unwrap();
        assert_eq!(found, [expected; 7], "without {excluded:?}");
    }
}

#[test]
fn a_greedy_decoder_repeats_itself_after_a_reset() {
    let decoder = lively(&["vanilla", "random", "dense"], 70);
    let mut greedy = GreedyDecoder::new(&decoder, NumberKind::Double, 70, true);
    assert!(greedy.step().is_err());
    let mut run = |batch| {
        greedy.reset(batch).unwrap();
        for _ in 0..69 {
            greedy.step().unwrap();
        }
        let tokens = greedy.wait().unwrap();
        assert!(greedy.step().is_ok() && greedy.step().is_err(), "there is room for 70");
        tokens
    };
    let expected = slowly(&decoder, &[0], 70, None);
    for batch in [1, 1, 4, 1] {
        assert_eq!(run(batch), vec![expected.clone(); batch as usize], "{batch}");
    }
}
