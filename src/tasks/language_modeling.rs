//! Language modelling over contiguous blocks of one text.

use super::feed::{Feed, HostArray, HostBatch, Packet, Places};
use super::{Batches, Evaluation, Request, Task};
use crate::attention::options::AttentionOptions;
use crate::attention::{Pass, Path};
use crate::data::blocks::{Batch, Blocks};
use crate::data::order::TrainOrder;
use crate::data::splits::Splits;
use crate::data::tokenizer::Tokenizer;
use crate::kernels::dropout::DropoutKey;
use crate::libtorch::replay::Replays;
use crate::model::Decoder;
use crate::model::options::ModelOptions;
use crate::model::vocabulary_loss::{Prediction, predict, vocabulary_loss};
use crate::parameters::Parameters;
use crate::runs::Split;
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
    train: Arc<BlockBatches>,
    held_out: Vec<(Split, HeldOut)>,
    rows: usize,
    measuring: RefCell<Measuring>,
}

/// Blocks in the order of training, some to a micro-batch.
pub struct BlockBatches {
    /// The blocks in their order.
    pub order: TrainOrder,
    /// Blocks of a micro-batch.
    pub rows: usize,
}

/// A text that is measured, whole and as tokens.
struct HeldOut {
    text: String,
    blocks: Arc<Blocks>,
}

/// What stays from one evaluation to the next, so that its passes are recorded once.
struct Measuring {
    places: Places,
    replays: Replays,
    nats: Tensor,  // float64 scalar
    right: Tensor, // int64 scalar
}

impl Batches for BlockBatches {
    fn micro_batch(&self, index: u64) -> HostBatch {
        self.order.batch(index * self.rows as u64, self.rows).into()
    }
}

/// Inputs, then targets, each `[rows, length]`.
impl From<Batch> for HostBatch {
    fn from(batch: Batch) -> Self {
        let shape = vec![batch.rows as i64, batch.length as i64];
        let array = |values| HostArray { shape: shape.clone(), values };
        let arrays = vec![array(batch.inputs), array(batch.targets)];
        HostBatch { arrays, target_tokens: batch.target_tokens as u64 }
    }
}

impl Measuring {
    fn new(device: Device, graphs: bool) -> Result<Self> {
        let zero = |kind| Tensor::zeros([0i64; 0].as_slice(), (kind, device));
        let (nats, right) = (zero(Kind::Double), zero(Kind::Int64));
        Ok(Self { places: Places::new(device), replays: Replays::new(device, graphs)?, nats, right })
    }
}

