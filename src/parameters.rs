//! A model's tensors by name, in order, and how they start.

use crate::randomness;
use crate::runs::ParameterCounts;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardNormal, StandardUniform};
use tch::{Device, Kind, Tensor};

/// What a tensor belongs to, for the counts in results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Token embedding, positions, and an output projection of its own.
    Embedding,
    /// Anything in an attention, value and output projection included.
    Attention,
    /// Feed-forward layers and norms.
    Other,
}

/// One tensor of a model.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in `model.safetensors`.
    pub name: String,
    /// The tensor itself; the layers hold the same one.
    pub tensor: Tensor,
    /// What it belongs to.
    pub role: Role,
    /// Whether weight decay pulls it towards 0: what starts at random and has two or more axes, so no gains, no
    /// biases, and no mixture's weights, whatever their shape.
    pub decays: bool,
}

/// How a tensor starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform between minus this limit and the limit.
    Uniform(f64),
    /// The weights of a linear layer, as [`Parameters::start_projections`] says for its numbers.
    Projection(Projected),
}

/// What the start of a linear layer's weights follows from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Projected {
    /// Entries that each output reads.
    pub inputs: i64,
    /// Entries that it gives.
    pub outputs: i64,
    /// Layers whose outputs a residual stream collects, where this is one of them; else 1.
    pub summands: i64,
}

/// All tensors of a model, in the order in which its layers made them.
#[derive(Debug)]
pub struct Parameters {
    list: Vec<Parameter>,
    seed: u64,
    device: Device,
    kind: Kind,
    projections: fn(Projected) -> Init,
}

impl Parameters {
    /// An empty list, whose tensors will live on `device` in `kind` and start from `seed`.
    pub fn new(seed: u64, device: Device, kind: Kind) -> Self {
        let projections = |layer: Projected| Init::Normal((layer.inputs as f64).powf(-0.5));
        Self { list: Vec::new(), seed, device, kind, projections }
    }

    /// How linear layers start; normal with the standard deviation inputs^−½ if never set.
    pub fn start_projections(&mut self, start: fn(Projected) -> Init) {
        self.projections = start;
    }

    /// The root, from which layers name their tensors.
    pub fn root(&mut self) -> Scope<'_> {
        Scope { parameters: self, prefix: String::new(), role: Role::Other }
    }

    /// The tensors in order.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter()
    }

    /// The trained tensors in order.
    pub fn trainable(&self) -> impl Iterator<Item = &Parameter> {
        self.list.iter().filter(|parameter| parameter.tensor.requires_grad())
    }

    /// The tensors with their names, in order.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        self.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.shallow_clone())).collect()
    }

    /// The device of all tensors.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Numbers of elements.
    pub fn counts(&self) -> ParameterCounts {
        let mut counts = ParameterCounts { total: 0, trainable: 0, attention: 0, embedding: 0 };
        for parameter in &self.list {
            let elements = parameter.tensor.numel() as u64;
            counts.total += elements;
            if parameter.tensor.requires_grad() {
                counts.trainable += elements;
            }
            match parameter.role {
                Role::Embedding => counts.embedding += elements,
                Role::Attention => counts.attention += elements,
                Role::Other => {}
            }
        }
        counts
    }
}

/// A place in a model's tree of names.
pub struct Scope<'a> {
    parameters: &'a mut Parameters,
    prefix: String,
    role: Role,
}

impl Scope<'_> {
    /// The place `name` below this one.
    pub fn enter(&mut self, name: impl std::fmt::Display) -> Scope<'_> {
        Scope { prefix: format!("{}{name}.", self.prefix), role: self.role, parameters: self.parameters }
    }

    /// The same place, whose tensors are counted under `role`.
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// The name of this place.
    pub fn name(&self) -> &str {
        self.prefix.trim_end_matches('.')
    }

    /// All tensors of the model so far.
    pub fn parameters(&self) -> &Parameters {
        self.parameters
    }

    /// A new trained tensor. Its start depends on the model's seed and its full name only, so that models
    /// that differ in one part start alike in all others.
    pub fn tensor(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.place(name, shape, init, true)
    }

    /// A new tensor that is stored and counted with the others, and stays as it starts.
    pub fn frozen(&mut self, name: &str, shape: &[i64], init: Init) -> Tensor {
        self.place(name, shape, init, false)
    }

    fn place(&mut self, name: &str, shape: &[i64], init: Init, trained: bool) -> Tensor {
        let name = format!("{}{name}", self.prefix);
        let Parameters { seed, device, kind, projections, .. } = *self.parameters;
        let decays = shape.len() >= 2 && !matches!(init, Init::Zeros | Init::Ones);
        let init = match init {
            Init::Projection(layer) => projections(layer),
            init => init,
        };
        let tensor = initial(seed, &name, shape, init, kind).to_device(device).set_requires_grad(trained);
        let held = tensor.shallow_clone();
        self.parameters.list.push(Parameter { name, tensor, role: self.role, decays });
        held
    }
}

