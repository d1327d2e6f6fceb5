//! Products with weights: operands in the kind of computation, the weights' gradient in their own.
//!
//! Under autocast a weight's gradient is rounded to bfloat16 with the product that gives it; here that product gives
//! float32.

use super::activation::{Activation, after_relu, bias_activation};
use super::multiply::{multiply, multiply_relu, multiply_wide};
use super::narrow::NarrowCopies;
use crate::libtorch::autograd::attach_backward;
use tch::{Device, Kind, Tensor, no_grad};

/// `x·Wᵀ` for each of some weights, side by side: `x` `[…, in]` in the kind of computation, each W `[out, in]`. Of one
/// weight `[…, out]`, of several `[…, Σ out]`.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn product(x: &Tensor, weights: &[&Tensor], copies: Option<&NarrowCopies>) -> Tensor {
    let narrowed = x.kind() != weights[0].kind();
    if !narrowed || x.device() == Device::Cpu {
        return match weights {
            [weight] => x.linear(&weight.to_kind(x.kind()), None::<&Tensor>),
            _ => x.linear(&Tensor::cat(weights, 0).to_kind(x.kind()), None::<&Tensor>),
        };
    }
    with_wide_gradient(x, weights, copies, &|rows, weights| multiply(rows, &weights.tr()))
}

/// `relu(x·Wᵀ + bias)` of `x` `[rows, in]` in the kind of computation, W `[out, in]` and the bias `[out]`. Where the
/// product takes bias and relu with it, nothing is rounded before them.
///
/// # Panics
/// As [`product`].
pub fn product_relu(x: &Tensor, weight: &Tensor, bias: &Tensor, copies: Option<&NarrowCopies>) -> Tensor {
    if x.kind() == weight.kind() || x.device() == Device::Cpu {
        return bias_activation(product(x, &[weight], copies), Some(bias), Activation::Relu, None);
    }
    relu_within(x, weight, bias, copies)
}

fn relu_within(x: &Tensor, weight: &Tensor, bias: &Tensor, copies: Option<&NarrowCopies>) -> Tensor {
    let forward = |rows: &Tensor, weight: &Tensor| multiply_relu(rows, &weight.tr(), &bias.detach());
    after_relu(with_wide_gradient(x, &[weight], copies, &forward), Some(bias))
}

