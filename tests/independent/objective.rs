//! What training minimises: the negative log-likelihood, smoothed targets, and the square of the logarithm of what
//! the softmax divides by.

use crate::config::Config;
use crate::measure::Block;
use crate::model::{Model, logarithm_of_sum, sum};
use crate::number::Number;

/// Its choices.
#[derive(Clone, Copy)]
pub struct Objective {
    /// `train.label_smoothing`: the share of the target distribution that all tokens have alike.
    pub smoothing: f64,
    /// `train.z_loss`.
    pub z_loss: f64,
}

impl Objective {
    /// That of a resolved experiment.
    pub fn new(config: &Config) -> Self {
        let [smoothing, z_loss] =
            ["label_smoothing", "z_loss"].map(|key| config.number_or(&format!("train.{key}"), 0.0));
        Self { smoothing, z_loss }
    }

    /// Whether it is another figure than the loss.
    pub fn differs(self) -> bool {
        self.smoothing != 0.0 || self.z_loss != 0.0
    }

    /// The objective of one target: the cross-entropy of the smoothed distribution, and the z-loss.
    fn of<S: Number>(self, logits: &[S], target: usize) -> S {
        let total = logarithm_of_sum(logits);
        let alike = self.smoothing / logits.len() as f64;
        let entropy = |(token, logit): (usize, &S)| {
            let share = if token == target { 1.0 - self.smoothing + alike } else { alike };
            if share == 0.0 { S::from(0.0) } else { S::from(share) * (total - *logit) }
        };
        sum(logits.iter().enumerate().map(entropy)) + S::from(self.z_loss) * total * total
    }

    /// The mean objective over all targets of some blocks, and their mean negative log-likelihood.
    pub fn mean<S: Number>(self, model: &Model<S>, blocks: &[Block<'_>]) -> (S, f64) {
        let (mut objective, mut nats, mut targets) = (S::from(0.0), 0.0, 0.0);
        for block in blocks {
            for (logits, target) in model.logits(*block).iter().zip(block.targets) {
                objective = objective + self.of(logits, *target);
                nats += (logarithm_of_sum(logits) - logits[*target]).value();
                targets += 1.0;
            }
        }
        (objective / S::from(targets), nats / targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_objective_is_that_worked_out_by_hand() {
        // Probabilities 1/8, 2/8 and 5/8; the sum of the exponentials is 8.
        let logits = [1.0f64, 2.0, 5.0].map(f64::ln);
        let of = |smoothing, z_loss| Objective { smoothing, z_loss }.of(&logits, 1);
        let [first, second, third] = [8.0f64, 4.0, 1.6].map(f64::ln);
        let agree = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-15, "{found} against {expected}");
        agree(of(0.0, 0.0), second);
        agree(of(0.3, 0.0), 0.1 * first + 0.8 * second + 0.1 * third);
        agree(of(0.0, 0.5), second + 0.5 * first * first);
        // Said otherwise: (1 − e)·nll + e·(lse − mean logit) + z·lse².
        let mean = logits.iter().sum::<f64>() / 3.0;
        agree(of(0.2, 0.1), 0.8 * second + 0.2 * (first - mean) + 0.1 * first * first);
    }
}
