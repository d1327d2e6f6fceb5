//! Translation, summarization and dialogue: a target for each source.

use super::feed::{Feed, HostBatch, Packet};
use super::measuring::{Measuring, Passes};
use super::options::TaskOptions;
use super::outputs::Outputs;
use super::pair_corpus::PairCorpus;
use super::samples::{SampleRequest, evenly};
use super::{Batches, Evaluation, MicroBatch, Request, Task};
use crate::attention::options::AttentionOptions;
use crate::attention::{Pass, Path};
use crate::data::pairs::{PairEvaluation, PairOrder};
use crate::data::tokenizer::Tokenizers;
use crate::decode::{DecodeOptions, How, Hypothesis, OutputGenerator};
use crate::kernels::dropout::DropoutKey;
use crate::kernels::vocabulary_loss::Objective;
use crate::metrics::perplexity::perplexity;
use crate::model::encoder_decoder::Source;
use crate::model::options::ModelOptions;
use crate::model::vocabulary_loss::{Loss, vocabulary_loss};
use crate::model::{EncoderDecoder, Vocabularies};
use crate::parameters::Parameters;
use crate::runs::{Sample, Split};
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// An encoder-decoder, its training order, and the pairs that it is measured on.
pub struct SequenceToSequence {
    parameters: Parameters,
    model: EncoderDecoder,
    tokenizers: Tokenizers,
    train: Arc<TrainBatches>,
    held_out: Vec<(Split, Arc<PairEvaluation>)>,
    options: Options,
    measuring: RefCell<Measuring>,
}

/// What is learned, how outputs are written, and how all is measured.
pub struct Options {
    /// `[task]`.
    pub task: TaskOptions,
    /// `[decode]`.
    pub decode: DecodeOptions,
    /// What training minimises.
    pub objective: Objective,
    /// Evaluations run as CUDA graphs where they can.
    pub graphs: bool,
}

/// Batches in the order of training; none where a model is only measured.
struct TrainBatches(Option<PairOrder>);

impl Batches for TrainBatches {
    fn micro_batch(&self, index: u64) -> Result<HostBatch> {
        let order = self.0.as_ref().context("there is no train split")?;
        Ok(order.batch(index)?.into())
    }
}

