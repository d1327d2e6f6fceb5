//! Language modelling: the next token of a text, over blocks or records.

use super::corpus::Corpus;
use super::feed::{Feed, HostArray, HostBatch, Origin, Packet};
use super::measuring::{Measuring, Passes};
use super::options::TaskKind;
use super::samples::{SampleRequest, Speaker, samples};
use super::{Batches, Evaluation, MicroBatch, Request, Task};
use crate::attention::options::AttentionOptions;
use crate::attention::{Pass, Path};
use crate::data::evaluation::Evaluation as HeldOut;
use crate::data::order::TrainOrder;
use crate::data::rows::Batch;
use crate::data::tokenizer::{Special, Tokenizer};
use crate::kernels::dropout::DropoutKey;
use crate::kernels::vocabulary_loss::Objective;
use crate::metrics::perplexity::{bits_per_byte, perplexity};
use crate::model::Decoder;
use crate::model::options::ModelOptions;
use crate::model::vocabulary_loss::{Loss, vocabulary_loss};
use crate::parameters::Parameters;
use crate::runs::{Sample, Split};
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

/// A decoder, its training order, and the texts that it is measured on.
pub struct LanguageModeling {
    parameters: Parameters,
    model: Decoder,
    tokenizer: Tokenizer,
    train: Arc<TrainBatches>,
    held_out: Vec<(Split, Arc<HeldOut>)>,
    records: bool,
    objective: Objective,
    measuring: RefCell<Measuring>,
}

/// Batches in the order of training; none where a model is only measured.
struct TrainBatches(Option<TrainOrder>);

/// What was measured so far.
#[derive(Default)]
struct Sums {
    tokens: u64,
    bytes: u64,
    words: u64,
    /// The first choices for each row, by its number.
    predicted: Vec<(usize, Vec<u32>)>,
}

impl Batches for TrainBatches {
    fn micro_batch(&self, index: u64) -> Result<HostBatch> {
        let order = self.0.as_ref().context("there is no train split")?;
        Ok(order.batch(index)?.into())
    }
}

impl Batches for TrainOrder {
    fn micro_batch(&self, index: u64) -> Result<HostBatch> {
        Ok(self.batch(index)?.into())
    }
}

/// Inputs, then targets, each `[rows, length]`.
impl From<Batch> for HostBatch {
    fn from(batch: Batch) -> Self {
        let shape = vec![batch.rows as i64, batch.length as i64];
        let array = |values| HostArray { shape: shape.clone(), values };
        let arrays = vec![array(batch.inputs), array(batch.targets)];
        let rows = batch.places.iter().map(|place| [place.row as u64, place.begin, place.targets as u64]).collect();
        let origin = Origin { length: batch.length as u64, source_length: None, rows };
        HostBatch { arrays, target_tokens: batch.target_tokens as u64, source_tokens: 0, origin }
    }
}

impl LanguageModeling {
    /// Builds the model into `parameters`, to be trained towards `objective`. With `graphs` evaluations run as CUDA graphs where they can.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn new(
        mut parameters: Parameters,
        (model, attention): (&ModelOptions, &AttentionOptions),
        tokenizer: Tokenizer,
        corpus: Corpus,
        (objective, graphs): (Objective, bool),
    ) -> Result<Self> {
        let Corpus { train, held_out, records } = corpus;
        let model = Decoder::new(&mut parameters, model, attention, tokenizer.vocab_size() as i64);
        let measuring = RefCell::new(Measuring::new(parameters.device(), graphs)?);
        let train = Arc::new(TrainBatches(train));
        Ok(Self { parameters, model, tokenizer, train, held_out, records, objective, measuring })
    }

    fn held_out(&self, split: Split) -> Result<&Arc<HeldOut>> {
        let found = self.held_out.iter().find(|(name, _)| *name == split).map(|(_, held_out)| held_out);
        found.with_context(|| format!("the data has no {} split", split.name()))
    }

    /// The same task, whose model keeps less and computes more in training, if `on`: see [`Decoder::with_recompute`].
    pub fn with_recompute(self, on: bool) -> Self {
        Self { model: self.model.with_recompute(on), ..self }
    }

    /// What the model projects to the vocabulary, as `[rows · length, d_model]`, and targets as one row.
    fn hidden(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<(Tensor, Tensor)> {
        let [inputs, targets] = arrays else { unreachable!("a batch of two arrays") };
        Ok((self.model.hidden(inputs, pass)?.flatten(0, 1), targets.view([-1])))
    }

    /// The choices as text: one text, or a line for each record.
    fn predictions(&self, mut rows: Vec<(usize, Vec<u32>)>, held_out: &HeldOut) -> Result<String> {
        rows.sort();
        let (mut text, mut ids) = (String::new(), Vec::new());
        for (row, choices) in rows {
            ids.extend(choices);
            if self.records && held_out.rows().ends_record(row)? {
                text += &self.tokenizer.decode(&std::mem::take(&mut ids));
                text.push('\n');
            }
        }
        Ok(text + &self.tokenizer.decode(&ids))
    }
}

impl Task for LanguageModeling {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn batches(&self) -> Arc<dyn Batches> {
        self.train.clone()
    }

    fn examples(&self) -> u64 {
        self.train.0.as_ref().map_or(0, TrainOrder::examples)
    }

    fn examples_per_micro_batch(&self) -> u64 {
        self.train.0.as_ref().map_or(1, TrainOrder::examples_per_batch)
    }

