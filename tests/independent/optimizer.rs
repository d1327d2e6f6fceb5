//! An update of all weights: clipping, the optimizer's steps, weight decay and the moving average.

use std::collections::BTreeMap;

use crate::adafactor::Adafactor;
use crate::adamw::AdamW;
use crate::config::Config;
use crate::folder::Tensor;
use crate::moments::Moments;
use crate::schedule::Schedule;
use crate::sgd::Sgd;

/// Values by the names of their tensors.
pub type Values = BTreeMap<String, Vec<f64>>;

/// `[optimizer]`, and `train.ema`.
pub struct Settings {
    rule: Rule,
    /// The rates.
    pub schedule: Schedule,
    weight_decay: f64,
    clip_norm: f64,
    ema: f64,
}

/// `optimizer.kind`.
enum Rule {
    AdamW(AdamW),
    Adafactor(Adafactor),
    Sgd(Sgd),
}

impl Settings {
    /// Those of a resolved experiment of so many updates.
    pub fn new(config: &Config, steps: usize) -> Self {
        let rule = match config.required_text("optimizer.kind") {
            "adamw" => Rule::AdamW(AdamW::new(config)),
            "adafactor" => Rule::Adafactor(Adafactor::new(config)),
            "sgd" => Rule::Sgd(Sgd::new(config)),
            kind => panic!("a documented optimizer, found {kind}"),
        };
        Self {
            rule,
            schedule: Schedule::new(config, steps),
            weight_decay: config.required_number("optimizer.weight_decay"),
            clip_norm: config.required_number("optimizer.clip_norm"),
            ema: config.number_or("train.ema", 0.0),
        }
    }
}

/// The weights, and what is kept of their past.
pub struct State {
    /// The weights.
    pub weights: BTreeMap<String, Tensor>,
    /// The optimizer's moments.
    pub moments: Moments,
    /// The weights' moving average, where there is one.
    pub average: BTreeMap<String, Tensor>,
}

impl State {
    /// Weights before the first update, which are their own average.
    pub fn new(weights: BTreeMap<String, Tensor>) -> Self {
        Self { average: weights.clone(), weights, moments: Moments::default() }
    }

    /// One update, counted from 1. Returns the gradient's norm before clipping.
    pub fn update(&mut self, settings: &Settings, update: usize, gradient: &Values) -> f64 {
        let norm = gradient.values().flatten().map(|g| g * g).sum::<f64>().sqrt();
        let clipped = if settings.clip_norm > 0.0 { (settings.clip_norm / (norm + 1e-6)).min(1.0) } else { 1.0 };
        for (name, gradient) in gradient {
            let gradient: Vec<f64> = gradient.iter().map(|g| g * clipped).collect();
            self.update_tensor(settings, update, name, &gradient);
        }
        norm
    }

    fn update_tensor(&mut self, settings: &Settings, update: usize, name: &str, gradient: &[f64]) {
        let tensor = self.weights.get_mut(name).expect("a weight per gradient");
        let (moments, rate) = (&mut self.moments, settings.schedule.rate(update));
        let step = match &settings.rule {
            Rule::AdamW(adamw) => adamw.step(moments, name, tensor, gradient, (rate, update)),
            Rule::Adafactor(adafactor) => adafactor.step(moments, name, tensor, gradient, (rate, update)),
            Rule::Sgd(sgd) => sgd.step(moments, name, tensor, gradient, rate),
        };
        let exempt = name.ends_with(".b2") || name.ends_with(".mixture");
        let decay = if tensor.shape.len() >= 2 && !exempt { settings.weight_decay } else { 0.0 };
        for (weight, step) in tensor.values.iter_mut().zip(step) {
            *weight -= step + rate * decay * *weight;
        }
        let average = self.average.get_mut(name).expect("an average per weight");
        for (average, weight) in average.values.iter_mut().zip(&tensor.values) {
            *average = settings.ema * *average + (1.0 - settings.ema) * weight;
        }
    }
}