/// Numbers that are drawn before they are rounded and stored: a large table never stands there in float64.
const DRAWN_AT_ONCE: i64 = 1 << 16;

/// Starting values on the CPU, drawn in float64, the same on every machine and for every version of libtorch.
fn initial(seed: u64, name: &str, shape: &[i64], init: Init, kind: Kind) -> Tensor {
    let options = (kind, Device::Cpu);
    match init {
        Init::Zeros => Tensor::zeros(shape, options),
        Init::Ones => Tensor::ones(shape, options),
        Init::Projection(_) => unreachable!("a projection's start is one of the others"),
        Init::Normal(std) => {
            drawn(seed, name, shape, kind, |generator| std * Distribution::<f64>::sample(&StandardNormal, generator))
        }
        Init::Uniform(limit) => drawn(seed, name, shape, kind, |generator| {
            limit * (2.0 * Distribution::<f64>::sample(&StandardUniform, generator) - 1.0)
        }),
    }
}

/// A tensor of draws, row by row, from the generator of its name.
fn drawn(seed: u64, name: &str, shape: &[i64], kind: Kind, mut draw: impl FnMut(&mut ChaCha8Rng) -> f64) -> Tensor {
    let mut generator = ChaCha8Rng::seed_from_u64(randomness::derive(seed, &format!("init {name}"), &[]));
    let tensor = Tensor::empty(shape, (kind, Device::Cpu));
    let (flat, count) = (tensor.view([-1]), shape.iter().product::<i64>());
    for start in (0..count).step_by(DRAWN_AT_ONCE as usize) {
        let length = DRAWN_AT_ONCE.min(count - start);
        let values = (0..length).map(|_| draw(&mut generator)).collect::<Vec<f64>>();
        flat.narrow(0, start, length).copy_(&Tensor::from_slice(&values));
    }
    tensor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_depends_on_seed_and_name_only() {
        let make = |seed, others: &[&str]| {
            let mut parameters = Parameters::new(seed, Device::Cpu, Kind::Float);
            for name in others {
                let _ = parameters.root().tensor(name, &[3], Init::Normal(1.0));
            }
            parameters.root().enter("block").tensor("weight", &[2, 3], Init::Normal(1.0))
        };
        assert_eq!(make(1, &[]), make(1, &["a", "b"]));
        assert_ne!(make(1, &[]), make(2, &[]));
    }

    #[test]
    fn the_standard_deviation_is_kept() {
        let values = initial(1, "x", &[1000, 100], Init::Normal(0.02), Kind::Double);
        approx::assert_abs_diff_eq!(values.std(true).double_value(&[]), 0.02, epsilon = 0.0002);
        approx::assert_abs_diff_eq!(values.mean(Kind::Double).double_value(&[]), 0.0, epsilon = 0.0003);
    }

    #[test]
    fn uniform_draws_fill_their_interval() {
        let values = initial(1, "x", &[1000, 100], Init::Uniform(0.3), Kind::Double);
        let [least, most] = [values.min(), values.max()].map(|value| value.double_value(&[]));
        assert!((-0.3..-0.2999).contains(&least) && 0.2999 < most && most < 0.3, "{least} {most}");
        approx::assert_abs_diff_eq!(values.mean(Kind::Double).double_value(&[]), 0.0, epsilon = 0.002);
        approx::assert_abs_diff_eq!(values.std(true).double_value(&[]), 0.3 / 3f64.sqrt(), epsilon = 0.001);
    }

    #[test]
    fn counts_follow_roles() {
        let mut parameters = Parameters::new(1, Device::Cpu, Kind::Float);
        let mut root = parameters.root();
        let _ = root.enter("embedding").with_role(Role::Embedding).tensor("weight", &[5, 2], Init::Zeros);
        let _ = root.enter("attention").with_role(Role::Attention).enter("query").tensor("weight", &[2, 2], Init::Ones);
        let _ = root.tensor("bias", &[7], Init::Zeros);
        let counts = ParameterCounts { total: 21, trainable: 21, attention: 4, embedding: 10 };
        assert_eq!(parameters.counts(), counts);
        assert_eq!(parameters.named()[1].0, "attention.query.weight");
    }
}
