//! Bias, activation and dropout between two products.

use super::column_sums::column_sums;
use super::dropout::Draw;
use super::{Launch, Text, new, number, say_plain, takes};
use crate::libtorch::autograd::attach_backward;
use tch::{Kind, Tensor, no_grad};

/// Threads of a block.
const THREADS: i64 = 256;
/// Rows of threads in all, each of which leaves a row of partial sums in the backward pass: some eight blocks a
/// multiprocessor.
const SHARES: i64 = 1056;

/// What is applied to each number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x·Φ(x) (arXiv 1606.08415).
    Gelu,
    /// Its approximation by tanh.
    GeluTanh,
}

/// `dropout(activation(x + bias))` of `x` `[rows, width]`, in x's kind. Nobody else may read `x` afterwards: relu is
/// computed in its place.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn bias_activation(x: Tensor, bias: Option<&Tensor>, activation: Activation, draw: Option<Draw>) -> Tensor {
    match Kernels::of(&x, bias, activation) {
        Some(kernels) => kernels.run(x, bias, draw),
        None => {
            say_plain("bias and activation", &x);
            in_plain_operations(x, bias, activation, draw)
        }
    }
}

/// The same for `x` that holds relu(x + bias) already, as a product that takes both with it leaves it: what is missing is
/// the backward pass.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn after_relu(x: Tensor, bias: Option<&Tensor>) -> Tensor {
    let output = x.detach();
    match Kernels::of(&x, bias, Activation::Relu) {
        Some(kernels) => kernels.attach(&x, output.shallow_clone(), output, bias, None),
        None => attach_relu(&x, output, bias, 1.0),
    }
}

fn in_plain_operations(x: Tensor, bias: Option<&Tensor>, activation: Activation, draw: Option<Draw>) -> Tensor {
    let biased = |x: &Tensor| bias.map_or_else(|| x.shallow_clone(), |bias| (x + bias).to_kind(x.kind()));
    match activation {
        Activation::Relu => relu(x, bias, draw),
        Activation::Gelu => dropped(biased(&x).gelu("none"), draw),
        Activation::GeluTanh => dropped(biased(&x).gelu("tanh"), draw),
    }
}

fn dropped(x: Tensor, draw: Option<Draw>) -> Tensor {
    draw.map_or_else(|| x.shallow_clone(), |draw| draw.apply(&x))
}

/// dropout(relu(x + bias)) that keeps its output only: it is positive exactly where the gradient passes. Plain operations
/// with histories of their own would keep the result of relu, too.
fn relu(x: Tensor, bias: Option<&Tensor>, draw: Option<Draw>) -> Tensor {
    let output = no_grad(|| {
        let x = x.detach();
        let biased = bias.map_or_else(|| x.shallow_clone(), |bias| (&x + bias).to_kind(x.kind()));
        let active = if bias.is_some() { biased.relu() } else { x.shallow_clone().relu_() };
        draw.as_ref().map_or_else(|| active.shallow_clone(), |draw| draw.clear(&active))
    });
    attach_relu(&x, output, bias, draw.map_or(1.0, |draw| draw.scale()))
}

