//! The optimizer: rates, clipping and AdamW.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::folder::Tensor;

/// Values by the names of their tensors.
pub type Values = BTreeMap<String, Vec<f64>>;

/// `[optimizer]`.
pub struct Settings {
    lr: f64,
    betas: Vec<f64>,
    eps: f64,
    weight_decay: f64,
    clip_norm: f64,
    schedule: String,
    warmup: f64,
    final_fraction: f64,
    steps: f64,
}

impl Settings {
    /// Those of a resolved experiment of so many updates.
    pub fn new(config: &Config, steps: usize) -> Self {
        Self {
            lr: config.required_number("optimizer.lr"),
            betas: config.numbers("optimizer.betas").expect("two betas"),
            eps: config.required_number("optimizer.eps"),
            weight_decay: config.required_number("optimizer.weight_decay"),
            clip_norm: config.required_number("optimizer.clip_norm"),
            schedule: config.required_text("optimizer.schedule.kind").to_owned(),
            warmup: config.required_number("optimizer.schedule.warmup"),
            final_fraction: config.required_number("optimizer.schedule.final_fraction"),
            steps: steps as f64,
        }
    }

    /// The learning rate of an update, counted from 1.
    pub fn rate(&self, step: usize) -> f64 {
        let step = step as f64;
        if step <= self.warmup {
            return self.lr * step / self.warmup;
        }
        let share = match self.schedule.as_str() {
            "constant" => 1.0,
            "inverse-sqrt" => (self.warmup / step).sqrt(),
            "cosine" => {
                let progress = (step - self.warmup) / (self.steps - self.warmup);
                let wave = (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0;
                self.final_fraction + (1.0 - self.final_fraction) * wave
            }
            schedule => panic!("a documented schedule, found {schedule}"),
        };
        self.lr * share
    }
}

/// The weights, and AdamW's moments of them.
pub struct State {
    /// The weights.
    pub weights: BTreeMap<String, Tensor>,
    /// The running means of the gradient.
    pub first_moment: Values,
    /// The running means of its square.
    pub second_moment: Values,
}

impl State {
    /// Weights before the first update.
    pub fn new(weights: BTreeMap<String, Tensor>) -> Self {
        let zeros: Values =
            weights.iter().map(|(name, tensor)| (name.clone(), vec![0.0; tensor.values.len()])).collect();
        Self { weights, first_moment: zeros.clone(), second_moment: zeros }
    }

    /// One update, counted from 1. Returns the gradient's norm before clipping.
    pub fn update(&mut self, settings: &Settings, step: usize, gradient: &Values) -> f64 {
        let norm = gradient.values().flatten().map(|g| g * g).sum::<f64>().sqrt();
        let clipped = if settings.clip_norm > 0.0 { (settings.clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
        for (name, gradient) in gradient {
            let gradient: Vec<f64> = gradient.iter().map(|g| g * clipped).collect();
            self.update_tensor(settings, step, name, &gradient);
        }
        norm
    }

    fn update_tensor(&mut self, settings: &Settings, step: usize, name: &str, gradient: &[f64]) {
        let tensor = self.weights.get_mut(name).expect("a weight per gradient");
        let first = self.first_moment.get_mut(name).expect("a first moment");
        let second = self.second_moment.get_mut(name).expect("a second moment");
        let exempt = name.ends_with(".b2") || name.ends_with(".mixture");
        let decay = if tensor.shape.len() >= 2 && !exempt { settings.weight_decay } else { 0.0 };
        let [slow, slower] = [settings.betas[0], settings.betas[1]];
        let unbiased = |beta: f64| 1.0 - beta.powi(i32::try_from(step).expect("few steps"));
        for (index, g) in gradient.iter().enumerate() {
            first[index] = slow * first[index] + (1.0 - slow) * g;
            second[index] = slower * second[index] + (1.0 - slower) * g * g;
            let direction = first[index] / unbiased(slow) / ((second[index] / unbiased(slower)).sqrt() + settings.eps);
            tensor.values[index] -= settings.rate(step) * (direction + decay * tensor.values[index]);
        }
    }
}
