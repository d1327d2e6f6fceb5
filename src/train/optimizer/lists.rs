//! AdamW's state as one tensor for each parameter.

use super::Gradients;
use crate::checkpoints::tensors::NamedTensors;
use crate::libtorch::optimizer::{self, AdamWConstants, LearningRate};
use crate::parameters::Parameter;
use crate::train::options::OptimizerOptions;
use tch::{Device, Kind, TchError, Tensor};

/// Added to the norm before the division, as PyTorch's `clip_grad_norm_` does.
const CLIP_EPSILON: f64 = 1e-6;

/// Two groups of parameters: those that decay, and those that do not.
pub struct Lists {
    groups: Vec<Group>,
}

/// Parameters that share their constants.
struct Group {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    /// Updates done: a float32 scalar on the device.
    step: Tensor,
    constants: AdamWConstants,
}

impl Lists {
    /// No history.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(trained: &[&Parameter], options: &OptimizerOptions) -> Result<Self, TchError> {
        let constants = |weight_decay| AdamWConstants { betas: options.betas, eps: options.eps, weight_decay };
        let members = |decays: bool| trained.iter().copied().filter(move |parameter| parameter.decays == decays);
        let groups = vec![
            Group::new(members(true), constants(options.weight_decay))?,
            Group::new(members(false), constants(0.0))?,
        ];
        Ok(Self { groups })
    }

    /// The parameters, group after group: the order of gradients.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.groups.iter().flat_map(|group| &group.parameters).map(Tensor::shallow_clone).collect()
    }

    /// See [`AdamW::update`](super::AdamW::update).
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn update(
        &self,
        Gradients { list, norm }: &Gradients,
        clip_norm: f64,
        rate: LearningRate<'_>,
        skip: &Tensor,
    ) -> Result<(), TchError> {
        if clip_norm > 0.0 {
            let factor = ((norm + CLIP_EPSILON).reciprocal() * clip_norm).clamp_max(1.0);
            optimizer::scale(list, &factor)?;
        }
        let mut rest = &list[..];
        for group in self.groups.iter().filter(|group| !group.names.is_empty()) {
            let (own, others) = rest.split_at(group.names.len());
            let lists = [&group.parameters[..], own, &group.first, &group.second];
            optimizer::fused_adamw(lists, &group.step, rate, group.constants, skip)?;
            rest = others;
        }
        Ok(())
    }

    /// See [`AdamW::state`](super::AdamW::state).
    pub fn state(&self) -> NamedTensors {
        let mut state = NamedTensors::new();
        for (group, label) in self.groups.iter().zip(["decayed", "not_decayed"]) {
            for (i, name) in group.names.iter().enumerate() {
                state.push((format!("first_moment.{name}"), group.first[i].shallow_clone()));
                state.push((format!("second_moment.{name}"), group.second[i].shallow_clone()));
            }
            state.push((format!("updates.{label}"), group.step.shallow_clone()));
        }
        state
    }
}

impl Group {
    fn new<'a>(members: impl Iterator<Item = &'a Parameter>, constants: AdamWConstants) -> Result<Self, TchError> {
        let (names, parameters): (Vec<_>, Vec<_>) =
            members.map(|member| (member.name.clone(), member.tensor.shallow_clone())).unzip();
        let zeros = || parameters.iter().map(|tensor| tensor.detach().f_zeros_like()).collect::<Result<Vec<_>, _>>();
        let (first, second) = (zeros()?, zeros()?);
        let device = parameters.first().map_or(Device::Cpu, Tensor::device);
        let step = Tensor::f_zeros([] as [i64; 0], (Kind::Float, device))?;
        Ok(Self { names, parameters, first, second, step, constants })
    }
}