/// `output` with the backward pass of relu and of a dropout with this scale.
fn attach_relu(x: &Tensor, output: Tensor, bias: Option<&Tensor>, scale: f64) -> Tensor {
    let (kept, of_bias) = (output.detach(), bias.map(Tensor::kind));
    let backward = move |upstream: &[Tensor]| {
        no_grad(|| {
            let mut gradient = kept.threshold_backward(&upstream[0], 0.0);
            if scale != 1.0 {
                gradient *= scale;
            }
            let sums = of_bias.map(|kind| gradient.sum_dim_intlist([0i64].as_slice(), false, kind));
            [Some(gradient)].into_iter().chain(sums.map(Some)).collect()
        })
    };
    let inputs: Vec<&Tensor> = [Some(x), bias].into_iter().flatten().collect();
    attach_backward(&inputs, &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
    output
}

/// The kernels for one width and kind.
struct Kernels {
    text: Text,
    rows: i64,
    width: i64,
    activation: Activation,
}

impl Kernels {
    /// `None` for what they do not cover.
    fn of(x: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Option<Self> {
        let &[rows, width] = x.size().as_slice() else { return None };
        let covered = bias.is_none_or(|bias| bias.kind() == Kind::Float) && x.is_contiguous() && rows > 0;
        let number = number(x.kind())?;
        if !covered || !takes(x) {
            return None;
        }
        let macros: [(&str, &dyn std::fmt::Display); 3] =
            [("WIDTH", &width), ("NUMBER", &number), ("ACTIVATION", &(activation as i32))];
        let text = Text::new("activation.cu", include_str!("cuda/activation.cu"), &macros);
        Some(Self { text, rows, width, activation })
    }

    fn run(self, x: Tensor, bias: Option<&Tensor>, draw: Option<Draw>) -> Tensor {
        let (output, kept) = no_grad(|| {
            let given = x.detach();
            let output = if self.activation == Activation::Relu { given.shallow_clone() } else { given.empty_like() };
            let (blocks, threads) = self.grid(i64::MAX);
            Launch::new(&self.text, "bias_activation", blocks, threads)
                .tensor(&given)
                .optional(bias)
                .tensor(&output)
                .int(self.rows)
                .dropout(draw.as_ref())
                .run();
            // Relu's output tells where the gradient passes.
            let kept = if self.activation == Activation::Relu { output.detach() } else { given };
            (output, kept)
        });
        self.attach(&x, output, kept, bias, draw)
    }

    /// `output` with the backward pass, which reads `kept`.
    fn attach(self, x: &Tensor, output: Tensor, kept: Tensor, bias: Option<&Tensor>, draw: Option<Draw>) -> Tensor {
        let output = output.detach();
        let (inputs, kept_bias) = ([Some(x), bias], bias.map(Tensor::detach));
        let inputs: Vec<&Tensor> = inputs.into_iter().flatten().collect();
        let backward = move |upstream: &[Tensor]| {
            let [of_x, of_bias] = no_grad(|| self.backward(&upstream[0], &kept, kept_bias.as_ref(), draw.as_ref()));
            if of_bias.is_some() { vec![of_x, of_bias] } else { vec![of_x] }
        };
        attach_backward(&inputs, &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
        output
    }

    fn backward(
        &self,
        upstream: &Tensor,
        kept: &Tensor,
        bias: Option<&Tensor>,
        draw: Option<&Draw>,
    ) -> [Option<Tensor>; 2] {
        let upstream = upstream.contiguous();
        let gradient = upstream.empty_like();
        let (blocks, threads) = self.grid(SHARES);
        let partial = bias.map(|_| new(&upstream, &[blocks[1] * threads[1], self.width], Kind::Float));
        Launch::new(&self.text, "bias_activation_backward", blocks, threads)
            .tensor(&upstream)
            .tensor(kept)
            .optional(bias)
            .tensor(&gradient)
            .optional(partial.as_ref())
            .int(self.rows)
            .dropout(draw)
            .run();
        let of_bias = partial.map(|partial| {
            let sums = new(&partial, &[self.width], Kind::Float);
            column_sums(&partial, [Some(&sums), None, None]);
            sums
        });
        [Some(gradient), of_bias]
    }

    /// Blocks and threads, (columns, rows), with at most `most` rows of threads.
    fn grid(&self, most: i64) -> ([i64; 3], [i64; 3]) {
        let eights = (self.width + 7) / 8;
        let across = eights.min(THREADS);
        let down = THREADS / across;
        let shares = self.rows.min(most).clamp(1, 4 * SHARES);
        ([(eights + across - 1) / across, (shares + down - 1) / down, 1], [across, down, 1])
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::with_kernels;
    use super::*;
    use crate::kernels::dropout::DropoutKey;
    use crate::libtorch::autograd::backward;
    use tch::Device;

    /// The output and the gradients of x and bias, in float64.
    fn run(
        numbers: [&Tensor; 3],
        kind: Kind,
        activation: Activation,
        with_bias: bool,
        probability: f64,
    ) -> Vec<Tensor> {
        let float = if kind == Kind::Double { Kind::Double } else { Kind::Float };
        let leaf = |x: &Tensor, kind: Kind| x.to_kind(kind).detach().set_requires_grad(true);
        let (x, bias) = (leaf(numbers[0], kind), leaf(numbers[1], float));
        let size = x.size();
        let draw = Draw::new(&DropoutKey::of(Tensor::from_slice(&[3i32, 4])), 9, probability, [size[0], size[1]]);
        let output = bias_activation(&x * 1.0, with_bias.then_some(&bias), activation, draw);
        backward(&[output.shallow_clone()], &[numbers[2].to_kind(kind)]).unwrap();
        let mut found = vec![output, x.grad()];
        if with_bias {
            found.push(bias.grad());
        }
        found.into_iter().map(|tensor| tensor.detach().to_kind(Kind::Double)).collect()
    }

    #[test]
    fn kernels_equal_plain_operations_in_float64() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(2);
        for activation in [Activation::Relu, Activation::Gelu, Activation::GeluTanh] {
            for (kind, rows, width) in
                [(Kind::Float, 37, 64), (Kind::BFloat16, 37, 77), (Kind::Float, 5, 77), (Kind::BFloat16, 70, 2304)]
            {
                for (bias, probability) in [(true, 0.1), (false, 0.3), (true, 0.0)] {
                    let draw = |shape: &[i64]| {
                        Tensor::randn(shape, (Kind::Double, Device::Cpu)).to_kind(kind).to_kind(Kind::Double)
                    };
                    let (x, b, upstream) = (draw(&[rows, width]), draw(&[width]), draw(&[rows, width]));
                    let expected = run([&x, &b, &upstream], Kind::Double, activation, bias, probability);
                    let found = with_kernels(|| run([&x, &b, &upstream], kind, activation, bias, probability));
                    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                        let difference = ((found - expected).abs().max() / expected.abs().max()).double_value(&[]);
                        let bound = if kind == Kind::BFloat16 { 8e-3 } else { 2e-6 };
                        assert!(difference < bound, "{i} differs by {difference}: {activation:?}, {kind:?}, {width}");
                    }
                }
            }
        }
    }
}
