//! Products with weights: operands in the kind of computation, the weights' gradient in their own.
//!
//! Under autocast a weight's gradient is rounded to bfloat16 with the product that gives it; here that product gives
//! float32.

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
    with_wide_gradient(x, weights, copies)
}

/// The same where weights have another kind than x.
fn with_wide_gradient(x: &Tensor, weights: &[&Tensor], copies: Option<&NarrowCopies>) -> Tensor {
    let narrow = no_grad(|| narrow(weights, x.kind(), copies)); // [Σ out, in]
    let rows = x.detach().contiguous().view([-1, narrow.size()[1]]); // [rows, in]
    let output = no_grad(|| rows.mm(&narrow.tr()));
    let (kind, counts) = (weights[0].kind(), weights.iter().map(|weight| weight.size()[0]).collect::<Vec<_>>());
    let (shape, kept) = (x.size(), output.size()[1]);
    let backward = move |upstream: &[Tensor]| {
        no_grad(|| {
            let upstream = upstream[0].contiguous().view([-1, kept]);
            let of_x = upstream.mm(&narrow).view(shape.as_slice());
            let of_weights = wide(&upstream.tr(), &rows).to_kind(kind);
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

/// `a·b` in at least float32, though the CPU rounds it to their own kind first.
pub fn wide(a: &Tensor, b: &Tensor) -> Tensor {
    if on_cuda_in_bfloat16(a) { a.mm_dtype(b, Kind::Float) } else { a.mm(b) }
}

/// Products of matrices in pairs, `[count, …]`, in float32.
pub fn wide_batches(a: &Tensor, b: &Tensor) -> Tensor {
    if on_cuda_in_bfloat16(a) { a.bmm_dtype(b, Kind::Float) } else { a.bmm(b).to_kind(Kind::Float) }
}

/// Adds `a·b` to `sum`, as [`wide`] computes it.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn add_wide(sum: &mut Tensor, a: &Tensor, b: &Tensor) {
    if on_cuda_in_bfloat16(a) {
        let _ = sum.addmm_dtype_out(sum, a, b, Kind::Float);
    } else if a.kind() == sum.kind() {
        let _ = sum.addmm_(a, b);
    } else {
        *sum += a.mm(b);
    }
}

fn on_cuda_in_bfloat16(x: &Tensor) -> bool {
    x.kind() == Kind::BFloat16 && x.device() != Device::Cpu
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

    #[test]
    fn gradients_are_those_of_autograd() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(1);
        let draw = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let numbers = [draw(&[2, 5, 6]), draw(&[3, 6]), draw(&[4, 6]), draw(&[2, 5, 7])];
        let found = run(&numbers, &|x, weights| with_wide_gradient(x, weights, None));
        let expected = run(&numbers, &|x, weights| x.linear(&Tensor::cat(weights, 0), None::<&Tensor>));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.size() == expected.size() && found.allclose(expected, 1e-5, 1e-5, false));
        }
        let narrowed = |x: &Tensor, weights: &[&Tensor]| with_wide_gradient(&x.to_kind(Kind::BFloat16), weights, None);
        let found = run(&numbers, &narrowed);
        assert_eq!((found[0].kind(), found[2].kind()), (Kind::BFloat16, Kind::Float));
        for (found, expected) in found.iter().zip(&expected) {
            assert!(found.to_kind(Kind::Float).allclose(expected, 3e-2, 3e-2, false));
        }
    }
}
