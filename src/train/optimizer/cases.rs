//! Updates of small tensors against rules in plain Rust, in float64.

use super::{Gradients, Optimizer};
use crate::libtorch::optimizer::LearningRate;
use crate::parameters::{Init, Parameters};
use crate::train::options::OptimizerOptions;
use tch::{Device, Kind, Tensor};

/// One axis and more, axes of one length among them.
const SHAPES: [&[i64]; 10] =
    [&[5], &[1], &[3], &[3, 2], &[2, 4], &[3, 3], &[4, 2, 3], &[3, 3, 3], &[2, 5, 5], &[5, 2, 4, 5]];
/// The update that is skipped.
const SKIPPED: usize = 3;
const UPDATES: usize = 6;

/// A tensor in plain numbers.
pub struct Plain {
    /// Its place among the others.
    pub number: usize,
    pub shape: Vec<usize>,
    pub numbers: Vec<f64>,
}

/// Takes what a rule takes from a tensor at update `t` = 1, 2, …, weight decay aside: of (tensor, gradient, t, rate).
pub type Reference<'a> = &'a mut dyn FnMut(&Plain, &[f64], usize, f64) -> Vec<f64>;

/// Updates of all shapes by the rule of `options` and by `reference`, with rates of the host and of the device; an update
/// in between is skipped.
pub fn compare(
    options: &OptimizerOptions,
    reference: impl Fn() -> Box<dyn FnMut(&Plain, &[f64], usize, f64) -> Vec<f64>>,
) {
    for on_device in [false, true] {
        let parameters = parameters();
        let optimizer = Optimizer::new(&parameters, options, Kind::Double).unwrap();
        let mut plain: Vec<Plain> = parameters.trainable().enumerate().map(|(i, p)| Plain::of(i, &p.tensor)).collect();
        let mut done = 0;
        let mut reference = reference();
        for update in 1..=UPDATES {
            let gradients: Vec<Vec<f64>> = plain.iter().map(|tensor| gradient(tensor, update)).collect();
            let rate = 0.5_f64.powi(update as i32 + 1); // the same in float32
            let host = Tensor::from(rate as f32);
            let rate_given = if on_device { LearningRate::Device(&host) } else { LearningRate::Host(rate) };
            if update == SKIPPED {
                skip(&optimizer, &parameters, options.clip_norm, rate_given);
                continue;
            }
            let list = plain.iter().zip(&gradients).map(|(tensor, numbers)| tensor.shaped(numbers)).collect();
            let gradients = norm_and_clip(gradients, options.clip_norm);
            let given = Gradients { list, norm: Tensor::from(gradients.1) };
            optimizer.update(&given, options.clip_norm, rate_given, &Tensor::from(0f32)).unwrap();
            done += 1;
            for ((tensor, gradient), parameter) in plain.iter_mut().zip(&gradients.0).zip(parameters.trainable()) {
                let decay = if parameter.decays { options.weight_decay } else { 0.0 };
                tensor.descend(&mut reference, gradient, done, (rate, decay));
                tensor.assert_equal(&parameter.tensor, &format!("update {update} of {options:?}"));
            }
        }
        let state = optimizer.state();
        let (name, updates) = state.last().unwrap();
        assert_eq!((name.as_str(), updates.double_value(&[]), updates.kind()), ("updates", done as f64, Kind::Float));
    }
}

/// An update that is skipped changes no bit of parameters and state, whatever the gradients are.
fn skip(optimizer: &Optimizer, parameters: &Parameters, clip_norm: f64, rate: LearningRate<'_>) {
    let all = || {
        let state = optimizer.state().into_iter().map(|(_, tensor)| tensor);
        let tensors = parameters.trainable().map(|parameter| parameter.tensor.detach()).chain(state);
        tensors.map(|tensor| bits(&tensor)).collect::<Vec<_>>()
    };
    let before = all();
    for wild in [f64::NAN, f64::INFINITY, 1e300] {
        let list = parameters.trainable().map(|parameter| parameter.tensor.detach().full_like(wild)).collect();
        let gradients = Gradients { list, norm: Tensor::from(wild) };
        optimizer.update(&gradients, clip_norm, rate, &Tensor::from(1f32)).unwrap();
        assert!(all() == before, "gradients of {wild}");
    }
}

fn bits(tensor: &Tensor) -> Vec<u64> {
    let numbers = Vec::<f64>::try_from(tensor.to_kind(Kind::Double).contiguous().view([-1])).unwrap();
    numbers.into_iter().map(f64::to_bits).collect()
}

/// Random tensors, of which the first starts at 0.
pub fn parameters() -> Parameters {
    let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
    for (number, shape) in SHAPES.into_iter().enumerate() {
        let init = if number == 0 { Init::Zeros } else { Init::Normal(0.7) };
        let _ = parameters.root().tensor(&format!("t{number}"), shape, init);
    }
    parameters
}

/// Numbers of no pattern; of the third tensor none was reached.
fn gradient(tensor: &Plain, update: usize) -> Vec<f64> {
    let number = |i: usize| ((1 + i * 7 + 31 * tensor.number + 101 * update) as f64).sin() * (1.0 + i as f64 / 9.0);
    (0..tensor.numbers.len()).map(|i| if tensor.number == 2 { 0.0 } else { number(i) }).collect()
}

/// The gradients scaled down to the norm `clip_norm`, and the norm before.
fn norm_and_clip(gradients: Vec<Vec<f64>>, clip_norm: f64) -> (Vec<Vec<f64>>, f64) {
    let norm = gradients.iter().flatten().map(|g| g * g).sum::<f64>().sqrt();
    let factor = if clip_norm > 0.0 { (clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
    (gradients.into_iter().map(|list| list.into_iter().map(|g| g * factor).collect()).collect(), norm)
}

impl Plain {
    fn of(number: usize, tensor: &Tensor) -> Self {
        let numbers = Vec::try_from(tensor.detach().view([-1])).unwrap();
        Self { number, shape: tensor.size().iter().map(|&n| n as usize).collect(), numbers }
    }

    fn shaped(&self, numbers: &[f64]) -> Tensor {
        let shape: Vec<i64> = self.shape.iter().map(|&n| n as i64).collect();
        Tensor::from_slice(numbers).view(shape.as_slice())
    }

    fn descend(&mut self, rule: Reference<'_>, gradient: &[f64], t: usize, (rate, weight_decay): (f64, f64)) {
        let step = rule(self, gradient, t, rate);
        for (theta, step) in self.numbers.iter_mut().zip(step) {
            *theta -= step + rate * weight_decay * *theta;
        }
    }

    fn assert_equal(&self, tensor: &Tensor, what: &str) {
        let found = Vec::<f64>::try_from(tensor.detach().view([-1])).unwrap();
        for (found, expected) in found.iter().zip(&self.numbers) {
            let gap = (found - expected).abs();
            assert!(gap <= 1e-12 * (1.0 + expected.abs()), "{what}, {:?}: {found} and {expected}", self.shape);
        }
    }
}
