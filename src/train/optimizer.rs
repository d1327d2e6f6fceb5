//! Optimizers with state that is saved and loaded.

mod adafactor;
mod adamw;
#[cfg(test)]
mod cases;
mod plain;
mod sgd;

use super::options::{OptimizerKind, OptimizerOptions};
use crate::checkpoints::tensors::NamedTensors;
use crate::kernels::narrow::NarrowCopies;
use crate::libtorch::optimizer::{self, LearningRate};
use crate::parameters::{Parameter, Parameters};
use adafactor::Adafactor;
use sgd::Sgd;
use tch::{Kind, TchError, Tensor};

/// The optimizer of all trained parameters, of which some decay and others do not ([`Parameter::decays`]).
pub struct Optimizer {
    parameters: Vec<Tensor>,
    rule: Box<dyn Rule>,
}

/// The gradients of a step.
pub struct Gradients {
    /// One for each parameter, in the optimizer's order.
    pub list: Vec<Tensor>,
    /// The L2 norm of all together, a scalar on their device.
    pub norm: Tensor,
}

/// An update rule and what it keeps from update to update.
///
/// An update is recorded and replayed: it computes on the device alone, and leaves its results in tensors that stay where
/// they are.
trait Rule {
    /// The parameters in the order of gradients; the layers hold the same tensors.
    fn parameters(&self) -> Vec<Tensor>;

    /// See [`Gradients::norm`].
    fn norm(&self, gradients: &[Tensor]) -> Result<Tensor, TchError> {
        optimizer::global_norm(gradients)
    }

    /// See [`Optimizer::update`].
    fn update(&self, step: &Step<'_>) -> Result<(), TchError>;

    /// See [`Optimizer::state`].
    fn state(&self) -> NamedTensors;

    /// See [`Optimizer::copies`].
    fn copies(&self) -> Option<&NarrowCopies> {
        None
    }

    /// See [`Optimizer::refresh`].
    fn refresh(&self) -> Result<(), TchError> {
        Ok(())
    }
}

/// What an update is made from.
struct Step<'a> {
    gradients: &'a Gradients,
    /// Largest norm of the gradient; 0 = any.
    clip_norm: f64,
    rate: LearningRate<'a>,
    /// 1 where nothing is to change: a float32 scalar on the device.
    skip: &'a Tensor,
}

impl Optimizer {
    /// The optimizer of all trained parameters, with gradients of zero and no history. `compute` is the kind of products.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(parameters: &Parameters, options: &OptimizerOptions, compute: Kind) -> Result<Self, TchError> {
        let trained: Vec<&Parameter> = parameters.trainable().collect();
        let rule: Box<dyn Rule> = match options.kind {
            OptimizerKind::Adamw => adamw::new(&trained, options, compute)?,
            OptimizerKind::Adafactor => Box::new(Adafactor::new(&trained, options)?),
            OptimizerKind::Sgd => Box::new(Sgd::new(&trained, options)?),
        };
        let parameters = rule.parameters();
        optimizer::gradients(&parameters)?; // defined from now on: memory runs out here and not in a pass
        Ok(Self { parameters, rule })
    }

    /// The gradients of all parameters; zeros where a backward pass reached none.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn gradients(&self) -> Result<Gradients, TchError> {
        let list = optimizer::gradients(&self.parameters)?;
        let norm = self.rule.norm(&list)?;
        Ok(Gradients { list, norm })
    }

    /// Lets go of all gradients: the next backward pass gives its own tensors, which saves a pass of zeros and one of
    /// sums.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn forget_gradients(&self) -> Result<(), TchError> {
        optimizer::forget_gradients(&self.parameters)
    }

    /// Sets all gradients to zero at their place, where several recorded backward passes add to them.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn zero_gradients(&self) -> Result<(), TchError> {
        optimizer::zero(&optimizer::gradients(&self.parameters)?)
    }

    /// One update from these gradients, first scaled down to the norm `clip_norm` where they are longer (0: never). Where
    /// `skip` (float32 scalar on the device) is 1 nothing changes.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn update(
        &self,
        gradients: &Gradients,
        clip_norm: f64,
        rate: LearningRate<'_>,
        skip: &Tensor,
    ) -> Result<(), TchError> {
        self.rule.update(&Step { gradients, clip_norm, rate, skip })
    }

    /// The parameters in the kind of products, where updates write them as well.
    pub fn copies(&self) -> Option<&NarrowCopies> {
        self.rule.copies()
    }

    /// Makes the copies anew, after parameters were changed by anyone else.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn refresh(&self) -> Result<(), TchError> {
        self.rule.refresh()
    }

    /// The state by name, the tensors themselves: moments as `<moment>.<parameter>`, and counts of updates.
    pub fn state(&self) -> NamedTensors {
        self.rule.state()
    }
}

/// Added to the norm before the division, as PyTorch's `clip_grad_norm_` does.
const CLIP_EPSILON: f64 = 1e-6;

impl Step<'_> {
    /// Scales the gradients down, in place, to the norm `clip_norm` where they are longer.
    fn clip(&self) -> Result<(), TchError> {
        if self.clip_norm > 0.0 {
            let factor = ((&self.gradients.norm + CLIP_EPSILON).reciprocal() * self.clip_norm).clamp_max(1.0);
            optimizer::scale(&self.gradients.list, &factor)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Init;
    use tch::Device;

    #[test]
    fn matrices_decay_and_biases_of_any_shape_do_not() {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
        let (matrix, bias) = {
            let mut root = parameters.root();
            (root.tensor("w", &[1, 1], Init::Normal(1.0)), root.tensor("b", &[1, 1], Init::Ones))
        };
        let start = matrix.double_value(&[0, 0]);
        let options = OptimizerOptions { weight_decay: 0.5, ..Default::default() };
        let optimizer = Optimizer::new(&parameters, &options, Kind::Double).unwrap();
        let gradients = optimizer.gradients().unwrap();
        optimizer.update(&gradients, 0.0, LearningRate::Host(0.1), &Tensor::from(0f32)).unwrap();
        approx::assert_abs_diff_eq!(matrix.double_value(&[0, 0]), 0.95 * start);
        approx::assert_abs_diff_eq!(bias.double_value(&[0, 0]), 1.0);
    }

    #[test]
    fn backward_passes_add_up() {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Float);
        let weight = parameters.root().tensor("w", &[2, 2], Init::Ones);
        let optimizer = Optimizer::new(&parameters, &OptimizerOptions::default(), Kind::Float).unwrap();
        for _ in 0..2 {
            (&weight * 3.0).sum(Kind::Float).backward();
        }
        assert_eq!(optimizer.gradients().unwrap().list[0].double_value(&[1, 1]), 6.0);
        optimizer.zero_gradients().unwrap();
        assert_eq!(optimizer.gradients().unwrap().list[0].double_value(&[1, 1]), 0.0);
    }
}
