//! AdamW with state that is saved and loaded.

use super::options::OptimizerOptions;
use crate::checkpoints::tensors::NamedTensors;
use crate::libtorch::optimizer::{self, AdamWConstants, LearningRate};
use crate::parameters::{Parameter, Parameters};
use tch::{Device, Kind, TchError, Tensor};

/// AdamW over two groups of parameters: those that decay, and those that do not ([`Parameter::decays`]).
pub struct AdamW {
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

impl AdamW {
    /// The optimizer of all trained parameters, with gradients of zero and no history.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(parameters: &Parameters, options: &OptimizerOptions) -> Result<Self, TchError> {
        let decays = |parameter: &&Parameter| parameter.decays;
        let constants = |weight_decay| AdamWConstants { betas: options.betas, eps: options.eps, weight_decay };
        let groups = vec![
            Group::new(parameters.trainable().filter(decays), constants(options.weight_decay))?,
            Group::new(parameters.trainable().filter(|parameter| !decays(parameter)), constants(0.0))?,
        ];
        let optimizer = Self { groups };
        optimizer.gradients()?; // defined from now on, so that memory runs out here and not in a pass
        Ok(optimizer)
    }

    /// The gradients of all parameters, group after group.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn gradients(&self) -> Result<Vec<Tensor>, TchError> {
        let groups = self.groups.iter().map(|group| optimizer::gradients(&group.parameters));
        Ok(groups.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Lets go of all gradients: the next backward pass gives its own tensors, which saves a pass of zeros and one of
    /// sums.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forget_gradients(&self) -> Result<(), TchError> {
        self.groups.iter().try_for_each(|group| optimizer::forget_gradients(&group.parameters))
    }

    /// Sets all gradients to zero at their place, where several recorded backward passes add to them.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn zero_gradients(&self) -> Result<(), TchError> {
        optimizer::zero(&self.gradients()?)
    }

    /// One update; where `skip` (float32 scalar on the device) is 1 nothing changes.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn update(&self, rate: LearningRate<'_>, skip: &Tensor) -> Result<(), TchError> {
        self.groups.iter().filter(|group| !group.names.is_empty()).try_for_each(|group| {
            let gradients = optimizer::gradients(&group.parameters)?;
            let lists = [&group.parameters[..], &gradients, &group.first, &group.second];
            optimizer::fused_adamw(lists, &group.step, rate, group.constants, skip)
        })
    }

    /// The state by name: `first_moment.<parameter>`, `second_moment.<parameter>`, and each group's count of
    /// updates, `updates.decayed` and `updates.not_decayed`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Init;

    #[test]
    fn matrices_decay_and_biases_of_any_shape_do_not() {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
        let (matrix, bias) = {
            let mut root = parameters.root();
            (root.tensor("w", &[1, 1], Init::Normal(1.0)), root.tensor("b", &[1, 1], Init::Ones))
        };
        let start = matrix.double_value(&[0, 0]);
        let options = OptimizerOptions { weight_decay: 0.5, ..Default::default() };
        let adamw = AdamW::new(&parameters, &options).unwrap();
        adamw.update(LearningRate::Host(0.1), &Tensor::from(0f32)).unwrap();
        approx::assert_abs_diff_eq!(matrix.double_value(&[0, 0]), 0.95 * start);
        approx::assert_abs_diff_eq!(bias.double_value(&[0, 0]), 1.0);
    }

    #[test]
    fn backward_passes_add_up() {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Float);
        let weight = parameters.root().tensor("w", &[2, 2], Init::Ones);
        let adamw = AdamW::new(&parameters, &OptimizerOptions::default()).unwrap();
        for _ in 0..2 {
            (&weight * 3.0).sum(Kind::Float).backward();
        }
        assert_eq!(adamw.gradients().unwrap()[0].double_value(&[1, 1]), 6.0);
        adamw.zero_gradients().unwrap();
        assert_eq!(adamw.gradients().unwrap()[0].double_value(&[1, 1]), 0.0);
    }
}
