//! Generation equals what whole passes give, by the rule as it is written down.

use super::*;
use crate::attention::Pass;
use crate::attention::options::AttentionOptions;
use crate::model::options::ModelOptions;
use crate::parameters::Parameters;

const VOCABULARY: i64 = 11;
const GREEDY: Sampling = Sampling { temperature: 0.0, top_k: None, top_p: None };
const DRAWN: Sampling = Sampling { temperature: 1.0, top_k: Some(8), top_p: Some(0.95) };

/// An untrained model in float64 whose weights are large enough that all it sees matters.
fn decoder(kind: &str, max_length: i64) -> Decoder {
    let model =
        ModelOptions { layers: 2, d_model: 16, heads: 2, max_length, tie_embeddings: false, ..Default::default() };
    let attention = AttentionOptions { kind: kind.parse().ok(), ..Default::default() };
    let mut parameters = Parameters::new(3, Device::Cpu, Kind::Double);
    let decoder = Decoder::new(&mut parameters, &model, &attention, VOCABULARY);
    tch::no_grad(|| {
        for parameter in parameters.iter() {
            let factor = match parameter.name.as_str() {
                "output.weight" => 25.0, // 0.5: no token is certain
                name if !name.starts_with("decoder") || name.contains("random") => 50.0,
                name if name.contains("attention.") => 3.0,
                _ => 1.0,
            };
            let _ = parameter.tensor.shallow_clone().g_mul_scalar_(factor);
        }
    });
    decoder
}

fn generator(decoder: &Decoder, sampling: Sampling) -> Generator<'_> {
    Generator { decoder, device: Device::Cpu, compute: Kind::Double, sampling, excluded: None, seed: 5, graphs: true }
}

fn generate(generator: &Generator<'_>, prompt: &[u32], samples: Range<u64>, max_tokens: u64) -> Vec<Vec<u32>> {
    let request = Request { prompt, number: 0, samples, max_tokens, watch: &mut |_| true };
    generator.generate(request).unwrap().unwrap()
}

/// What a whole forward pass per token gives, by the rule as it is written down.
fn slowly(generator: &Generator<'_>, prompt: &[u32], sample: u64, max_tokens: u64) -> Vec<u32> {
    let max = generator.decoder.max_length() as usize;
    let mut context = prompt[prompt.len().saturating_sub(max)..].to_vec();
    let mut continuation = Vec::new();
    for token in 0..max_tokens {
        if context.len() > max {
            context = context[context.len() - max.div_ceil(2)..].to_vec();
        }
        let ids: Vec<i64> = context.iter().map(|id| i64::from(*id)).collect();
        let input = Tensor::from_slice(&ids).unsqueeze(0);
        let logits = tch::no_grad(|| generator.decoder.forward(&input, Pass::evaluation(Kind::Double)).unwrap());
        let last = Vec::<f64>::try_from(logits.get(0).get(context.len() as i64 - 1)).unwrap();
        let id = generator.sampling.choose(&last, None, uniform(generator.seed, 0, sample, token)).unwrap();
        context.push(id);
        continuation.push(id);
    }
    continuation
}

#[test]
fn the_state_gives_what_whole_passes_give() {
    for kind in
        ["vanilla", "random", "dense", "factorized-random", "factorized-dense", "random+vanilla", "random+dense"]
    {
        for max_length in [1, 7, 16] {
            let decoder = decoder(kind, max_length);
            for (sampling, prompt) in [(GREEDY, 1), (GREEDY, 20), (DRAWN, 7), (DRAWN, 3)] {
                let generator = generator(&decoder, sampling);
                let prompt: Vec<u32> = (0..prompt).map(|i| i * i % VOCABULARY as u32).collect();
                let expected = [0, 1].map(|sample| slowly(&generator, &prompt, sample, 30));
                let what = format!("{kind}, max_length {max_length}, {} tokens, {sampling:?}", prompt.len());
                assert_eq!(generate(&generator, &prompt, 0..2, 30), expected, "{what}");
            }
        }
    }
}

#[test]
fn the_test_models_heed_what_they_see() {
    for kind in ["vanilla", "random", "dense", "random+vanilla"] {
        let decoder = decoder(kind, 16);
        let drawn = generator(&decoder, DRAWN);
        let texts = [[1, 2, 3], [4, 2, 3]].map(|prompt| generate(&drawn, &prompt, 0..1, 13));
        assert_ne!(texts[0], texts[1], "{kind}: what lies far back matters");
        let mut distinct = texts[0][0].clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 3, "{kind}: {distinct:?}");
    }
}

#[test]
fn samples_and_prompts_do_not_change_each_other() {
    let decoder = decoder("vanilla", 16);
    let generator = generator(&decoder, DRAWN);
    let together = generate(&generator, &[1, 2], 0..4, 20);
    assert_eq!(generate(&generator, &[1, 2], 2..3, 20), [together[2].clone()]);
    assert!((1..4).all(|sample| together[sample] != together[0]), "{together:?}");
    let other = Request { prompt: &[1, 2], number: 1, samples: 0..1, max_tokens: 20, watch: &mut |_| true };
    assert_ne!(generator.generate(other).unwrap().unwrap()[0], together[0]);
}

#[test]
fn it_can_be_given_up() {
    let decoder = decoder("vanilla", 4);
    let mut asked = Vec::new();
    let watch = &mut |done| {
        asked.push(done);
        done < 3
    };
    let request = Request { prompt: &[1], number: 0, samples: 0..1, max_tokens: 9, watch };
    assert!(generator(&decoder, GREEDY).generate(request).unwrap().is_none());
    assert_eq!(asked, [0, 1, 2, 3]);
    let empty = Request { prompt: &[], number: 0, samples: 0..1, max_tokens: 1, watch: &mut |_| true };
    assert!(generator(&decoder, GREEDY).generate(empty).is_err());
}

#[test]
fn the_excluded_token_never_comes() {
    let decoder = decoder("random", 8);
    let drawn = Sampling { top_k: None, top_p: None, temperature: 3.0 };
    let free = generate(&generator(&decoder, drawn), &[1], 0..1, 200);
    assert!(free[0].contains(&0));
    let without = Generator { excluded: Some(0), ..generator(&decoder, drawn) };
    assert!(!generate(&without, &[1], 0..1, 200)[0].contains(&0));
}
