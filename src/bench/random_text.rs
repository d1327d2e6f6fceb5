//! A task whose tokens are random: what a training step costs does not depend on what the tokens say.

use crate::attention::options::AttentionOptions;
use crate::attention::{Pass, Path};
use crate::model::Decoder;
use crate::model::options::ModelOptions;
use crate::parameters::Parameters;
use crate::randomness::{DropoutKey, derive};
use crate::runs::Split;
use crate::tasks::{Evaluation, MicroBatch, Request, Task};
use anyhow::{Result, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use tch::{Device, Kind, Reduction, Tensor};

/// A decoder and one batch, which lies on the device already: inputs and targets are drawn independently.
pub struct RandomText {
    parameters: Parameters,
    model: Decoder,
    batch: MicroBatch,
}

impl RandomText {
    /// Builds the model into `parameters`, and draws a batch of `rows` sequences of `model.max_length` tokens.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn new(
        mut parameters: Parameters,
        (model, attention): (&ModelOptions, &AttentionOptions),
        vocabulary: i64,
        rows: i64,
        seed: u64,
    ) -> Result<Self> {
        let (shape, device) = ([rows, model.max_length], parameters.device());
        let batch = MicroBatch {
            inputs: tokens(seed, "bench inputs", vocabulary, shape, device)?,
            targets: tokens(seed, "bench targets", vocabulary, shape, device)?,
            target_tokens: (rows * model.max_length) as u64,
        };
        let model = Decoder::new(&mut parameters, model, attention, vocabulary);
        Ok(Self { parameters, model, batch })
    }

    fn rows_and_length(&self) -> (i64, i64) {
        let size = self.batch.inputs.size();
        (size[0], size[1])
    }
}

/// Random tokens below `vocabulary`, int64 `shape`, on `device`.
///
/// # Errors
/// What libtorch reports.
pub fn tokens(seed: u64, purpose: &str, vocabulary: i64, shape: [i64; 2], device: Device) -> Result<Tensor> {
    let mut generator = ChaCha8Rng::seed_from_u64(derive(seed, purpose, &[]));
    let draw = |_| (generator.next_u64() % vocabulary as u64) as i64;
    let ids: Vec<i64> = (0..shape[0] * shape[1]).map(draw).collect();
    Ok(Tensor::f_from_slice(&ids)?.f_view(shape)?.f_to_device(device)?)
}

impl Task for RandomText {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn micro_batch(&self, _index: u64) -> MicroBatch {
        let MicroBatch { inputs, targets, target_tokens } = &self.batch;
        MicroBatch { inputs: inputs.shallow_clone(), targets: targets.shallow_clone(), target_tokens: *target_tokens }
    }

    fn examples(&self) -> u64 {
        self.examples_per_micro_batch()
    }

    fn examples_per_micro_batch(&self) -> u64 {
        self.rows_and_length().0 as u64
    }

    fn loss(&self, batch: &MicroBatch, pass: Pass<'_>) -> Result<Tensor> {
        let logits = self.model.forward(&batch.inputs, pass)?; // [rows, length, vocabulary]
        let kind = if logits.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let logits = logits.f_flatten(0, 1)?.f_to_kind(kind)?;
        Ok(logits.f_cross_entropy_loss(&batch.targets.view([-1]), None::<&Tensor>, Reduction::Sum, -100, 0.0)?)
    }

    fn metric_names(&self) -> &'static [&'static str] {
        &[]
    }

    fn evaluate(&self, split: Split, _request: Request<'_>) -> Result<Option<Evaluation>> {
        bail!("random text has no {} split", split.name())
    }

    fn attention_paths(&self, compute: Kind) -> Result<Vec<Path>> {
        let key = DropoutKey::start(0, 0, 0, self.parameters.device());
        let (rows, length) = self.rows_and_length();
        self.model.attention_paths(rows, length, Pass { compute, dropout: Some(&key) })
    }

    fn has(&self, split: Split) -> bool {
        split == Split::Train
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_vocabulary() {
        let draw = |seed| tokens(seed, "inputs", 5, [8, 40], Device::Cpu).unwrap();
        let drawn = draw(1);
        assert_eq!((drawn.min().int64_value(&[]), drawn.max().int64_value(&[])), (0, 4));
        assert_eq!(drawn, draw(1));
        assert_ne!(drawn, draw(2));
    }

    #[test]
    fn untrained_the_loss_is_that_of_a_guess() {
        let model = ModelOptions { layers: 1, d_model: 8, heads: 2, max_length: 16, ..Default::default() };
        let parameters = Parameters::new(1, Device::Cpu, Kind::Float);
        let text = RandomText::new(parameters, (&model, &AttentionOptions::default()), 7, 3, 1).unwrap();
        let batch = text.micro_batch(9);
        let loss = text.loss(&batch, Pass::evaluation(Kind::Float)).unwrap().double_value(&[]);
        assert_eq!(batch.target_tokens, 48);
        approx::assert_abs_diff_eq!(loss / 48.0, 7f64.ln(), epsilon = 0.05);
    }
}
