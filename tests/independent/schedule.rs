//! The learning rate of each update.

use std::f64::consts::PI;

use crate::config::Config;

/// `[optimizer.schedule]`.
pub struct Schedule {
    kind: String,
    peak: f64,
    warmup: f64,
    warmup_start: f64,
    final_fraction: f64,
    steps: f64,
}

impl Schedule {
    /// That of a resolved experiment of so many updates.
    pub fn new(config: &Config, steps: usize) -> Self {
        let key = |key: &str| config.required_number(&format!("optimizer.schedule.{key}"));
        let warmup = key("warmup");
        let scaled = |constant: f64| constant / (config.required_number("model.d_model") * warmup).sqrt();
        Self {
            kind: config.required_text("optimizer.schedule.kind").to_owned(),
            peak: config.number("optimizer.schedule.constant").map_or(config.required_number("optimizer.lr"), scaled),
            warmup,
            warmup_start: config.number_or("optimizer.schedule.warmup_start", 0.0),
            final_fraction: key("final_fraction"),
            steps: steps as f64,
        }
    }

    /// The rate of an update, counted from 1.
    pub fn rate(&self, update: usize) -> f64 {
        let update = update as f64;
        if self.kind == "one-cycle" {
            return self.one_cycle(update - 1.0);
        }
        if update < self.warmup {
            return self.peak * (self.warmup_start + (1.0 - self.warmup_start) * update / self.warmup);
        }
        let progress = (update - self.warmup) / (self.steps - self.warmup);
        let falling = |left: f64| self.final_fraction + (1.0 - self.final_fraction) * left;
        let share = match self.kind.as_str() {
            "constant" => 1.0,
            "linear" => falling(1.0 - progress),
            "cosine" => falling((1.0 + (PI * progress).cos()) / 2.0),
            "inverse-sqrt" => (self.warmup.max(1.0) / update).sqrt(),
            kind => panic!("a documented schedule, found {kind}"),
        };
        self.peak * share
    }

    /// As PyTorch's OneCycleLR, whose updates count from 0.
    fn one_cycle(&self, update: f64) -> f64 {
        let [top, end] = [self.warmup - 1.0, self.steps - 1.0];
        let wave = |from: f64, to: f64, share: f64| to + (from - to) / 2.0 * (1.0 + (PI * share).cos());
        if update <= top {
            wave(self.peak / 25.0, self.peak, if top == 0.0 { 1.0 } else { update / top })
        } else {
            wave(self.peak, self.peak / 250_000.0, (update - top) / (end - top))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates of all updates, for a peak of 1.
    fn rates(kind: &str, warmup: f64, warmup_start: f64, steps: usize) -> Vec<f64> {
        let kind = kind.to_owned();
        let schedule = Schedule { kind, peak: 1.0, warmup, warmup_start, final_fraction: 0.2, steps: steps as f64 };
        (1..=steps).map(|update| schedule.rate(update)).collect()
    }

    fn agree(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        let near = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12);
        assert!(near, "{found:?} against {expected:?}");
    }

    #[test]
    fn the_rates_are_those_worked_out_by_hand() {
        agree(&rates("constant", 4.0, 0.0, 5), &[0.25, 0.5, 0.75, 1.0, 1.0]);
        agree(&rates("constant", 4.0, 0.2, 4), &[0.4, 0.6, 0.8, 1.0]);
        agree(&rates("linear", 2.0, 0.0, 6), &[0.5, 1.0, 0.8, 0.6, 0.4, 0.2]);
        agree(&rates("linear", 0.0, 0.0, 2), &[0.6, 0.2]);
        agree(&rates("cosine", 1.0, 0.0, 5), &[1.0, 0.6 + 0.4 * 0.5f64.sqrt(), 0.6, 0.6 - 0.4 * 0.5f64.sqrt(), 0.2]);
        agree(&rates("inverse-sqrt", 1.0, 0.0, 4), &[1.0, 0.5f64.sqrt(), (1.0f64 / 3.0).sqrt(), 0.5]);
        agree(&rates("inverse-sqrt", 0.0, 0.0, 1), &[1.0]);
    }

    #[test]
    fn one_cycle_is_that_of_pytorch() {
        // OneCycleLR(max_lr=1, total_steps=7, pct_start=3/7), whose first phase ends at 3/7 · 7 − 1 = 2.
        let [low, last] = [0.04, 4e-6];
        let fall = |share: f64| last + (1.0 - last) * share;
        let slope = 0.5f64.sqrt() / 2.0;
        agree(
            &rates("one-cycle", 3.0, 0.5, 7),
            &[low, 0.52, 1.0, fall(0.5 + slope), fall(0.5), fall(0.5 - slope), last],
        );
        agree(&rates("one-cycle", 1.0, 0.0, 3), &[1.0, fall(0.5), last]);
    }

    #[test]
    fn tensor2tensors_constant_takes_the_place_of_the_rate() {
        let config = Config::parse(
            "model.d_model = 16\noptimizer.lr = 9.0\noptimizer.schedule = { kind = \"inverse-sqrt\", warmup = 4, \
             warmup_start = 0.0, final_fraction = 0.1, constant = 2.0 }",
        );
        let schedule = Schedule::new(&config, 20);
        agree(&[1, 4, 16].map(|update| schedule.rate(update)), &[0.0625, 0.25, 0.125]);
    }
}
