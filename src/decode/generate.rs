//! Continues a text token by token, through the decoder's incremental state.

use super::sampling::{NOTHING_TO_CHOOSE, Sampling, check_finite, uniform};
use super::sequences::Sequences;
use crate::model::Decoder;
use crate::model::decoder::PreparedDecoder;
use anyhow::{Result, ensure};
use std::ops::Range;
use std::rc::Rc;
use tch::{Device, Kind, Tensor};

/// Tokens that are chosen on the device before the host reads them.
const BLOCK: u64 = 32;

/// Continues texts with one model.
pub struct Generator<'a> {
    /// The model.
    pub decoder: &'a Decoder,
    /// Where it lies.
    pub device: Device,
    /// The kind in which products are computed.
    pub compute: Kind,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// A token that is never chosen.
    pub excluded: Option<u32>,
    /// What draws derive from.
    pub seed: u64,
}

/// What is to be continued.
pub struct Request<'a> {
    /// The prompt's tokens, one or more.
    pub prompt: &'a [u32],
    /// The prompt's number, from 0: its draws derive from it.
    pub number: u64,
    /// The numbers of the samples to make, which go through the model as one batch.
    pub samples: Range<u64>,
    /// Tokens of each continuation.
    pub max_tokens: u64,
    /// Told before each token of how many are done; answers whether to go on.
    pub watch: &'a mut dyn FnMut(u64) -> bool,
}

impl<'a> Generator<'a> {
    /// The model made ready to continue one prompt after the other.
    pub fn session(&self) -> Session<'_, 'a> {
        let model = Rc::new(PreparedDecoder::new(self.decoder, self.compute));
        Session { generator: self, model, sequences: None }
    }

    /// [`Session::generate`] of a session of its own.
    ///
    /// # Errors
    /// As there.
    pub fn generate(&self, request: Request<'_>) -> Result<Option<Vec<Vec<u32>>>> {
        self.session().generate(request)
    }
}

/// A generator at work: what was prepared or recorded for one request serves the next.
pub struct Session<'g, 'a> {
    generator: &'g Generator<'a>,
    model: Rc<PreparedDecoder<'a>>,
    sequences: Option<Sequences<'a>>,
}

impl<'a> Session<'_, 'a> {
    /// The continuation of each sample; `None` once the watch answered false.
    ///
    /// # Errors
    /// An empty prompt; logits that are not finite; a vocabulary without a token to choose.
    pub fn generate(&mut self, request: Request<'_>) -> Result<Option<Vec<Vec<u32>>>> {
        ensure!(!request.prompt.is_empty(), "an empty prompt cannot be continued");
        let choice = self.generator.decoder.vocabulary() - i64::from(self.generator.excluded.is_some());
        ensure!(choice > 0, NOTHING_TO_CHOOSE);
        let rows = request.samples.clone().count();
        let max_length = self.generator.decoder.max_length() as usize;
        let prompt = &request.prompt[request.prompt.len().saturating_sub(max_length)..];
        let length = (prompt.len() as u64).saturating_add(request.max_tokens).min(max_length as u64);
        let sequences = self.room(rows as i64, length as i64)?;
        let mut texts = Texts { generator: self.generator, sequences, continuations: vec![Vec::new(); rows], known: 0 };
        let finished = texts.continue_from(prompt, request)?;
        let Texts { sequences, continuations, .. } = texts;
        self.sequences = Some(sequences);
        Ok(finished.then_some(continuations))
    }

    /// Those of the request before, where they fit.
    fn room(&mut self, rows: i64, length: i64) -> Result<Sequences<'a>> {
        match self.sequences.take().filter(|sequences| sequences.fit(rows, length)) {
            Some(sequences) => Ok(sequences),
            None => Sequences::new(Rc::clone(&self.model), (rows, length), self.generator.excluded, true),
        }
    }
}

/// Texts that become longer. Positions are absolute in a block, so a context that became too long cannot slide by one:
/// its last half starts anew at position 0.
struct Texts<'g, 'a> {
    generator: &'g Generator<'a>,
    sequences: Sequences<'a>,
    continuations: Vec<Vec<u32>>,
    /// Positions from 0 on whose tokens the host knows.
    known: i64,
}

impl Texts<'_, '_> {
    /// Continues all by as many tokens as wanted; answers false once the watch did.
    fn continue_from(&mut self, prompt: &[u32], request: Request<'_>) -> Result<bool> {
        let Request { number, samples, max_tokens, watch, .. } = request;
        let greedy = self.generator.sampling.temperature == 0.0;
        let prompt: Vec<i64> = prompt.iter().map(|id| i64::from(*id)).collect();
        let prompt = Tensor::from_slice(&prompt).to_device(self.generator.device);
        self.begin(&prompt.expand([self.continuations.len() as i64, -1], false))?;
        for token in 0..max_tokens {
            if !watch(token) {
                return Ok(false);
            }
            if self.sequences.is_full() {
                self.start_anew()?;
            }
            self.sequences.step(greedy)?;
            let draw = |sample| uniform(self.generator.seed, number, sample, token);
            match greedy {
                false => self.choose(samples.clone().map(draw).collect())?,
                true if (token + 1) % BLOCK == 0 || token + 1 == max_tokens => self.take()?,
                true => {}
            }
        }
        Ok(true)
    }

    fn begin(&mut self, tokens: &Tensor) -> Result<()> {
        self.known = tokens.size()[1];
        self.sequences.begin(tokens)
    }

    fn start_anew(&mut self) -> Result<()> {
        self.take()?;
        let (end, max_length) = (self.sequences.length() + 1, self.generator.decoder.max_length());
        let kept = self.sequences.tokens(end - (max_length + 1) / 2..end).copy();
        self.begin(&kept)
    }

    /// Takes the tokens that were chosen on the device.
    fn take(&mut self) -> Result<()> {
        let chosen = self.known..self.sequences.length() + 1;
        if chosen.is_empty() {
            return Ok(());
        }
        // What is not finite stays so: in keys and values, or because the weights are not.
        check_finite(self.sequences.logits().isfinite().all().int64_value(&[]) != 0)?;
        self.known = chosen.end;
        let rows = Vec::<Vec<i64>>::try_from(self.sequences.tokens(chosen).contiguous().to_device(Device::Cpu))?;
        for (continuation, row) in self.continuations.iter_mut().zip(rows) {
            continuation.extend(row.into_iter().map(|id| id as u32));
        }
        Ok(())
    }

    /// Chooses each text's next token on the host, by its draw.
    fn choose(&mut self, draws: Vec<f64>) -> Result<()> {
        let logits = self.sequences.logits().to_device(Device::Cpu).to_kind(Kind::Double);
        let mut next = Vec::new();
        for (row, (logits, draw)) in Vec::<Vec<f64>>::try_from(logits)?.iter().zip(draws).enumerate() {
            let id = self.generator.sampling.choose(logits, self.generator.excluded, draw)?;
            self.continuations[row].push(id);
            next.push(i64::from(id));
        }
        self.sequences.put(&Tensor::from_slice(&next).to_device(self.generator.device));
        self.known = self.sequences.length() + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
        Generator { decoder, device: Device::Cpu, compute: Kind::Double, sampling, excluded: None, seed: 5 }
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
}