    fn largest_micro_batch(&self) -> MicroBatch {
        let (rows, length) = self.train.0.as_ref().map_or((1, 1), TrainOrder::largest);
        MicroBatch { rows: rows as u64, source: 0, target: length as u64 }
    }

    fn padding(&self) -> BTreeMap<String, f64> {
        let train = self.train.0.as_ref().and_then(TrainOrder::padding).map(|share| (Split::Train, share));
        let held_out = self.held_out.iter().filter_map(|(split, held_out)| Some((*split, held_out.padding()?)));
        train.into_iter().chain(held_out).map(|(split, share)| (split.name().to_string(), share)).collect()
    }

    fn loss(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<Loss> {
        let (hidden, targets) = self.hidden(arrays, pass)?;
        Ok(vocabulary_loss(&hidden, self.model.output(), &targets, self.objective, pass)?)
    }

    fn metric_names(&self) -> Vec<&'static str> {
        TaskKind::LanguageModeling.metric_names()
    }

    fn evaluate(&self, split: Split, request: Request<'_>) -> Result<Option<Evaluation>> {
        let held_out = self.held_out(split)?;
        let _no_grad = tch::no_grad_guard();
        let batches = held_out.count() as u64;
        let wanted = if request.max_batches == 0 { batches } else { batches.min(request.max_batches) };
        let device = self.parameters.device();
        let mut feed = Feed::new(device, packets(held_out.clone(), wanted))?;
        let passes = Passes {
            hidden: &|arrays, pass| self.hidden(arrays, pass),
            output: self.model.output(),
            compute: request.compute,
            choices: request.predictions,
        };
        let mut measuring = self.measuring.borrow_mut();
        measuring.begin()?;
        let (mut done, mut sums) = (0, Sums::default());
        while (request.watch)(done, wanted) {
            let Some((fed, best)) = measuring.next(&mut feed, &passes)? else { break };
            if let Some(best) = best {
                let best = Vec::<i64>::try_from(best.to_device(Device::Cpu))?;
                sums.keep(&best, fed.arrays[0].size()[1] as usize, &fed.note, held_out);
            }
            sums.add(&fed.note, held_out);
            done += 1;
        }
        if done < wanted {
            return Ok(None);
        }
        let (nats, right) = measuring.sums();
        let predictions = request.predictions.then(|| self.predictions(std::mem::take(&mut sums.predicted), held_out));
        Ok(Some(sums.figures(nats, right, predictions.transpose()?)))
    }

    fn samples(&self, request: SampleRequest<'_>) -> Result<Option<Vec<Sample>>> {
        let end = self.tokenizer.special(Special::End).filter(|_| self.records);
        let device = self.parameters.device();
        let speaker = Speaker { decoder: &self.model, device, tokenizer: &self.tokenizer, end };
        samples(&speaker, self.held_out(Split::Validation)?, request)
    }

    fn attention_paths(&self, compute: Kind) -> Result<Vec<Path>> {
        let key = DropoutKey::start(0, 0, 0, self.parameters.device());
        let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
        let MicroBatch { rows, target: length, .. } = self.largest_micro_batch();
        self.model.attention_paths(rows as i64, length as i64, pass)
    }

    fn has(&self, split: Split) -> bool {
        (split == Split::Train && self.train.0.is_some()) || self.held_out.iter().any(|(name, _)| *name == split)
    }
}

/// The first `count` batches, with the numbers of their rows.
fn packets(held_out: Arc<HeldOut>, count: u64) -> impl FnMut() -> Result<Option<Packet<Vec<usize>>>> + Send + 'static {
    let mut numbers = 0..count as usize;
    move || {
        let Some(number) = numbers.next() else { return Ok(None) };
        let (batch, note) = held_out.batch(number)?;
        Ok(Some(Packet { header: Vec::new(), batch: batch.into(), note }))
    }
}

impl Sums {
    /// Counts what the rows of a batch stand for.
    fn add(&mut self, rows: &[usize], held_out: &HeldOut) {
        for &row in rows {
            let measure = held_out.measure(row);
            self.tokens += held_out.rows().targets(row) as u64;
            self.bytes += u64::from(measure.bytes);
            self.words += u64::from(measure.words);
        }
    }

    /// Keeps the first choices of a batch, `[rows, length]`.
    fn keep(&mut self, best: &[i64], length: usize, rows: &[usize], held_out: &HeldOut) {
        for (choices, &row) in best.chunks(length).zip(rows) {
            let choices = choices.iter().take(held_out.rows().targets(row)).map(|&id| id as u32);
            self.predicted.push((row, choices.collect()));
        }
    }

    /// The figures of targets that cost `nats` in all and of which `right` were the model's first choice.
    fn figures(&self, nats: f64, right: i64, predictions: Option<String>) -> Evaluation {
        let loss = nats / self.tokens as f64;
        Evaluation {
            tokens: self.tokens,
            loss,
            perplexity: perplexity(nats, self.tokens),
            word_perplexity: (self.words > 0).then(|| perplexity(nats, self.words)),
            bits_per_byte: (self.bytes > 0).then(|| bits_per_byte(nats, self.bytes)),
            metrics: BTreeMap::from([("accuracy".to_string(), right as f64 / self.tokens as f64)]),
            predictions,
            signatures: BTreeMap::new(),
            generation: None,
        }
    }
}
