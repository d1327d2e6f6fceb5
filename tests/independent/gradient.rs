//! Gradients by all weights at once.

use std::collections::BTreeMap;

use crate::folder::Tensor;
use crate::measure::Block;
use crate::model::Model;
use crate::number::Number;
use crate::objective::Objective;
use crate::optimizer::Values;
use crate::plan::Plan;
use crate::shapes::trained;
use crate::tape::{Derivatives, Traced, rewind};

/// The means over all targets of some blocks, and the gradient of the first.
pub struct Descent {
    /// The mean objective.
    pub objective: f64,
    /// The mean negative log-likelihood.
    pub loss: f64,
    /// The objective's derivatives by the trained weights.
    pub gradient: Values,
}

impl Descent {
    /// That of the model with these weights.
    pub fn of(plan: &Plan, weights: &BTreeMap<String, Tensor>, objective: Objective, batch: &[Block]) -> Self {
        rewind();
        let traced = |(name, tensor): (&String, &Tensor)| {
            let number = |x: &f64| if trained(name) { Traced::weight(*x) } else { Traced::from(*x) };
            (name.clone(), tensor.values.iter().map(number).collect())
        };
        let weights = weights.iter().map(traced).collect();
        let model: Model<Traced> = Model { plan: plan.clone(), weights, round: |x| x };
        let (mean, loss) = objective.mean(&model, batch);
        let derivatives = Derivatives::of(mean);
        let by = |weights: &Vec<Traced>| weights.iter().map(|weight| derivatives.by(weight)).collect();
        let gradient = model.weights.iter().filter(|(name, _)| trained(name));
        Self {
            objective: mean.value(),
            loss,
            gradient: gradient.map(|(name, weights)| (name.clone(), by(weights))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::measure::blocks;

    const PLAIN: &str = r#"
        attention.bias = false
        attention.dense = { bias = true, shared_output = false, shared_query = false }
        attention.factorized-random = { rank = 2, init_std = 0.4 }
        attention.random.init_std = 0.4
        attention.fixed-random.init_std = 0.4
        attention.mixture = { weights = "softmax", per = "head" }
        [model]
        layers = 2
        d_model = 4
        heads = 2
        max_length = 5
        residual_stream = "float32"
        bias = true
        tie_embeddings = true
        relative_buckets = 4
        relative_distance = 5
    "#;

    /// Choices of a model: kind, norm, its position, activation, positions and start.
    fn plan([kind, norm, norm_position, activation, positions, init]: [&str; 6]) -> Plan {
        Plan::new(
            &Config::parse(&format!(
                "attention.kind = {kind:?}\n{PLAIN}\nnorm = {norm:?}\nnorm_position = {norm_position:?}\n\
                 activation = {activation:?}\npositions = {positions:?}\ninit = {init:?}"
            )),
            7,
        )
    }

    #[test]
    fn the_gradient_is_the_slope_that_differences_show() {
        for choices in [
            ["vanilla", "rms", "pre", "swiglu", "relative", "xavier"],
            ["fixed-random+dense", "layer", "post", "gelu", "relative", "xavier"],
            ["factorized-random+random", "rms", "post", "gelu-tanh", "learned", "fan-in"],
            ["vanilla", "layer", "post", "swiglu", "sinusoidal", "xavier"],
        ] {
            let plan = plan(choices);
            let tensor = |(name, shape): (String, Vec<usize>)| {
                let values = crate::random::initial(&plan, 3, &name, &shape);
                (name, Tensor { kind: safetensors::Dtype::F64, shape, values })
            };
            let weights: BTreeMap<String, Tensor> = plan.shapes().into_iter().map(tensor).collect();
            let objective = Objective { smoothing: 0.1, z_loss: 0.02 };
            let blocks = blocks(&[1, 4, 2, 6, 3, 0, 5, 5, 2], 5);
            let descent = Descent::of(&plan, &weights, objective, &blocks);
            let values = weights.iter().map(|(name, tensor)| (name.clone(), tensor.values.clone())).collect();
            let mut model = Model { plan, weights: values, round: |x| x };
            for (name, gradient) in &descent.gradient {
                for (index, slope) in gradient.iter().enumerate() {
                    let mut at = |distance: f64| {
                        model.weights.get_mut(name).expect("a weight")[index] = weights[name].values[index] + distance;
                        objective.mean(&model, &blocks).0
                    };
                    let difference = (at(1e-6) - at(-1e-6)) / 2e-6;
                    assert_eq!(at(0.0), descent.objective);
                    assert!(
                        (slope - difference).abs() < 1e-7,
                        "{choices:?}, {name}[{index}]: {slope} against {difference}"
                    );
                }
            }
        }
    }
}
