//! AdamW (arXiv 1711.05101).

use crate::config::Config;
use crate::folder::Tensor;
use crate::moments::Moments;

/// `[optimizer]` of kind `adamw`.
pub struct AdamW {
    betas: Vec<f64>,
    eps: f64,
}

impl AdamW {
    /// That of a resolved experiment.
    pub fn new(config: &Config) -> Self {
        Self {
            betas: config.numbers("optimizer.betas").expect("two betas"),
            eps: config.required_number("optimizer.eps"),
        }
    }

    /// What an update, counted from 1, takes from a tensor.
    pub fn step(
        &self,
        moments: &mut Moments,
        name: &str,
        tensor: &Tensor,
        gradient: &[f64],
        at: (f64, usize),
    ) -> Vec<f64> {
        let (rate, update) = at;
        let mut unbiased = |kind: &str, beta: f64, values: Vec<f64>| {
            let moment = moments.of(kind, name, &tensor.shape);
            moment.iter_mut().zip(values).for_each(|(moment, value)| *moment = beta * *moment + (1.0 - beta) * value);
            let share = 1.0 - beta.powi(i32::try_from(update).expect("few updates"));
            moment.iter().map(|moment| moment / share).collect::<Vec<f64>>()
        };
        let first = unbiased("first_moment", self.betas[0], gradient.to_vec());
        let second = unbiased("second_moment", self.betas[1], gradient.iter().map(|g| g * g).collect());
        first.iter().zip(second).map(|(first, second)| rate * first / (second.sqrt() + self.eps)).collect()
    }
}
