//! Searches with whole models: against every output that there is, against passes without a state, and alone against batches.

use super::*;
use crate::attention::options::AttentionOptions;
use crate::data::options::{TokenizerKind, TokenizerOptions};
use crate::decode::LengthFormula;
use crate::model::Vocabularies;
use crate::model::options::{Architecture, ModelOptions, NormPosition, Positions};
use crate::parameters::Parameters;
use tch::Device;

const KIND: Kind = Kind::Double;
/// Ids of the tokenizer: the unknown character, four letters, begin and end.
const LETTERS: [u32; 4] = [1, 2, 3, 4];
const BEGIN: u32 = 5;
const END: u32 = 6;

struct Tiny {
    tokenizer: Tokenizer,
    model: EncoderDecoder,
    _parameters: Parameters,
}

/// Models whose outputs differ from source to source: far from uniform, with all that depends on positions.
fn tiny(kind: &str, seed: u64) -> Tiny {
    let options = TokenizerOptions { kind: TokenizerKind::Char, ..Default::default() };
    let letters = std::iter::once(Ok("abcd".to_string()));
    let tokenizer = Tokenizer::train(&options, &[Special::Begin, Special::End], letters).unwrap();
    let odd = seed % 2 == 1;
    let model = ModelOptions {
        architecture: Architecture::EncoderDecoder,
        layers: 2,
        d_model: 8,
        heads: 2,
        max_length: 12,
        dropout: 0.0,
        norm_position: if odd { NormPosition::Post } else { NormPosition::Pre },
        positions: if odd { Positions::Relative } else { Positions::Learned },
        tie_embeddings: false,
        ..Default::default()
    };
    let attention: AttentionOptions = toml::from_str(&format!("kind = {kind:?}")).unwrap();
    let mut parameters = Parameters::new(seed, Device::Cpu, KIND);
    let model = EncoderDecoder::new(&mut parameters, &model, &attention, Vocabularies::joint(7));
    let _no_grad = tch::no_grad_guard();
    for one in parameters.trainable().filter(|one| one.name.contains("embedding") || one.name.contains("output.weight"))
    {
        let _ = one.tensor.shallow_clone().g_mul_scalar_(30.0);
    }
    Tiny { tokenizer, model, _parameters: parameters }
}

/// A source of letters, its end behind them.
fn source(text: &[i64]) -> (Tensor, Tensor) {
    let ids = [text, &[i64::from(END)]].concat();
    tensors(&[&ids], Device::Cpu)
}

impl Tiny {
    fn search(&self, options: &DecodeOptions, texts: &[&[i64]], wanted: usize) -> Vec<Vec<Hypothesis>> {
        let sources: Vec<Vec<i64>> = texts.iter().map(|text| [text, &[i64::from(END)][..]].concat()).collect();
        let sources: Vec<&[i64]> = sources.iter().map(Vec::as_slice).collect();
        let generator = OutputGenerator::new(&self.model, &self.tokenizer, options, KIND).unwrap();
        generator.outputs(&sources, &How::Search { wanted }, &mut |_| true).unwrap().unwrap()
    }

    /// The logarithm of the probability that `id` follows.
    fn step(&self, text: &[i64], output: &[u32], id: u32) -> f64 {
        let _no_grad = tch::no_grad_guard();
        let (tokens, lengths) = source(text);
        let inputs: Vec<i64> = std::iter::once(BEGIN).chain(output.iter().copied()).map(i64::from).collect();
        let inputs = Tensor::from_slice(&inputs).view([1, -1]);
        let source = Source { tokens: &tokens, lengths: &lengths };
        let logits = self.model.forward(source, &inputs, Pass::evaluation(KIND)).unwrap();
        logits.log_softmax(-1, None::<Kind>).double_value(&[0, output.len() as i64, i64::from(id)])
    }

    /// The logarithm of the probability of `output` and its end, by one pass over the whole.
    fn log_probability(&self, text: &[i64], output: &[u32]) -> f64 {
        let _no_grad = tch::no_grad_guard();
        let (tokens, lengths) = source(text);
        let inputs: Vec<i64> = std::iter::once(BEGIN).chain(output.iter().copied()).map(i64::from).collect();
        let inputs = Tensor::from_slice(&inputs).view([1, -1]);
        let source = Source { tokens: &tokens, lengths: &lengths };
        let logits = self.model.forward(source, &inputs, Pass::evaluation(KIND)).unwrap().log_softmax(-1, None::<Kind>);
        let targets = output.iter().copied().chain([END]);
        (0..).zip(targets).map(|(place, id)| logits.double_value(&[0, place, i64::from(id)])).sum()
    }
}

/// Every output of up to `longest` letters.
fn all(longest: usize) -> Vec<Vec<u32>> {
    let mut outputs = vec![Vec::new()];
    let mut newest = outputs.clone();
    for _ in 0..longest {
        newest = newest.iter().flat_map(|output| LETTERS.map(|letter| [&output[..], &[letter]].concat())).collect();
        outputs.extend(newest.iter().cloned());
    }
    outputs
}

