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
    /// On CUDA steps are recorded once and replayed.
    pub graphs: bool,
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
            None => {
                let Generator { excluded, graphs, .. } = *self.generator;
                Sequences::new(Rc::clone(&self.model), (rows, length), excluded, graphs)
            }
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
mod tests;
