//! The feed-forward layer of a step: its weights no longer change.

use super::FeedForward;
use crate::attention::linear::Linear;
use crate::attention::projection::Projection;
use crate::model::options::Activation;
use tch::{Kind, Tensor};

/// A feed-forward layer with its weights in the kind of computation.
///
/// The second product adds its result to the residual stream. So that it adds b₂ as well, one more hidden unit is
/// always 16, whatever the input, and its row of weights is b₂ / 16.
pub struct PreparedFeedForward {
    /// W₁; of a gated layer W_g and W₁, whose outputs stand side by side.
    input: Linear,
    output: Linear,
    activation: Activation,
}

/// What every activation maps to itself, exactly in every kind of number, and what is divided by without rounding.
const CONSTANT: f64 = 16.0;
/// The same of a gate and of what it multiplies: silu maps the first to itself, and their product is [`CONSTANT`].
const GATED: [f64; 2] = [64.0, 0.25];
/// Products want widths that are multiples of it.
const ALIGNMENT: i64 = 8;

impl PreparedFeedForward {
    /// The layer with its weights in `compute`.
    pub fn new(layer: &FeedForward, compute: Kind) -> Self {
        let inputs: Vec<(&Projection, f64)> = match &layer.gate {
            Some(gate) => vec![(gate, GATED[0]), (&layer.input, GATED[1])],
            None => vec![(&layer.input, CONSTANT)],
        };
        let activation = layer.activation;
        let Some(last_bias) = layer.output.bias() else {
            let projections: Vec<&Projection> = inputs.iter().map(|(projection, _)| *projection).collect();
            return Self {
                input: Linear::joined(&projections, compute),
                output: Linear::of(&layer.output, compute),
                activation,
            };
        };
        let more = ALIGNMENT - layer.input.outputs() % ALIGNMENT;
        let (weights, biases): (Vec<_>, Vec<_>) =
            inputs.into_iter().map(|(projection, constant)| with_constant(projection, constant, more)).unzip();
        let output = Tensor::cat(&[layer.output.weight(), &(last_bias / CONSTANT).unsqueeze(1)], 1);
        Self {
            input: Linear::new(&Tensor::cat(&weights, 0), Some(&Tensor::cat(&biases, 0)), compute),
            output: Linear::new(&output.constant_pad_nd([0, more - 1]), None, compute),
            activation,
        }
    }

    /// Adds what the layer makes of `x` `[rows, d_model]` to `stream`.
    pub fn add_to(&self, stream: &mut Tensor, x: &Tensor) {
        let hidden = match self.activation {
            Activation::Relu => self.input.forward_relu(x),
            Activation::Gelu => self.input.forward(x).gelu("none"),
            Activation::GeluTanh => self.input.forward(x).gelu("tanh"),
            Activation::Swiglu => {
                let halves = self.input.forward(x).chunk(2, 1);
                halves[0].silu() * &halves[1]
            }
        };
        self.output.add_to(stream, &hidden);
    }
}

/// Weights and bias of a projection with `more` outputs, of which the first is `constant` and the others 0.
fn with_constant(projection: &Projection, constant: f64, more: i64) -> (Tensor, Tensor) {
    let bias = projection.bias().expect("the layer's biases are there together").constant_pad_nd([0, more]);
    let _ = bias.narrow(0, projection.outputs(), 1).fill_(constant);
    (projection.weight().constant_pad_nd([0, 0, 0, more]), bias)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Pass;
    use crate::model::options::ModelOptions;
    use crate::parameters::{Init, Parameters};
    use tch::Device;

    #[test]
    fn what_it_adds_is_what_the_layer_gives() {
        let _no_grad = tch::no_grad_guard();
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh, Activation::Swiglu] {
            for (bias, d_ff) in [(true, 16), (true, 13), (false, 13)] {
                let options = ModelOptions { d_model: 6, d_ff: Some(d_ff), bias, activation, ..Default::default() };
                let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
                let layer = FeedForward::new(parameters.root().enter("layer"), &options, 1);
                for (seed, bias) in [Some(&layer.input), layer.gate.as_ref(), Some(&layer.output)]
                    .into_iter()
                    .flatten()
                    .filter_map(|p| p.bias())
                    .enumerate()
                {
                    let mut drawn = Parameters::new(seed as u64, Device::Cpu, Kind::Double);
                    bias.shallow_clone().copy_(&drawn.root().tensor("bias", &bias.size(), Init::Normal(1.0)));
                }
                let draw = |name| {
                    Parameters::new(2, Device::Cpu, Kind::Double).root().tensor(name, &[3, 6], Init::Normal(2.0))
                };
                let (x, before) = (draw("x"), draw("before"));
                for (kind, bound) in [(Kind::Double, 1e-14), (Kind::Float, 1e-5), (Kind::BFloat16, 0.1)] {
                    let (x, before) = (x.to_kind(kind), before.to_kind(kind));
                    let mut stream = before.copy();
                    PreparedFeedForward::new(&layer, kind).add_to(&mut stream, &x);
                    let answer = layer.forward(&x, Pass::evaluation(kind));
                    let expected = before + layer.output_bias().map_or_else(|| answer.copy(), |bias| &answer + bias);
                    let gap = (stream - expected).abs().max().double_value(&[]);
                    assert!(gap < bound, "{activation:?} {bias} {d_ff} {kind:?}: {gap:e}");
                }
            }
        }
    }
}
