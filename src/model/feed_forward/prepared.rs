//! The feed-forward layer of a step: its weights no longer change.

use super::FeedForward;
use crate::attention::linear::Linear;
use crate::model::options::Activation;
use tch::{Kind, Tensor};

/// A feed-forward layer with its weights in the kind of computation.
///
/// The second product adds its result to the residual stream. So that it adds b₂ as well, one more hidden unit is
/// always 16, whatever the input, and its row of weights is b₂ / 16.
pub struct PreparedFeedForward {
    input: Linear,
    output: Linear,
    activation: Activation,
}

/// What every activation maps to itself, exactly in every kind of number, and what is divided by without rounding.
const CONSTANT: f64 = 16.0;
/// Products want widths that are multiples of it.
const ALIGNMENT: i64 = 8;

impl PreparedFeedForward {
    /// The layer with its weights in `compute`.
    pub fn new(layer: &FeedForward, compute: Kind) -> Self {
        let (first, second) = (layer.input.weight(), layer.output.weight());
        let (Some(first_bias), Some(second_bias)) = (layer.input.bias(), layer.output.bias()) else {
            let [input, output] = [&layer.input, &layer.output].map(|projection| Linear::of(projection, compute));
            return Self { input, output, activation: layer.activation };
        };
        let more = ALIGNMENT - first.size()[0] % ALIGNMENT;
        let padded = first_bias.constant_pad_nd([0, more]);
        let _ = padded.narrow(0, first.size()[0], 1).fill_(CONSTANT);
        let second = Tensor::cat(&[second, &(second_bias / CONSTANT).unsqueeze(1)], 1);
        let second = second.constant_pad_nd([0, more - 1]);
        Self {
            input: Linear::new(&first.constant_pad_nd([0, 0, 0, more]), Some(&padded), compute),
            output: Linear::new(&second, None, compute),
            activation: layer.activation,
        }
    }

    /// Adds what the layer makes of `x` `[rows, d_model]` to `stream`.
    pub fn add_to(&self, stream: &mut Tensor, x: &Tensor) {
        let hidden = match self.activation {
            Activation::Relu => self.input.forward_relu(x),
            Activation::Gelu => self.input.forward(x).gelu("none"),
            Activation::GeluTanh => self.input.forward(x).gelu("tanh"),
        };
        self.output.add_to(stream, &hidden);
    }
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
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh] {
            for (bias, d_ff) in [(true, 16), (true, 13), (false, 13)] {
                let options = ModelOptions { d_model: 6, d_ff: Some(d_ff), bias, activation, ..Default::default() };
                let mut parameters = Parameters::new(1, Device::Cpu, Kind::Double);
                let layer = FeedForward::new(parameters.root().enter("layer"), &options, 1.0);
                for (seed, bias) in [&layer.input, &layer.output].into_iter().filter_map(|p| p.bias()).enumerate() {
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
