//! Stochastic gradient descent, with or without momentum.

use crate::config::Config;
use crate::folder::Tensor;
use crate::moments::Moments;

/// `[optimizer]` of kind `sgd`.
pub struct Sgd {
    momentum: f64,
    nesterov: bool,
}

impl Sgd {
    /// That of a resolved experiment.
    pub fn new(config: &Config) -> Self {
        Self {
            momentum: config.required_number("optimizer.momentum"),
            nesterov: config.required_choice("optimizer.nesterov"),
        }
    }

    /// What an update takes from a tensor.
    pub fn step(&self, moments: &mut Moments, name: &str, tensor: &Tensor, gradient: &[f64], rate: f64) -> Vec<f64> {
        if self.momentum == 0.0 {
            return gradient.iter().map(|g| rate * g).collect();
        }
        let sum = moments.of("momentum", name, &tensor.shape);
        sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum = self.momentum * *sum + g);
        let ahead = |(sum, g): (&f64, &f64)| if self.nesterov { g + self.momentum * sum } else { *sum };
        sum.iter().zip(gradient).map(ahead).map(|step| rate * step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_steps_are_those_worked_out_by_hand() {
        let weight = Tensor { kind: safetensors::Dtype::F64, shape: vec![1], values: vec![5.0] };
        let steps = |momentum, nesterov| {
            let mut moments = Moments::default();
            let sgd = Sgd { momentum, nesterov };
            [4.0, 8.0, -2.0].map(|g| sgd.step(&mut moments, "w", &weight, &[g], 0.25)[0])
        };
        assert_eq!(steps(0.0, false), [1.0, 2.0, -0.5]);
        assert_eq!(steps(0.5, false), [1.0, 2.5, 0.75]);
        assert_eq!(steps(0.5, true), [1.5, 3.25, -0.125]);
    }
}
