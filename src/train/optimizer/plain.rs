//! What rules in plain tensor operations share: their parameters, and changes that a skipped update does not make.

use super::Step;
use crate::libtorch::optimizer::LearningRate;
use crate::parameters::Parameter;
use crate::train::options::OptimizerOptions;
use tch::{Device, Kind, TchError, Tensor};

/// The parameters of a rule, in the order of gradients.
pub struct Members {
    list: Vec<Member>,
    /// Updates done: a float32 scalar on the device.
    pub updates: Tensor,
}

/// A parameter by its name.
pub struct Member {
    /// Its name in `model.safetensors`.
    pub name: String,
    /// The tensor that the layers hold.
    pub parameter: Tensor,
    /// Decoupled weight decay.
    weight_decay: f64,
}

/// An update under way.
pub struct Change<'a> {
    /// Whether anything changes: a scalar of truth on the device.
    go: Tensor,
    rate: LearningRate<'a>,
}

impl Members {
    /// The trained parameters, without a history.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(trained: &[&Parameter], options: &OptimizerOptions) -> Result<Self, TchError> {
        let member = |parameter: &&Parameter| Member {
            name: parameter.name.clone(),
            parameter: parameter.tensor.shallow_clone(),
            weight_decay: if parameter.decays { options.weight_decay } else { 0.0 },
        };
        let device = trained.first().map_or(Device::Cpu, |first| first.tensor.device());
        let updates = Tensor::f_zeros([] as [i64; 0], (Kind::Float, device))?;
        Ok(Self { list: trained.iter().map(member).collect(), updates })
    }

    /// In the order of gradients.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.list.iter()
    }

    /// The tensors that the layers hold.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.iter().map(|member| member.parameter.shallow_clone()).collect()
    }

    /// Counts an update that is not skipped.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn count(&self, change: &Change<'_>) -> Result<(), TchError> {
        change.put(&self.updates, &(&self.updates + 1.0))
    }
}

impl Member {
    /// Zeros in the parameter's kind on its device.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn zeros(&self, shape: &[i64]) -> Result<Tensor, TchError> {
        Tensor::f_zeros(shape, (self.parameter.kind(), self.parameter.device()))
    }
}

impl<'a> Change<'a> {
    /// Begins the update: clips the gradients, in place.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn begin(step: &Step<'a>) -> Result<Self, TchError> {
        step.clip()?;
        Ok(Self { go: step.skip.f_eq(0.0)?, rate: step.rate })
    }

    /// `value` times the learning rate.
    pub fn at_rate(&self, value: &Tensor) -> Tensor {
        match self.rate {
            LearningRate::Host(rate) => value * rate,
            LearningRate::Device(rate) => value * rate,
        }
    }

    /// Writes `value` into `target`, at its place, unless the update is skipped. Chosen and not multiplied: the value of a
    /// skipped update may be NaN.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn put(&self, target: &Tensor, value: &Tensor) -> Result<(), TchError> {
        value.f_where_self_out(target, &self.go, target).map(drop)
    }

    /// θ ← θ − `step` − rate · `weight_decay` · θ, with the θ before on the right.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn descend(&self, Member { parameter, weight_decay, .. }: &Member, step: &Tensor) -> Result<(), TchError> {
        let mut next = parameter.f_sub(step)?;
        if *weight_decay > 0.0 {
            next = next.f_sub_(&(self.at_rate(parameter) * *weight_decay))?;
        }
        self.put(parameter, &next)
    }
}
