//! Stochastic gradient descent, with momentum as PyTorch has it, and with Nesterov's.

use super::plain::{Change, Members};
use super::{Rule, Step};
use crate::checkpoints::tensors::NamedTensors;
use crate::parameters::Parameter;
use crate::train::options::OptimizerOptions;
use tch::{TchError, Tensor, no_grad};

/// SGD: b ← momentum · b + g; the step is b, or g + momentum · b after Nesterov, or g without momentum.
pub struct Sgd {
    members: Members,
    /// b of each parameter, in its shape; none without momentum.
    buffers: Vec<Tensor>,
    momentum: f64,
    nesterov: bool,
}

impl Sgd {
    /// No history.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(trained: &[&Parameter], options: &OptimizerOptions) -> Result<Self, TchError> {
        let members = Members::new(trained, options)?;
        let buffers = match options.momentum > 0.0 {
            true => members.iter().map(|member| member.zeros(&member.parameter.size())).collect::<Result<_, _>>()?,
            false => Vec::new(),
        };
        Ok(Self { members, buffers, momentum: options.momentum, nesterov: options.nesterov })
    }

    /// The step of the parameter `number`, before the rate; its b goes on.
    fn step(&self, change: &Change<'_>, number: usize, gradient: &Tensor) -> Result<Tensor, TchError> {
        let Some(buffer) = self.buffers.get(number) else { return Ok(gradient.shallow_clone()) };
        let next = (buffer * self.momentum).f_add_(gradient)?;
        change.put(buffer, &next)?;
        if self.nesterov { (next * self.momentum).f_add_(gradient) } else { Ok(next) }
    }
}

impl Rule for Sgd {
    fn parameters(&self) -> Vec<Tensor> {
        self.members.parameters()
    }

    fn update(&self, step: &Step<'_>) -> Result<(), TchError> {
        no_grad(|| {
            let change = Change::begin(step)?;
            for (number, (member, gradient)) in self.members.iter().zip(&step.gradients.list).enumerate() {
                let step = self.step(&change, number, gradient)?;
                change.descend(member, &change.at_rate(&step))?;
            }
            self.members.count(&change)
        })
    }

    /// `momentum.<parameter>`, in the parameter's shape, only with momentum; `updates`.
    fn state(&self) -> NamedTensors {
        let buffers = self.members.iter().zip(&self.buffers);
        let buffers = buffers.map(|(member, b)| (format!("momentum.{}", member.name), b.shallow_clone()));
        buffers.chain([("updates".to_string(), self.members.updates.shallow_clone())]).collect()
    }
}

#[cfg(test)]
mod tests;
