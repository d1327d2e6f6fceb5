//! One update of the weights: forward, backward, clipping, optimizer, without waiting for the device.
//!
//! What is here runs as it is or is recorded and replayed: it reads what changes from step to step from tensors that stay
//! where they are, and leaves its results in such tensors.

use super::ema::Ema;
use super::meter::Sums;
use super::optimizer::Optimizer;
use crate::attention::Pass;
use crate::kernels::dropout::DropoutKey;
use crate::libtorch::optimizer::LearningRate;
use crate::tasks::Task;
use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// What stays the same from update to update.
pub struct Update<'a> {
    /// Data and loss.
    pub task: &'a dyn Task,
    /// Weights' optimizer.
    pub optimizer: &'a Optimizer,
    /// The weights' average, where there is one.
    pub ema: Option<&'a Ema>,
    /// The kind in which products are computed.
    pub compute: Kind,
    /// Several backward passes add to one gradient.
    pub accumulates: bool,
    /// Largest norm of the gradient; 0 = any.
    pub clip_norm: f64,
}

/// What changes from step to step, on the device.
pub struct StepInputs {
    /// Target tokens of all micro-batches: a float64 scalar.
    tokens: Tensor,
    /// The learning rate: a float32 scalar.
    rate: Tensor,
    /// What the micro-batch's dropout comes from.
    dropout: DropoutKey,
}

impl StepInputs {
    /// The words that [`StepInputs::of`] reads.
    pub fn words(tokens: u64, rate: f64, dropout: u64) -> Vec<i64> {
        vec![(tokens as f64).to_bits() as i64, i64::from((rate as f32).to_bits()), dropout as i64]
    }

    /// The inputs that lie in `words`, int64 on the device, as views.
    pub fn of(words: &Tensor) -> Self {
        Self {
            tokens: words.narrow(0, 0, 1).view_dtype(Kind::Double).get(0),
            rate: words.narrow(0, 1, 1).view_dtype(Kind::Float).get(0),
            dropout: DropoutKey::of(words.narrow(0, 2, 1).view_dtype(Kind::Int)),
        }
    }
}

impl Update<'_> {
    /// Passes one micro-batch forward and backward. The gradient is that of the mean objective over all targets of the
    /// update's micro-batches, as if they were one batch.
    ///
    /// # Errors
    /// What the model or libtorch reports.
    pub fn micro_batch(&self, arrays: &[Tensor], inputs: &StepInputs, sums: &Sums) -> Result<()> {
        if !self.accumulates {
            // Also those of a record that failed on the way.
            self.optimizer.forget_gradients()?;
        }
        let loss = self.task.loss(
            arrays,
            Pass { compute: self.compute, dropout: Some(&inputs.dropout), copies: self.optimizer.copies() },
        )?;
        let minimised = &loss.objective;
        (minimised / inputs.tokens.to_kind(minimised.kind())).f_backward()?;
        sums.add_loss(&loss);
        Ok(())
    }

    /// Takes the step. A loss or gradient that is not finite leaves everything as it was. `rate` is that of the inputs.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn finish(&self, inputs: &StepInputs, rate: f64, sums: &Sums) -> Result<()> {
        let gradients = self.optimizer.gradients()?;
        let skip = sums.add(&gradients.norm, &inputs.tokens);
        let on_cpu = inputs.rate.device() == Device::Cpu;
        let rate = if on_cpu { LearningRate::Host(rate) } else { LearningRate::Device(&inputs.rate) };
        self.optimizer.update(&gradients, self.clip_norm, rate, &skip)?;
        self.ema.map_or(Ok(()), |ema| ema.update(&skip))?;
        if self.accumulates && !on_cpu {
            self.optimizer.zero_gradients()?
        } else {
            self.optimizer.forget_gradients()?
        }
        Ok(())
    }
}
