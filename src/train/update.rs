//! One update of the weights: forward, backward, clipping, optimizer, without waiting for the device.

use super::meter::Meter;
use super::optimizer::AdamW;
use crate::attention::Pass;
use crate::libtorch::optimizer::{global_norm, scale};
use crate::randomness::DropoutKey;
use crate::tasks::Task;
use anyhow::Result;
use tch::{Kind, Tensor};

/// Added to the norm before the division, as PyTorch's `clip_grad_norm_` does.
const CLIP_EPSILON: f64 = 1e-6;

/// What stays the same from update to update.
pub struct Update<'a> {
    /// Data and loss.
    pub task: &'a dyn Task,
    /// Weights' optimizer.
    pub optimizer: &'a AdamW,
    /// The kind in which products are computed.
    pub compute: Kind,
    /// The run's seed.
    pub seed: u64,
    /// Micro-batches per update.
    pub accumulate: u64,
    /// Largest norm of the gradient; 0 = any.
    pub clip_norm: f64,
}

impl Update<'_> {
    /// Does update number `step`, counted from 0, at the rate `lr`. The answer is its number of target tokens.
    ///
    /// The gradient is that of the mean loss over all targets of all micro-batches, as if they were one batch.
    /// A loss or gradient that is not finite leaves everything as it was.
    ///
    /// # Errors
    /// What the model or libtorch reports.
    pub fn run(&self, step: u64, lr: f64, meter: &mut Meter) -> Result<u64> {
        let batches: Vec<_> = (0..self.accumulate).map(|i| self.task.micro_batch(step * self.accumulate + i)).collect();
        let tokens: u64 = batches.iter().map(|batch| batch.target_tokens).sum();
        let mut nats: Option<Tensor> = None;
        for (i, batch) in batches.iter().enumerate() {
            let key = DropoutKey::start(self.seed, step, i as u64, self.task.parameters().device());
            let loss = self.task.loss(batch, Pass { compute: self.compute, dropout: Some(&key) })?;
            (&loss / tokens as f64).f_backward()?;
            let loss = loss.detach();
            nats = Some(nats.map_or_else(|| loss.shallow_clone(), |sum| sum + &loss));
        }
        let norm = global_norm(&self.optimizer.gradients()?)?;
        if let Some(nats) = nats {
            let skip = meter.add(&nats, &norm, tokens);
            self.clip(&norm)?;
            self.optimizer.update(lr, &skip)?;
        }
        self.optimizer.zero_gradients()?;
        Ok(tokens)
    }

    fn clip(&self, norm: &Tensor) -> Result<()> {
        if self.clip_norm > 0.0 {
            let factor = ((norm + CLIP_EPSILON).reciprocal() * self.clip_norm).clamp_max(1.0);
            scale(&self.optimizer.gradients()?, &factor)?;
        }
        Ok(())
    }
}
