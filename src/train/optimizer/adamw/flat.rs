//! AdamW's state in one buffer for all parameters, which our kernels update.

use super::{Rule, Step};
use crate::checkpoints::tensors::NamedTensors;
use crate::kernels::adamw::{Constants, FlatLayout, FlatState};
use crate::kernels::narrow::NarrowCopies;
use crate::kernels::runs_on;
use crate::libtorch::optimizer::LearningRate;
use crate::parameters::Parameter;
use crate::train::options::OptimizerOptions;
use tch::{Kind, TchError, Tensor, no_grad};

/// The parameters' numbers moved into one buffer, beside buffers of their moments and of copies in bfloat16.
pub struct Flat {
    layout: FlatLayout,
    /// As the layers hold them.
    parameters: Vec<Tensor>,
    state: FlatState,
    /// Name and shape of each parameter.
    members: Vec<(String, Vec<i64>)>,
    copies: Option<NarrowCopies>,
    /// Updates done: float32 `[1]` on the device.
    step: Tensor,
    constants: Constants,
}

impl Flat {
    /// No history; `None` where no kernel updates such parameters: on the CPU, in float64.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(trained: &[&Parameter], options: &OptimizerOptions, compute: Kind) -> Result<Option<Self>, TchError> {
        let floats = trained.iter().all(|parameter| parameter.tensor.kind() == Kind::Float);
        let Some(first) = trained.first().filter(|first| floats && runs_on(first.tensor.device()).is_ok()) else {
            return Ok(None);
        };
        let decay = |parameter: &Parameter| if parameter.decays { options.weight_decay } else { 0.0 };
        let shapes: Vec<Vec<i64>> = trained.iter().map(|parameter| parameter.tensor.size()).collect();
        let layout = FlatLayout::new(shapes.iter().map(Vec::as_slice).zip(trained.iter().map(|p| decay(p))));
        let buffer = |kind| Tensor::f_zeros([layout.size()], (kind, first.tensor.device()));
        let narrow = (compute == Kind::BFloat16).then(|| buffer(Kind::BFloat16)).transpose()?;
        let state = FlatState {
            parameters: buffer(Kind::Float)?,
            first: buffer(Kind::Float)?,
            second: buffer(Kind::Float)?,
            narrow,
        };
        let step = Tensor::f_zeros([1], (Kind::Float, first.tensor.device()))?;
        let constants = Constants { betas: options.betas, epsilon: options.eps, clip_norm: 0.0 };
        let members = trained.iter().map(|p| (p.name.clone(), p.tensor.size())).collect();
        let parameters = trained.iter().map(|parameter| parameter.tensor.shallow_clone()).collect();
        let mut flat = Self { layout, parameters, state, members, copies: None, step, constants };
        flat.take_in(trained);
        flat.refresh()?;
        Ok(Some(flat))
    }

    /// Moves the parameters' numbers into the buffer; layers go on holding the same tensors.
    fn take_in(&mut self, trained: &[&Parameter]) {
        let parts = self.parts(&self.state.parameters);
        for (part, parameter) in parts.iter().zip(trained) {
            no_grad(|| part.shallow_clone().copy_(&parameter.tensor));
            parameter.tensor.shallow_clone().set_data(part);
        }
        self.copies = self.state.narrow.as_ref().map(|narrow| {
            let parameters = trained.iter().map(|parameter| parameter.tensor.shallow_clone());
            NarrowCopies::with_room(parameters.zip(self.parts(narrow)))
        });
    }

    /// Each parameter's part of a buffer, in its shape.
    fn parts(&self, buffer: &Tensor) -> Vec<Tensor> {
        let parts = self.layout.parts(buffer);
        parts.iter().zip(&self.members).map(|(part, (_, shape))| part.view(shape.as_slice())).collect()
    }
}

impl Rule for Flat {
    fn parameters(&self) -> Vec<Tensor> {
        self.parameters.iter().map(Tensor::shallow_clone).collect()
    }

    fn norm(&self, gradients: &[Tensor]) -> Result<Tensor, TchError> {
        Ok(self.layout.norm(gradients).get(0))
    }

    /// Clips on the way.
    fn update(&self, step: &Step<'_>) -> Result<(), TchError> {
        let constants = Constants { clip_norm: step.clip_norm, ..self.constants };
        let rate = on_device(step.rate, &self.step);
        let scalars = [&step.gradients.norm, &self.step, &rate, step.skip];
        self.layout.update(&self.state, &step.gradients.list, constants, scalars);
        Ok(())
    }

    /// Both counts are one number, a scalar as elsewhere.
    fn state(&self) -> NamedTensors {
        let mut state = NamedTensors::new();
        let (first, second) = (self.parts(&self.state.first), self.parts(&self.state.second));
        for (((name, _), first), second) in self.members.iter().zip(first).zip(second) {
            state.push((format!("first_moment.{name}"), first));
            state.push((format!("second_moment.{name}"), second));
        }
        for label in ["decayed", "not_decayed"] {
            state.push((format!("updates.{label}"), self.step.get(0)));
        }
        state
    }

    fn copies(&self) -> Option<&NarrowCopies> {
        self.copies.as_ref()
    }

    fn refresh(&self) -> Result<(), TchError> {
        if let Some(narrow) = &self.state.narrow {
            narrow.shallow_clone().f_copy_(&self.state.parameters)?;
        }
        Ok(())
    }
}

/// The scalar that a kernel reads of a rate.
fn on_device(rate: LearningRate<'_>, like: &Tensor) -> Tensor {
    match rate {
        LearningRate::Device(rate) => rate.shallow_clone(),
        LearningRate::Host(rate) => Tensor::from(rate as f32).to_device(like.device()),
    }
}
