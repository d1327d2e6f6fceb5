//! A task whose tokens are random: what a training step costs does not depend on what the tokens say.

use crate::attention::options::AttentionOptions;
use crate::attention::{Pass, Path};
use crate::data::order::TrainOrder;
use crate::data::rows::Rows;
use crate::data::tokens::Tokens;
use crate::kernels::dropout::DropoutKey;
use crate::kernels::vocabulary_loss::Objective;
use crate::model::Decoder;
use crate::model::options::ModelOptions;
use crate::model::vocabulary_loss::{Loss, vocabulary_loss};
use crate::parameters::Parameters;
use crate::randomness::derive;
use crate::runs::Split;
use crate::tasks::{Batches, Evaluation, MicroBatch, Request, Task};
use anyhow::{Result, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Batches until a text begins anew.
const BATCHES: usize = 8;

/// A decoder, and a text of random tokens that it reads as a language model does.
pub struct RandomText {
    parameters: Parameters,
    model: Decoder,
    objective: Objective,
    batches: Arc<TrainOrder>,
}

impl RandomText {
    /// Builds the model into `parameters`, and draws a text, of which `rows` blocks of `model.max_length` tokens make a
    /// batch.
    ///
    /// # Errors
    /// A text without tokens.
    pub fn new(
        mut parameters: Parameters,
        (model, attention): (&ModelOptions, &AttentionOptions),
        objective: Objective,
        vocabulary: i64,
        rows: usize,
        seed: u64,
    ) -> Result<Self> {
        let block = model.max_length as usize;
        let tokens = Tokens::of(&tokens(seed, vocabulary, BATCHES * rows * block + 1));
        let batches = Arc::new(TrainOrder::of_blocks(Rows::blocks(tokens, block)?, rows, seed));
        let model = Decoder::new(&mut parameters, model, attention, vocabulary);
        Ok(Self { parameters, model, objective, batches })
    }

    /// The same, whose model keeps less and computes more if `on`: see [`Decoder::with_recompute`].
    pub fn with_recompute(self, on: bool) -> Self {
        Self { model: self.model.with_recompute(on), ..self }
    }
}

/// `count` random tokens below `vocabulary`.
pub(super) fn tokens(seed: u64, vocabulary: i64, count: usize) -> Vec<u32> {
    let mut generator = ChaCha8Rng::seed_from_u64(derive(seed, "bench text", &[]));
    (0..count).map(|_| (generator.next_u64() % vocabulary as u64) as u32).collect()
}

impl Task for RandomText {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn batches(&self) -> Arc<dyn Batches> {
        self.batches.clone()
    }

    fn examples(&self) -> u64 {
        self.batches.examples()
    }

    fn examples_per_micro_batch(&self) -> u64 {
        self.batches.examples_per_batch()
    }

    fn largest_micro_batch(&self) -> MicroBatch {
        let (rows, length) = self.batches.largest();
        MicroBatch { rows: rows as u64, source: 0, target: length as u64 }
    }

    fn loss(&self, arrays: &[Tensor], pass: Pass<'_>) -> Result<Loss> {
        let [inputs, targets] = arrays else { unreachable!("a batch of two arrays") };
        let hidden = self.model.hidden(inputs, pass)?.flatten(0, 1);
        Ok(vocabulary_loss(&hidden, self.model.output(), &targets.view([-1]), self.objective, pass)?)
    }

    fn metric_names(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn evaluate(&self, split: Split, _request: Request<'_>) -> Result<Option<Evaluation>> {
        bail!("random text has no {} split", split.name())
    }

    fn attention_paths(&self, compute: Kind) -> Result<Vec<Path>> {
        let key = DropoutKey::start(0, 0, 0, self.parameters.device());
        let (rows, length) = self.batches.largest();
        let pass = Pass { dropout: Some(&key), ..Pass::evaluation(compute) };
        self.model.attention_paths(rows as i64, length as i64, pass)
    }

    fn has(&self, split: Split) -> bool {
        split == Split::Train
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn tokens_are_those_of_the_vocabulary() {
        let drawn = tokens(1, 5, 320);
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&0), Some(&4)));
        assert_eq!(drawn, tokens(1, 5, 320));
        assert_ne!(drawn, tokens(2, 5, 320));
    }

    #[test]
    fn untrained_the_loss_is_that_of_a_guess() {
        let model = ModelOptions { layers: 1, d_model: 8, heads: 2, max_length: 16, ..Default::default() };
        let parameters = Parameters::new(1, Device::Cpu, Kind::Float);
        let options = (&model, &AttentionOptions::default());
        let text = RandomText::new(parameters, options, Objective::default(), 7, 3, 1).unwrap();
        let batch = text.batches().micro_batch(9).unwrap();
        let arrays: Vec<Tensor> =
            batch.arrays.iter().map(|array| Tensor::from_slice(&array.values).view(array.shape.as_slice())).collect();
        let loss = text.loss(&arrays, Pass::evaluation(Kind::Float)).unwrap().nats.double_value(&[]);
        assert_eq!(batch.target_tokens, 48);
        approx::assert_abs_diff_eq!(loss / 48.0, 7f64.ln(), epsilon = 0.05);
    }
}