/// The same where weights have another kind than x: what `forward` makes of x `[rows, in]` and the weights in its kind,
/// with the gradients of their product.
fn with_wide_gradient(
    x: &Tensor,
    weights: &[&Tensor],
    copies: Option<&NarrowCopies>,
    forward: &dyn Fn(&Tensor, &Tensor) -> Tensor,
) -> Tensor {
    let narrow = no_grad(|| narrow(weights, x.kind(), copies)); // [Σ out, in]
    let rows = x.detach().contiguous().view([-1, narrow.size()[1]]); // [rows, in]
    let output = no_grad(|| forward(&rows, &narrow));
    let (kind, counts) = (weights[0].kind(), weights.iter().map(|weight| weight.size()[0]).collect::<Vec<_>>());
    let (shape, kept) = (x.size(), output.size()[1]);
    let backward = move |upstream: &[Tensor]| {
        no_grad(|| {
            let upstream = upstream[0].contiguous().view([-1, kept]);
            let of_x = multiply(&upstream, &narrow).view(shape.as_slice());
            let of_weights = multiply_wide(&upstream.tr(), &rows).to_kind(kind);
            let parts = of_weights.split_with_sizes(counts.as_slice(), 0);
            [Some(of_x)].into_iter().chain(parts.into_iter().map(Some)).collect()
        })
    };
    let mut size = x.size();
    if let Some(last) = size.last_mut() {
        *last = kept;
    }
    let output = output.view(size.as_slice()).detach();
    let inputs: Vec<&Tensor> = [x].into_iter().chain(weights.iter().copied()).collect();
    attach_backward(&inputs, &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
    output
}

/// The weights in `kind`, one below the other: the optimizer's copies where it keeps them.
pub(super) fn narrow(weights: &[&Tensor], kind: Kind, copies: Option<&NarrowCopies>) -> Tensor {
    let kept = copies.and_then(|copies| copies.joined(weights)).filter(|copy| copy.kind() == kind);
    kept.unwrap_or_else(|| match weights {
        [weight] => weight.detach().to_kind(kind),
        _ => Tensor::cat(&weights.iter().map(|weight| weight.detach()).collect::<Vec<_>>(), 0).to_kind(kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libtorch::autograd::backward;

    /// Output and gradients of x and two weights.
    fn run(numbers: &[Tensor], multiply: &dyn Fn(&Tensor, &[&Tensor]) -> Tensor) -> Vec<Tensor> {
        let leaf = |i: usize| numbers[i].copy().set_requires_grad(true);
        let (x, first, second) = (leaf(0), leaf(1), leaf(2));
        let y = multiply(&x, &[&first, &second]);
        backward(&[y.shallow_clone()], &[numbers[3].to_kind(y.kind())]).unwrap();
        vec![y.detach(), x.grad(), first.grad(), second.grad()]
    }

    fn plainly(rows: &Tensor, weights: &Tensor) -> Tensor {
        multiply(rows, &weights.tr())
    }

    #[test]
    fn gradients_are_those_of_autograd() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(1);
        let draw = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let numbers = [draw(&[2, 5, 6]), draw(&[3, 6]), draw(&[4, 6]), draw(&[2, 5, 7])];
        let found = run(&numbers, &|x, weights| with_wide_gradient(x, weights, None, &plainly));
        let expected = run(&numbers, &|x, weights| x.linear(&Tensor::cat(weights, 0), None::<&Tensor>));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.size() == expected.size() && found.allclose(expected, 1e-5, 1e-5, false));
        }
        let narrowed =
            |x: &Tensor, weights: &[&Tensor]| with_wide_gradient(&x.to_kind(Kind::BFloat16), weights, None, &plainly);
        let found = run(&numbers, &narrowed);
        assert_eq!((found[0].kind(), found[2].kind()), (Kind::BFloat16, Kind::Float));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.to_kind(Kind::Float).allclose(expected, 3e-2, 3e-2, false));
        }
    }

    #[test]
    fn relu_within_the_product_has_the_gradients_of_plain_operations() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(2);
        let draw = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu)).to_kind(Kind::BFloat16);
        let numbers = [draw(&[21, 6]), draw(&[16, 6]), draw(&[16]), draw(&[21, 16])];
        let run = |kind: Kind, layer: &dyn Fn(&Tensor, &Tensor, &Tensor) -> Tensor| -> Vec<Tensor> {
            let float = if kind == Kind::BFloat16 { Kind::Float } else { kind };
            let leaf = |i: usize, kind: Kind| numbers[i].to_kind(kind).copy().set_requires_grad(true);
            let (x, weight, bias) = (leaf(0, kind), leaf(1, float), leaf(2, float));
            let y = layer(&x, &weight, &bias);
            backward(&[y.shallow_clone()], &[numbers[3].to_kind(y.kind())]).unwrap();
            [y.detach(), x.grad(), weight.grad(), bias.grad()].map(|tensor| tensor.to_kind(Kind::Double)).into()
        };
        let expected = run(Kind::Double, &|x, weight, bias| x.linear(weight, Some(bias)).relu());
        let within = |x: &Tensor, weight: &Tensor, bias: &Tensor| relu_within(x, weight, bias, None);
        for (kind, bound) in [(Kind::Double, 1e-12), (Kind::BFloat16, 2e-2)] {
            let by_kernels = || crate::kernels::host::with_kernels(|| run(kind, &within));
            let found =
                if kind == Kind::BFloat16 { vec![run(kind, &within), by_kernels()] } else { vec![run(kind, &within)] };
            for found in found.iter().flat_map(|found| found.iter().zip(&expected)) {
                let error = ((found.0 - found.1).abs().max() / found.1.abs().max()).double_value(&[]);
                assert!(error < bound, "{kind:?}: {error}");
            }
        }
        let public = run(Kind::Float, &|x, weight, bias| product_relu(x, weight, bias, None));
        assert!(public.iter().zip(&expected).all(|(found, expected)| found.allclose(expected, 1e-5, 1e-5, false)));
    }
}
