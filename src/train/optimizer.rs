//! AdamW with state that is saved and loaded.

mod flat;
mod lists;

use super::options::OptimizerOptions;
use crate::checkpoints::tensors::NamedTensors;
use crate::kernels::narrow::NarrowCopies;
use crate::libtorch::optimizer::{self, LearningRate};
use crate::parameters::{Parameter, Parameters};
use flat::Flat;
use lists::Lists;
use tch::{Kind, TchError, Tensor};

/// AdamW over all trained parameters, of which some decay and others do not ([`Parameter::decays`]).
pub struct AdamW {
    parameters: Vec<Tensor>,
    state: State,
}

/// The gradients of a step.
pub struct Gradients {
    /// One for each parameter, in the optimizer's order.
    pub list: Vec<Tensor>,
    /// The L2 norm of all together, a scalar on their device.
    pub norm: Tensor,
}

/// How the state lies in memory, and so what updates it.
enum State {
    /// One tensor for each parameter; libtorch's fused operation.
    Lists(Lists),
    /// One buffer for all; our kernels, which write the copies in bfloat16 as well.
    Flat(Box<Flat>),
}

impl AdamW {
    /// The optimizer of all trained parameters, with gradients of zero and no history. `compute` is the kind of products.
    ///
    /// # Errors
    /// What libtorch reports, out of memory first of all.
    pub fn new(parameters: &Parameters, options: &OptimizerOptions, compute: Kind) -> Result<Self, TchError> {
        let trained: Vec<&Parameter> = parameters.trainable().collect();
        let state = match Flat::new(&trained, options, compute)? {
            Some(flat) => State::Flat(Box::new(flat)),
            None => State::Lists(Lists::new(&trained, options)?),
        };
        let parameters = match &state {
            State::Flat(_) => trained.iter().map(|parameter| parameter.tensor.shallow_clone()).collect(),
            State::Lists(lists) => lists.parameters(),
        };
        let optimizer = Self { parameters, state };
        optimizer::gradients(&optimizer.parameters)?; // defined from now on: memory runs out here and not in a pass
        Ok(optimizer)
    }

    /// The gradients of all parameters; zeros where a backward pass reached none.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn gradients(&self) -> Result<Gradients, TchError> {
        let list = optimizer::gradients(&self.parameters)?;
        let norm = match &self.state {
            State::Lists(_) => optimizer::global_norm(&list)?,
            State::Flat(flat) => flat.norm(&list),
        };
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
        match &self.state {
            State::Lists(lists) => lists.update(gradients, clip_norm, rate, skip),
            State::Flat(flat) => flat.update(gradients, clip_norm, rate, skip),
        }
    }

    /// The parameters in the kind of products, where updates write them as well.
    pub fn copies(&self) -> Option<&NarrowCopies> {
        match &self.state {
            State::Lists(_) => None,
            State::Flat(flat) => flat.copies(),
        }
    }

    /// Makes the copies anew, after parameters were changed by anyone else.
    ///
    /// # Errors
    /// What libtorch reports.
    pub fn refresh(&self) -> Result<(), TchError> {
        match &self.state {
            State::Lists(_) => Ok(()),
            State::Flat(flat) => flat.refresh(),
        }
    }

    /// The state by name: `first_moment.<parameter>`, `second_moment.<parameter>`, and counts of updates,
    /// `updates.decayed` and `updates.not_decayed`.
    pub fn state(&self) -> NamedTensors {
        match &self.state {
            State::Lists(lists) => lists.state(),
            State::Flat(flat) => flat.state(),
        }
    }
}

/// The scalar that a kernel reads of a rate.
fn on_device(rate: LearningRate<'_>, like: &Tensor) -> Tensor {
    match rate {
        LearningRate::Device(rate) => rate.shallow_clone(),
        LearningRate::Host(rate) => Tensor::from(rate as f32).to_device(like.device()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Pass;
    use crate::attention::options::AttentionOptions;
    use crate::kernels::host::with_kernels;
    use crate::model::Decoder;
    use crate::model::options::ModelOptions;
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
        let adamw = AdamW::new(&parameters, &options, Kind::Double).unwrap();
        let gradients = adamw.gradients().unwrap();
        adamw.update(&gradients, 0.0, LearningRate::Host(0.1), &Tensor::from(0f32)).unwrap();
        approx::assert_abs_diff_eq!(matrix.double_value(&[0, 0]), 0.95 * start);
        approx::assert_abs_diff_eq!(bias.double_value(&[0, 0]), 1.0);
    }

    /// The flat state moves parameters: a layer that kept a view of one would go on reading the old numbers.
    #[test]
    fn models_read_the_parameters_that_the_optimizer_moved() {
        let model = ModelOptions { layers: 1, d_model: 8, heads: 2, max_length: 6, ..Default::default() };
        let biased = "bias = true\ndense.bias = true\n";
        let kinds = ["random+vanilla", "dense", "factorized-dense", "fixed-random+factorized-random", "dense+vanilla"];
        for (kind, shared, tie_embeddings) in
            kinds.into_iter().flat_map(|kind| [(kind, true, true), (kind, false, false)])
        {
            let attention = format!("kind = \"{kind}\"\n{biased}dense.shared_output = {shared}");
            let attention: AttentionOptions = toml::from_str(&attention).unwrap();
            let model = ModelOptions { tie_embeddings, ..model.clone() };
            let logits = |moved: bool| {
                let mut parameters = Parameters::new(1, Device::Cpu, Kind::Float);
                let decoder = Decoder::new(&mut parameters, &model, &attention, 9);
                let options = OptimizerOptions::default();
                let move_all = || AdamW::new(&parameters, &options, Kind::Float).unwrap();
                let _optimizer = moved.then(|| with_kernels(move_all));
                let mut drawn = Parameters::new(2, Device::Cpu, Kind::Float);
                for parameter in parameters.trainable() {
                    let other = drawn.root().tensor(&parameter.name, &parameter.tensor.size(), Init::Normal(0.5));
                    tch::no_grad(|| parameter.tensor.shallow_clone().copy_(&other));
                }
                let tokens = Tensor::from_slice(&[0i64, 3, 8, 5, 1, 7]).view([1, 6]);
                tch::no_grad(|| decoder.forward(&tokens, Pass::evaluation(Kind::Float)).unwrap())
            };
            assert_eq!(logits(true), logits(false), "{kind}");
        }
    }

    #[test]
    fn backward_passes_add_up() {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Float);
        let weight = parameters.root().tensor("w", &[2, 2], Init::Ones);
        let adamw = AdamW::new(&parameters, &OptimizerOptions::default(), Kind::Float).unwrap();
        for _ in 0..2 {
            (&weight * 3.0).sum(Kind::Float).backward();
        }
        assert_eq!(adamw.gradients().unwrap().list[0].double_value(&[1, 1]), 6.0);
        adamw.zero_gradients().unwrap();
        assert_eq!(adamw.gradients().unwrap().list[0].double_value(&[1, 1]), 0.0);
    }
}
