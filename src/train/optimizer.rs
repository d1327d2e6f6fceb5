//! AdamW with state that is saved and loaded.

use super::options::OptimizerOptions;
use crate::checkpoints::tensors::NamedTensors;
use crate::libtorch::optimizer::{self, AdamWConstants, LearningRate};
use crate::parameters::{Parameter, Parameters};
use tch::{Kind, TchError, Tensor};

/// AdamW over two groups of parameters: tensors with two or more axes decay, gains and biases do not.
pub struct AdamW {
    groups: Vec<Group>,
    gradients: Vec<Tensor>,
}

/// Parameters that share their constants.
struct Group {
    names: Vec<String>,
    parameters: Vec<Tensor>,
    gradients: Vec<Tensor>,
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
        let decays = |parameter: &&Parameter| parameter.tensor.dim() >= 2;
        let constants = |weight_decay| AdamWConstants { betas: options.betas, eps: options.eps, weight_decay };
        let groups = vec![
            Group::new(parameters.trainable().filter(decays), constants(options.weight_decay))?,
            Group::new(parameters.trainable().filter(|parameter| !decays(parameter)), constants(0.0))?,
        ];
        let gradients = groups.iter().flat_map(|group| &group.gradients).map(Tensor::shallow_clone).collect();
        Ok(Self { groups, gradients })
    }

    /// The gradients of all parameters, which backward passes add to.
    pub fn gradients(&self) -> &[Tensor] {
        &self.gradients
    }

    /// Sets all gradients to zero.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn zero_gradients(&self) -> Result<(), TchError> {
        optimizer::zero(&self.gradients)
    }

    /// One update; where `skip` (float32 scalar on the device) is 1 nothing changes.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn update(&self, lr: f64, skip: &Tensor) -> Result<(), TchError> {
        self.groups.iter().filter(|group| !group.names.is_empty()).try_for_each(|group| {
            let lists = [&group.parameters[..], &group.gradients, &group.first, &group.second];
            optimizer::fused_adamw(lists, &group.step, LearningRate::Host(lr), group.constants, skip)
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
        let gradients = parameters.iter().map(gradient_buffer).collect::<Result<_, _>>()?;
        let device = parameters.first().map_or(tch::Device::Cpu, Tensor::device);
        let step = Tensor::f_zeros([] as [i64; 0], (Kind::Float, device))?;
        Ok(Self { names, parameters, gradients, first, second, step, constants })
    }
}

/// The tensor that backward passes add a parameter's gradient to, from now on and in place: defined by a
/// backward pass over zero, for tch has no way to set it.
fn gradient_buffer(parameter: &Tensor) -> Result<Tensor, TchError> {
    let zero = tch::with_grad(|| parameter.f_mul_scalar(0.0).and_then(|product| product.f_sum(parameter.kind())))?;
    zero.f_backward()?;
    let gradient = parameter.f_grad()?;
    optimizer::zero(std::slice::from_ref(&gradient))?;
    Ok(gradient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Init;
    use tch::Device;

    #[test]
    fn matrices_decay_and_vectors_do_not() {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
        let (matrix, vector) = {
            let mut root = parameters.root();
            (root.tensor("w", &[1, 1], Init::Ones), root.tensor("b", &[1], Init::Ones))
        };
        let options = OptimizerOptions { weight_decay: 0.5, ..Default::default() };
        let adamw = AdamW::new(&parameters, &options).unwrap();
        adamw.update(0.1, &Tensor::from(0f32)).unwrap();
        approx::assert_abs_diff_eq!(matrix.double_value(&[0, 0]), 0.95);
        approx::assert_abs_diff_eq!(vector.double_value(&[0]), 1.0);
    }

    #[test]
    fn backward_passes_add_to_the_buffers() {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Float);
        let weight = parameters.root().tensor("w", &[2, 2], Init::Ones);
        let adamw = AdamW::new(&parameters, &OptimizerOptions::default()).unwrap();
        for _ in 0..2 {
            (&weight * 3.0).sum(Kind::Float).backward();
        }
        assert_eq!(adamw.gradients()[0].double_value(&[1, 1]), 6.0);
        adamw.zero_gradients().unwrap();
        assert_eq!(weight.grad().double_value(&[1, 1]), 0.0);
    }
}