impl SequenceToSequence {
    /// Builds the model into `parameters`.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn new(
        mut parameters: Parameters,
        (model, attention): (&ModelOptions, &AttentionOptions),
        tokenizers: Tokenizers,
        corpus: PairCorpus,
        options: Options,
    ) -> Result<Self> {
        let vocabularies = vocabularies(&tokenizers, model);
        let PairCorpus { train, held_out } = corpus;
        let model = EncoderDecoder::new(&mut parameters, model, attention, vocabularies);
        let measuring = RefCell::new(Measuring::new(parameters.device(), options.graphs)?);
        let train = Arc::new(TrainBatches(train));
        Ok(Self { parameters, model, tokenizers, train, held_out, options, measuring })
    }

    /// The same task, whose model keeps less and computes more in training, if `on`: see
    /// [`EncoderDecoder::with_recompute`].
    pub fn with_recompute(self, on: bool) -> Self {
        Self { model: self.model.with_recompute(on), ..self }
    }

    fn held_out(&self, split: Split) -> Result<&Arc<PairEvaluation>> {
        let found = self.held_out.iter().find(|(name, _)| *name == split).map(|(_, held_out)| held_out);
        found.with_context(|| format!("the data has no {} split", split.name()))
    }

    /// What the model projects to the vocabulary, as `[rows · length, d_model]`, and targets as one row.
    fn hidden(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<(Tensor, Tensor)> {
        let [tokens, lengths, inputs, targets] = arrays else { unreachable!("a batch of four arrays") };
        let hidden = self.model.hidden(Source { tokens, lengths }, inputs, pass)?;
        Ok((hidden.flatten(0, 1), targets.view([-1])))
    }

    /// The best outputs for the sources of these rows; `None` once the watch, which is told how many are done, answered
    /// false.
    fn outputs(
        &self,
        held_out: &PairEvaluation,
        rows: Vec<usize>,
        compute: Kind,
        watch: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Option<Outputs>> {
        let generator = OutputGenerator::new(&self.model, self.tokenizers.target(), &self.options.decode, compute)?;
        let sources = rows.iter().map(|row| held_out.rows().source(*row)).collect::<Result<Vec<_>>>()?;
        let sources: Vec<&[i64]> = sources.iter().map(Vec::as_slice).collect();
        let found = generator.outputs(&sources, &How::Search { wanted: 1 }, watch)?;
        Ok(found.map(|outputs| Outputs::new(rows, outputs.into_iter().flatten())))
    }
}

/// The sizes of the model's vocabularies, and whether source and target share their embeddings.
pub fn vocabularies(tokenizers: &Tokenizers, model: &ModelOptions) -> Vocabularies {
    let joint = matches!(tokenizers, Tokenizers::Joint(_));
    Vocabularies {
        source: tokenizers.source().vocab_size() as i64,
        target: tokenizers.target().vocab_size() as i64,
        shared: model.share_embeddings.unwrap_or(joint),
    }
}

impl Task for SequenceToSequence {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn batches(&self) -> Arc<dyn Batches> {
        self.train.clone()
    }

    fn examples(&self) -> u64 {
        self.train.0.as_ref().map_or(0, PairOrder::examples)
    }

    fn examples_per_micro_batch(&self) -> u64 {
        self.train.0.as_ref().map_or(1, PairOrder::examples_per_batch)
    }

    fn largest_micro_batch(&self) -> MicroBatch {
        let (rows, (source, target)) = self.train.0.as_ref().map_or((1, (1, 1)), PairOrder::largest);
        MicroBatch { rows: rows as u64, source: source as u64, target: target as u64 }
    }

    fn padding(&self) -> BTreeMap<String, f64> {
        let train = self.train.0.as_ref().map(|order| (Split::Train, order.padding()));
        let held_out = self.held_out.iter().map(|(split, held_out)| (*split, held_out.padding()));
        train.into_iter().chain(held_out).map(|(split, share)| (split.name().to_string(), share)).collect()
    }

    fn loss(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<Loss> {
        let (hidden, targets) = self.hidden(arrays, pass)?;
        Ok(vocabulary_loss(&hidden, self.model.output(), &targets, self.options.objective, pass)?)
    }

    fn metric_names(&self) -> Vec<&'static str> {
        self.options.task.kind.metric_names()
    }

    fn evaluate(&self, split: Split, request: Request<'_>) -> Result<Option<Evaluation>> {
        let held_out = self.held_out(split)?;
        let _no_grad = tch::no_grad_guard();
        let batches = held_out.count() as u64;
        let wanted = if request.max_batches == 0 { batches } else { batches.min(request.max_batches) };
        let mut feed = Feed::new(self.parameters.device(), packets(held_out.clone(), wanted))?;
        let passes = Passes {
            hidden: &|arrays, pass| self.hidden(arrays, pass),
            output: self.model.output(),
            compute: request.compute,
            choices: false,
        };
        // Of the way outputs are the second half.
        let all = if request.generate { 2 * wanted } else { wanted };
        let mut measuring = self.measuring.borrow_mut();
        measuring.begin()?;
        let (mut done, mut tokens, mut rows) = (0, 0, Vec::new());
        while (request.watch)(done, all) {
            let Some((fed, _)) = measuring.next(&mut feed, &passes)? else { break };
            tokens += fed.note.target_tokens;
            rows.extend(fed.note.rows);
            done += 1;
        }
        if done < wanted {
            return Ok(None);
        }
        let (nats, right) = measuring.sums();
        let mut evaluation = Evaluation {
            tokens,
            loss: nats / tokens as f64,
            perplexity: perplexity(nats, tokens),
            metrics: BTreeMap::from([("accuracy".to_string(), right as f64 / tokens as f64)]),
            ..Default::default()
        };
        if request.generate {
            rows.sort_unstable();
            let count = rows.len() as u64;
            let watch = &mut |written| (request.watch)(wanted + written * wanted / count, all);
            let Some(outputs) = self.outputs(held_out, rows, request.compute, watch)? else { return Ok(None) };
            outputs.measure(&self.options.task, self.tokenizers.target(), held_out, &mut evaluation)?;
        }
        Ok(Some(evaluation))
    }

    fn samples(&self, request: SampleRequest<'_>) -> Result<Option<Vec<Sample>>> {
        let held_out = self.held_out(Split::Validation)?;
        let _no_grad = tch::no_grad_guard();
        let rows = Vec::from_iter(evenly(held_out.rows().count(), request.count));
        if rows.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let watch = &mut |_| (request.watch)();
        let Some(outputs) = self.outputs(held_out, rows, request.compute, watch)? else { return Ok(None) };
        let sample = |(row, output): (usize, Hypothesis)| Sample {
            row,
            prompt: held_out.source(row).to_string(),
            continuation: self.tokenizers.target().decode(&output.tokens),
            tokens: output.tokens.len(),
            reference: held_out.references(row).first().cloned(),
        };
        Ok(Some(outputs.into_rows().map(sample).collect()))
    }

    fn attention_paths(&self, compute: Kind) -> Result<Vec<Path>> {
        let key = DropoutKey::start(0, 0, 0, self.parameters.device());
        let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
        let MicroBatch { rows, source, target } = self.largest_micro_batch();
        self.model.attention_paths(rows as i64, source as i64, target as i64, pass)
    }

    fn has(&self, split: Split) -> bool {
        (split == Split::Train && self.train.0.is_some()) || self.held_out.iter().any(|(name, _)| *name == split)
    }
}

/// What the host wants to know of a batch that is measured.
struct Note {
    rows: Vec<usize>,
    target_tokens: u64,
}

/// The first `count` batches.
fn packets(held_out: Arc<PairEvaluation>, count: u64) -> impl FnMut() -> Result<Option<Packet<Note>>> + Send + 'static {
    let mut numbers = 0..count as usize;
    move || {
        let Some(number) = numbers.next() else { return Ok(None) };
        let (batch, rows) = held_out.batch(number)?;
        let note = Note { rows, target_tokens: batch.target_tokens as u64 };
        Ok(Some(Packet { header: Vec::new(), batch: batch.into(), note }))
    }
}