#[test]
fn a_beam_as_wide_as_all_outputs_finds_the_best() {
    for (seed, kind) in (1..).zip(["vanilla", "dense", "random", "factorized-dense", "factorized-random+vanilla"]) {
        let tiny = tiny(kind, seed);
        for (formula, penalty) in [(LengthFormula::Gnmt, 0.6), (LengthFormula::Power, 1.0), (LengthFormula::Power, 0.0)]
        {
            // At the last step all 64 outputs of three letters stand beside each other, with all that may follow them.
            let options = DecodeOptions {
                beam: 400,
                length_penalty: penalty,
                length_formula: formula,
                max_length: Some(3),
                ..Default::default()
            };
            let text: &[i64] = &[1, 3, 2];
            let mut best: Vec<(f64, Vec<u32>)> = all(3)
                .into_iter()
                .map(|output| {
                    let divisor = formula.divisor(output.len() + 1, penalty);
                    (tiny.log_probability(text, &output) / divisor, output)
                })
                .collect();
            best.sort_by(|a, b| b.0.total_cmp(&a.0));
            let found = tiny.search(&options, &[text], 20).remove(0);
            for (found, (score, output)) in found.iter().zip(&best) {
                assert!(found.ended && found.tokens == *output, "{kind}: {found:?} for {output:?} of {score}");
                assert!((found.score - score).abs() < 1e-12, "{kind}: {} for {score}", found.score);
            }
        }
    }
}

#[test]
fn one_hypothesis_is_the_most_likely_token_each_time() {
    for seed in 0..6 {
        let tiny = tiny("vanilla", seed);
        let options = DecodeOptions { beam: 1, max_length: Some(8), ..Default::default() };
        let text: &[i64] = &[4, 1, 1, 2];
        let found = tiny.search(&options, &[text], 1).remove(0).remove(0);
        let mut greedy: Vec<u32> = Vec::new();
        let ended = loop {
            let next = |id: u32| tiny.step(text, &greedy, id);
            let best = LETTERS.into_iter().chain([END]).max_by(|a, b| next(*a).total_cmp(&next(*b))).unwrap();
            if best == END || greedy.len() == 8 {
                break best == END;
            }
            greedy.push(best);
        };
        assert_eq!((found.tokens, found.ended), (greedy, ended), "seed {seed}");
    }
}

#[test]
fn an_output_does_not_depend_on_its_batch() {
    let texts: [&[i64]; 6] = [&[1], &[2, 2, 4, 1, 3, 3, 1], &[], &[4, 3], &[1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3], &[3]];
    for (seed, kind) in (0..).zip(["vanilla", "random", "dense+vanilla", "factorized-dense", "fixed-random+dense"]) {
        let tiny = tiny(kind, seed);
        let options = DecodeOptions { beam: 4, no_repeat_ngram: 3, min_length: 2, ..Default::default() };
        let together = tiny.search(&options, &texts, 4);
        for (text, together) in texts.iter().zip(&together) {
            let alone = tiny.search(&options, &[text], 4).remove(0);
            assert_eq!(alone.len(), together.len());
            for (alone, together) in alone.iter().zip(together) {
                assert_eq!((&alone.tokens, alone.ended), (&together.tokens, together.ended), "{kind} {text:?}");
                assert!((alone.score - together.score).abs() < 1e-12);
            }
        }
        let nothing = Hypothesis { tokens: Vec::new(), log_probability: 0.0, score: 0.0, ended: true };
        assert!(together[2].iter().all(|output| *output == nothing), "an empty source has an empty output");
    }
}

#[test]
fn a_wider_beam_scores_no_lower_in_the_mean() {
    let texts: Vec<Vec<i64>> = (0..40).map(|i| (0..1 + i % 9).map(|j| 1 + (i * 7 + j * j * 3) % 4).collect()).collect();
    let texts: Vec<&[i64]> = texts.iter().map(Vec::as_slice).collect();
    for seed in 0..4 {
        let tiny = tiny("vanilla", seed);
        let mean = |beam| {
            let options = DecodeOptions { beam, ..Default::default() };
            let outputs = tiny.search(&options, &texts, 1);
            outputs.iter().map(|outputs| outputs[0].score).sum::<f64>() / texts.len() as f64
        };
        assert!(mean(4) >= mean(1), "seed {seed}: {} {}", mean(4), mean(1));
    }
}

#[test]
fn outputs_have_room_for_their_sources_and_more() {
    let tiny = tiny("vanilla", 2);
    let limits = |options: &DecodeOptions, lengths: &[usize]| {
        let generator = OutputGenerator::new(&tiny.model, &tiny.tokenizer, options, KIND).unwrap();
        lengths.iter().map(|length| generator.limits(*length).max).collect::<Vec<_>>()
    };
    // The model reads 12 tokens, of which one begins; a source of an end alone has nothing.
    assert_eq!(limits(&DecodeOptions::default(), &[1, 2, 12]), [0, 11, 11]);
    assert_eq!(limits(&DecodeOptions { max_length: Some(3), ..Default::default() }, &[1, 2, 12]), [0, 3, 3]);
}
