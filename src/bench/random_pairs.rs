//! Sources and targets whose tokens are random: what a training step of an encoder-decoder costs does not depend on what
//! they say.

use super::random_text::tokens;
use crate::attention::options::AttentionOptions;
use crate::attention::{Pass, Path};
use crate::kernels::dropout::DropoutKey;
use crate::kernels::vocabulary_loss::Objective;
use crate::model::encoder_decoder::Source;
use crate::model::options::ModelOptions;
use crate::model::vocabulary_loss::{Loss, vocabulary_loss};
use crate::model::{EncoderDecoder, Vocabularies};
use crate::parameters::Parameters;
use crate::runs::Split;
use crate::tasks::feed::{HostArray, HostBatch, Origin};
use crate::tasks::{Batches, Evaluation, MicroBatch, Request, Task};
use anyhow::{Result, bail};
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Batches until the first comes again.
const BATCHES: u64 = 8;

/// An encoder-decoder, and batches of random tokens without padding.
pub struct RandomPairs {
    parameters: Parameters,
    model: EncoderDecoder,
    objective: Objective,
    batches: Arc<RandomBatches>,
}

/// `rows` sources and targets of `length` tokens below `vocabulary`.
struct RandomBatches {
    rows: i64,
    length: i64,
    vocabulary: i64,
    seed: u64,
}

impl RandomPairs {
    /// Builds the model into `parameters`; a batch has `rows` sources of `model.max_length` tokens, and as long targets.
    pub fn new(
        mut parameters: Parameters,
        (model, attention): (&ModelOptions, &AttentionOptions),
        objective: Objective,
        vocabulary: i64,
        rows: usize,
        seed: u64,
    ) -> Self {
        let batches = RandomBatches { rows: rows as i64, length: model.max_length, vocabulary, seed };
        let shared = model.share_embeddings.unwrap_or(true);
        let vocabularies = Vocabularies { source: vocabulary, target: vocabulary, shared };
        let model = EncoderDecoder::new(&mut parameters, model, attention, vocabularies);
        Self { parameters, model, objective, batches: Arc::new(batches) }
    }

    /// The same, whose model keeps less and computes more if `on`: see [`EncoderDecoder::with_recompute`].
    pub fn with_recompute(self, on: bool) -> Self {
        Self { model: self.model.with_recompute(on), ..self }
    }
}

impl Batches for RandomBatches {
    fn micro_batch(&self, index: u64) -> Result<HostBatch> {
        let Self { rows, length, vocabulary, seed } = *self;
        let count = (rows * length) as usize;
        let drawn = tokens(seed + index % BATCHES, vocabulary, 2 * count + 1);
        let array = |values: &[u32]| HostArray {
            shape: vec![rows, length],
            values: values.iter().map(|&id| i64::from(id)).collect(),
        };
        let lengths = HostArray { shape: vec![rows], values: vec![length; rows as usize] };
        let targets = &drawn[count..];
        Ok(HostBatch {
            arrays: vec![array(&drawn[..count]), lengths, array(&targets[..count]), array(&targets[1..])],
            target_tokens: count as u64,
            source_tokens: count as u64,
            origin: Origin::default(),
        })
    }
}

impl Task for RandomPairs {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn batches(&self) -> Arc<dyn Batches> {
        self.batches.clone()
    }

    fn examples(&self) -> u64 {
        BATCHES
    }

    fn examples_per_micro_batch(&self) -> u64 {
        1
    }

    fn largest_micro_batch(&self) -> MicroBatch {
        let (rows, length) = (self.batches.rows as u64, self.batches.length as u64);
        MicroBatch { rows, source: length, target: length }
    }

    fn loss(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<Loss> {
        let [tokens, lengths, inputs, targets] = arrays else { unreachable!("a batch of four arrays") };
        let hidden = self.model.hidden(Source { tokens, lengths }, inputs, pass)?.flatten(0, 1);
        Ok(vocabulary_loss(&hidden, self.model.output(), &targets.view([-1]), self.objective, pass)?)
    }

    fn metric_names(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn evaluate(&self, split: Split, _request: Request<'_>) -> Result<Option<Evaluation>> {
        bail!("random pairs have no {} split", split.name())
    }

    fn attention_paths(&self, compute: Kind) -> Result<Vec<Path>> {
        let key = DropoutKey::start(0, 0, 0, self.parameters.device());
        let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
        let RandomBatches { rows, length, .. } = *self.batches;
        self.model.attention_paths(rows, length, length, pass)
    }

    fn has(&self, split: Split) -> bool {
        split == Split::Train
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::options::Architecture;
    use tch::Device;

    #[test]
    fn untrained_the_loss_is_that_of_a_guess() {
        let architecture = Architecture::EncoderDecoder;
        let model =
            ModelOptions { architecture, layers: 1, d_model: 8, heads: 2, max_length: 16, ..Default::default() };
        let parameters = Parameters::new(1, Device::Cpu, Kind::Float);
        let options = (&model, &AttentionOptions::default());
        let pairs = RandomPairs::new(parameters, options, Objective::default(), 7, 3, 1);
        let batch = pairs.batches().micro_batch(9).unwrap();
        let arrays: Vec<Tensor> =
            batch.arrays.iter().map(|array| Tensor::from_slice(&array.values).view(array.shape.as_slice())).collect();
        let loss = pairs.loss(&arrays, Pass::evaluation(Kind::Float)).unwrap().nats.double_value(&[]);
        assert_eq!((batch.target_tokens, batch.source_tokens), (48, 48));
        approx::assert_abs_diff_eq!(loss / 48.0, 7f64.ln(), epsilon = 0.05);
    }
}
