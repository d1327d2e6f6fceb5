//! Language modelling over contiguous blocks of one text.

use super::{Evaluation, MicroBatch, Request, Task};
use crate::attention::options::AttentionOptions;
use crate::attention::{Pass, Path};
use crate::data::blocks::{Batch, Blocks};
use crate::data::order::TrainOrder;
use crate::data::splits::Splits;
use crate::data::tokenizer::Tokenizer;
use crate::model::Decoder;
use crate::model::options::ModelOptions;
use crate::model::vocabulary_loss::{Prediction, predict, vocabulary_loss};
use crate::parameters::Parameters;
use crate::randomness::DropoutKey;
use crate::runs::Split;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use tch::{Kind, Tensor};

/// A decoder, its training order, and the texts that it is measured on.
pub struct LanguageModeling {
    parameters: Parameters,
    model: Decoder,
    tokenizer: Tokenizer,
    train: TrainOrder,
    held_out: Vec<(Split, HeldOut)>,
    rows: usize,
}

/// A text that is measured, whole and as tokens.
struct HeldOut {
    text: String,
    blocks: Blocks,
}

impl LanguageModeling {
    /// Cuts the texts and builds the model into `parameters`. `rows` blocks make a micro-batch.
    ///
    /// # Errors
    /// A split of fewer than two tokens.
    pub fn new(
        mut parameters: Parameters,
        (model, attention): (&ModelOptions, &AttentionOptions),
        tokenizer: Tokenizer,
        splits: Splits,
        seed: u64,
        rows: usize,
    ) -> Result<Self> {
        let block = model.max_length as usize;
        let cut = |name: &str, text: &str| {
            Blocks::new(tokenizer.encode(text), block).with_context(|| format!("the {name} split is too short"))
        };
        let train = TrainOrder::new(Arc::new(cut("train", &splits.train)?), seed);
        let mut held_out = Vec::new();
        for (split, text) in [(Split::Validation, splits.validation), (Split::Test, splits.test)] {
            if let Some(text) = text {
                let blocks = cut(split.name(), &text)?;
                held_out.push((split, HeldOut { text, blocks }));
            }
        }
        let model = Decoder::new(&mut parameters, model, attention, tokenizer.vocab_size() as i64);
        Ok(Self { parameters, model, tokenizer, train, held_out, rows })
    }

    fn on_device(&self, batch: &Batch) -> MicroBatch {
        let tensor = |ids: &[i64]| {
            let shape = [batch.rows as i64, batch.length as i64];
            Tensor::from_slice(ids).view(shape).to_device(self.parameters.device())
        };
        MicroBatch {
            inputs: tensor(&batch.inputs),
            targets: tensor(&batch.targets),
            target_tokens: batch.target_tokens as u64,
        }
    }

    /// What the model projects to the vocabulary, as `[rows · length, d_model]`, and targets as one row.
    fn hidden(&self, batch: &MicroBatch, pass: Pass<'_>) -> Result<(Tensor, Tensor)> {
        Ok((self.model.hidden(&batch.inputs, pass)?.flatten(0, 1), batch.targets.view([-1])))
    }
}

impl Task for LanguageModeling {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn micro_batch(&self, index: u64) -> MicroBatch {
        self.on_device(&self.train.batch(index * self.rows as u64, self.rows))
    }

    fn examples(&self) -> u64 {
        self.train.blocks().count() as u64
    }

    fn examples_per_micro_batch(&self) -> u64 {
        self.rows as u64
    }

    fn loss(&self, batch: &MicroBatch, pass: Pass<'_>) -> Result<Tensor> {
        let (hidden, targets) = self.hidden(batch, pass)?;
        Ok(vocabulary_loss(&hidden, self.model.output(), &targets, pass)?)
    }

    fn metric_names(&self) -> &'static [&'static str] {
        &["bits_per_byte", "accuracy"]
    }

    fn evaluate(&self, split: Split, request: Request<'_>) -> Result<Option<Evaluation>> {
        let held_out = self.held_out.iter().find(|(name, _)| *name == split).map(|(_, held_out)| held_out);
        let held_out = held_out.with_context(|| format!("the data has no {} split", split.name()))?;
        let _no_grad = tch::no_grad_guard();
        let batches = held_out.blocks.count().div_ceil(self.rows) as u64;
        let wanted = if request.max_batches == 0 { batches } else { batches.min(request.max_batches) };
        let device = self.parameters.device();
        let mut nats = Tensor::zeros([], (Kind::Double, device));
        let mut right = Tensor::zeros([], (Kind::Int64, device));
        let (mut tokens, mut predicted) = (0, Vec::new());
        for (done, batch) in held_out.blocks.evaluation_batches(self.rows).take(wanted as usize).enumerate() {
            if !(request.watch)(done as u64, wanted) {
                return Ok(None);
            }
            let batch = self.on_device(&batch);
            let pass = Pass::evaluation(request.compute);
            let (hidden, targets) = self.hidden(&batch, pass)?;
            let Prediction { nats: of_batch, best } = predict(&hidden, self.model.output(), &targets, pass);
            nats += of_batch;
            right += best.eq_tensor(&targets).sum(Kind::Int64);
            tokens += batch.target_tokens;
            if request.predictions {
                let best = Vec::<i64>::try_from(best.to_device(tch::Device::Cpu))?;
                predicted.extend(best.into_iter().take(batch.target_tokens as usize).map(|id| id as u32));
            }
        }
        (request.watch)(wanted, wanted);
        let (nats, right) = (nats.double_value(&[]), right.int64_value(&[]));
        let predictions = request.predictions.then(|| self.tokenizer.decode(&predicted));
        Ok(Some(held_out.figures(&self.tokenizer, tokens, nats, right, predictions)))
    }

    fn attention_paths(&self, compute: Kind) -> Result<Vec<Path>> {
        let key = DropoutKey::start(0, 0, 0, self.parameters.device());
        let pass = Pass { compute, dropout: Some(&key) };
        self.model.attention_paths(self.rows as i64, self.train.blocks().block() as i64, pass)
    }

    fn has(&self, split: Split) -> bool {
        split == Split::Train || self.held_out.iter().any(|(name, _)| *name == split)
    }
}

impl HeldOut {
    /// The figures of the first `tokens` targets, which cost `nats` in all and of which `right` were the
    /// model's first choice.
    fn figures(
        &self,
        tokenizer: &Tokenizer,
        tokens: u64,
        nats: f64,
        right: i64,
        predictions: Option<String>,
    ) -> Evaluation {
        let loss = nats / tokens as f64;
        // The first token is not predicted: its bytes and word do not count.
        let bytes = tokenizer.bytes_of(&self.text, 1, tokens as usize);
        let text = String::from_utf8_lossy(bytes);
        let words = text.split_whitespace().count() + text.matches('\n').count();
        Evaluation {
            tokens,
            loss,
            perplexity: loss.exp(),
            word_perplexity: (words > 0).then(|| (nats / words as f64).exp()),
            bits_per_byte: Some(nats / std::f64::consts::LN_2 / bytes.len() as f64),
            metrics: BTreeMap::from([("accuracy".to_string(), right as f64 / tokens as f64)]),
            predictions,
        }
    }
}
