//! AdamW's state as one tensor for each parameter.

use super::{Rule, Step};
use crate::checkpoints::tensors::NamedTensors;
use crate::libtorch::optimizer::{self, AdamWConstants};
use crate::parameters::Parameter;
use crate::train::options::OptimizerOptions;
use tch::{Device, Kind, TchError, Tensor};

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
}

impl Rule for Lists {
    /// Group after group.
    fn parameters(&self) -> Vec<Tensor> {
        self.groups.iter().flat_map(|group| &group.parameters).map(Tensor::shallow_clone).collect()
    }

    fn update(&self, step: &Step<'_>) -> Result<(), TchError> {
        step.clip()?;
        let mut rest = &step.gradients.list[..];
        for group in self.groups.iter().filter(|group| !group.names.is_empty()) {
            let (own, others) = rest.split_at(group.names.len());
            let lists = [&group.parameters[..], own, &group.first, &group.second];
            optimizer::fused_adamw(lists, &group.step, step.rate, group.constants, step.skip)?;
            rest = others;
        }
        Ok(())
    }

    fn state(&self) -> NamedTensors {
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