impl LanguageModeling {
    /// Cuts the texts and builds the model into `parameters`. `rows` blocks make a micro-batch. With `graphs`
    /// evaluations run as CUDA graphs where they can.
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
        graphs: bool,
    ) -> Result<Self> {
        let block = model.max_length as usize;
        let cut = |name: &str, text: &str| {
            Blocks::new(tokenizer.encode(text), block).with_context(|| format!("the {name} split is too short"))
        };
        let order = TrainOrder::new(Arc::new(cut("train", &splits.train)?), seed);
        let train = Arc::new(BlockBatches { order, rows });
        let mut held_out = Vec::new();
        for (split, text) in [(Split::Validation, splits.validation), (Split::Test, splits.test)] {
            if let Some(text) = text {
                let blocks = Arc::new(cut(split.name(), &text)?);
                held_out.push((split, HeldOut { text, blocks }));
            }
        }
        let model = Decoder::new(&mut parameters, model, attention, tokenizer.vocab_size() as i64);
        let measuring = RefCell::new(Measuring::new(parameters.device(), graphs)?);
        Ok(Self { parameters, model, tokenizer, train, held_out, rows, measuring })
    }

    /// What the model projects to the vocabulary, as `[rows · length, d_model]`, and targets as one row.
    fn hidden(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<(Tensor, Tensor)> {
        let [inputs, targets] = arrays else { unreachable!("a batch of two arrays") };
        Ok((self.model.hidden(inputs, pass)?.flatten(0, 1), targets.view([-1])))
    }

    /// Adds the loss of a batch to `nats` and the number of right first choices to `right`; answers the choices.
    fn measure(&self, arrays: &[Tensor], compute: Kind, (nats, right): (&Tensor, &Tensor)) -> Result<Tensor> {
        let pass = Pass::evaluation(compute);
        let (hidden, targets) = self.hidden(arrays, pass)?;
        let Prediction { nats: of_batch, best } = predict(&hidden, self.model.output(), &targets, pass);
        let _ = nats.shallow_clone().g_add_(&of_batch);
        let _ = right.shallow_clone().g_add_(&best.eq_tensor(&targets).sum(Kind::Int64));
        Ok(best)
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
        self.train.order.blocks().count() as u64
    }

    fn examples_per_micro_batch(&self) -> u64 {
        self.rows as u64
    }

    fn loss(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<Tensor> {
        let (hidden, targets) = self.hidden(arrays, pass)?;
        Ok(vocabulary_loss(&hidden, self.model.output(), &targets, pass)?)
    }

    fn metric_names(&self) -> &'static [&'static str] {
        &["bits_per_byte", "accuracy"]
    }

    fn evaluate(&self, split: Split, request: Request<'_>) -> Result<Option<Evaluation>> {
        let held_out = self.held_out.iter().find(|(name, _)| *name == split).map(|(_, held_out)| held_out);
        let held_out = held_out.with_context(|| format!("the data has no {} split", split.name()))?;
        let _no_grad = tch::no_grad_guard();
        let batches = held_out.blocks.evaluation_count(self.rows) as u64;
        let wanted = if request.max_batches == 0 { batches } else { batches.min(request.max_batches) };
        let device = self.parameters.device();
        let mut feed = Feed::new(device, held_out.packets(self.rows, wanted))?;
        let Measuring { places, replays, nats, right } = &mut *self.measuring.borrow_mut();
        let (_, _) = (nats.f_zero_()?, right.f_zero_()?);
        let (mut done, mut tokens, mut predicted) = (0, 0u64, Vec::new());
        while let Some(fed) = feed.next(places)? {
            if !(request.watch)(done, wanted) {
                return Ok(None);
            }
            let measure = || self.measure(&fed.arrays, request.compute, (nats, right));
            if request.predictions {
                let best = Vec::<i64>::try_from(measure()?.to_device(Device::Cpu))?;
                predicted.extend(best.into_iter().take(fed.note as usize).map(|id| id as u32));
            } else {
                replays.run(&fed.key, &mut || measure().map(drop))?;
            }
            (done, tokens) = (done + 1, tokens + fed.note);
        }
        (request.watch)(wanted, wanted);
        let (nats, right) = (nats.double_value(&[]), right.int64_value(&[]));
        let predictions = request.predictions.then(|| self.tokenizer.decode(&predicted));
        Ok(Some(held_out.figures(&self.tokenizer, tokens, nats, right, predictions)))
    }

    fn attention_paths(&self, compute: Kind) -> Result<Vec<Path>> {
        let key = DropoutKey::start(0, 0, 0, self.parameters.device());
        let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
        self.model.attention_paths(self.rows as i64, self.train.order.blocks().block() as i64, pass)
    }

    fn has(&self, split: Split) -> bool {
        split == Split::Train || self.held_out.iter().any(|(name, _)| *name == split)
    }
}

impl HeldOut {
    /// The first `count` batches of `rows` blocks, with their numbers of targets.
    fn packets(&self, rows: usize, count: u64) -> impl FnMut() -> Option<Packet<u64>> + Send + 'static {
        let (blocks, mut numbers) = (self.blocks.clone(), 0..count as usize);
        move || {
            let batch = HostBatch::from(blocks.evaluation_batch(numbers.next()?, rows));
            let note = batch.target_tokens;
            Some(Packet { header: Vec::new(), batch, note })
        }
    }

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
