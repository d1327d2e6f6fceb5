//! A feed-forward layer without its last bias: product, bias, activation, dropout, product.

use super::activation::{Activation, bias_activation};
use super::dropout::Draw;
use super::feed_forward_products::Products;
use super::gated_activation::gated_activation;
use super::multiply::{multiply, multiply_wide};
use super::narrow::NarrowCopies;
use super::product::{narrow, product, product_relu};
use crate::libtorch::autograd::attach_backward;
use tch::{Kind, Tensor, no_grad};

/// What is learned.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// `[hidden, in]`.
    pub input: &'a Tensor,
    /// `[hidden]`.
    pub bias: Option<&'a Tensor>,
    /// `[out, hidden]`.
    pub output: &'a Tensor,
}

/// What is learned of a gated layer.
#[derive(Debug, Clone, Copy)]
pub struct GatedWeights<'a> {
    /// `[hidden, in]`, of the gate and of what it multiplies.
    pub inputs: [&'a Tensor; 2],
    /// `[hidden]` each.
    pub biases: Option<[&'a Tensor; 2]>,
    /// `[out, hidden]`.
    pub output: &'a Tensor,
}

/// `W₂·dropout(activation(W₁x + b))` of `x` `[rows, in]` in the kind of computation: `[rows, out]` in the same.
///
/// With relu in bfloat16 on Hopper the work between the products is part of them, where sizes suit (see `Products`).
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn feed_forward(
    x: &Tensor,
    weights: Weights<'_>,
    activation: Activation,
    draw: Option<Draw>,
    copies: Option<&NarrowCopies>,
) -> Tensor {
    match products(x, weights, activation).filter(Products::fill_the_card) {
        Some(products) => with_products(&products, x, weights, draw, copies),
        None => in_parts(x, weights, activation, draw, copies),
    }
}

/// `W₂·dropout(silu(W_g x + b_g) · (W₁x + b₁))` (SwiGLU, arXiv 2002.05202), arguments and result as in [`feed_forward`].
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn gated_feed_forward(
    x: &Tensor,
    weights: GatedWeights<'_>,
    draw: Option<Draw>,
    copies: Option<&NarrowCopies>,
) -> Tensor {
    let hidden = gated_activation(&product(x, &weights.inputs, copies), weights.biases, draw);
    product(&hidden, &[weights.output], copies)
}

fn in_parts(
    x: &Tensor,
    weights: Weights<'_>,
    activation: Activation,
    draw: Option<Draw>,
    copies: Option<&NarrowCopies>,
) -> Tensor {
    let hidden = match (activation, weights.bias, &draw) {
        (Activation::Relu, Some(bias), None) => product_relu(x, weights.input, bias, copies),
        _ => bias_activation(product(x, &[weights.input], copies), weights.bias, activation, draw),
    };
    product(&hidden, &[weights.output], copies)
}

/// The kernels, where they cover the layer.
fn products(x: &Tensor, weights: Weights<'_>, activation: Activation) -> Option<Products> {
    let float = weights.bias.is_none_or(|bias| bias.kind() == Kind::Float);
    let square = weights.output.size()[0] == weights.input.size()[1];
    if activation != Activation::Relu || !float || !square {
        return None;
    }
    Products::of(x, weights.input.size()[0])
}

/// Keeps x, the hidden numbers and a bit for each of them.
fn with_products(
    products: &Products,
    x: &Tensor,
    weights: Weights<'_>,
    draw: Option<Draw>,
    copies: Option<&NarrowCopies>,
) -> Tensor {
    let kinds = [weights.input, weights.output].map(Tensor::kind);
    let [first, second] = no_grad(|| [weights.input, weights.output].map(|weight| narrow(&[weight], x.kind(), copies)));
    let [first, second, rows] = [first, second, x.detach()].map(|x| aligned(&x));
    let (output, hidden, bits) = no_grad(|| {
        let bias = weights.bias.map(|bias| aligned(&bias.detach()));
        let (hidden, bits) = products.up(&rows, &first, bias.as_ref(), draw.as_ref());
        (multiply(&hidden, &second.tr()), hidden, bits)
    });
    let (products, scale) = (products.clone(), draw.map_or(1.0, |draw| draw.scale()));
    let biased = weights.bias.is_some();
    let backward = move |upstream: &[Tensor]| {
        no_grad(|| {
            let upstream = aligned(&upstream[0]);
            let of_second = multiply_wide(&upstream.tr(), &hidden).to_kind(kinds[1]);
            let (of_hidden, of_bias) = products.down(&upstream, &second, &bits, scale, biased);
            let of_first = multiply_wide(&of_hidden.tr(), &rows).to_kind(kinds[0]);
            let of_x = multiply(&of_hidden, &first);
            [Some(of_x), Some(of_first)].into_iter().chain(of_bias.map(Some)).chain([Some(of_second)]).collect()
        })
    };
    let inputs = [Some(x), Some(weights.input), weights.bias, Some(weights.output)];
    let inputs: Vec<&Tensor> = inputs.into_iter().flatten().collect();
    let output = output.detach();
    attach_backward(&inputs, &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
    output
}

/// The numbers in one piece from an address on that 16 divides, as the kernels ask.
fn aligned(x: &Tensor) -> Tensor {
    let x = x.contiguous();
    if (x.data_ptr() as usize).is_multiple_of(16) { x } else { x.copy() }
}

#[cfg(test)]
mod tests;
