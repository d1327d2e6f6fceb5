//! dropout(relu(x)) that keeps its output only.
//!
//! Plain operations keep the result of relu and a mask for their backward pass, and the next product keeps what dropout
//! made of them. That output tells all: it is positive exactly where the gradient passes.

use crate::libtorch::autograd::attach_backward;
use tch::{Device, Tensor, no_grad};

/// dropout(relu(`x`)) in training, with a probability above 0 and below 1. `x`, which the function takes the place of,
/// must not be kept by anyone for a backward pass.
///
/// The mask is that of libtorch's own dropout: the same draws of its generator.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn relu_dropout(x: Tensor, probability: f64) -> Tensor {
    let output = no_grad(|| {
        let mut active = x.detach().relu_();
        // In place the CPU makes the same draws; CUDA's one kernel would become three others.
        if x.device() == Device::Cpu { active.dropout_(probability, true) } else { active.dropout(probability, true) }
    });
    let (kept, scale) = (output.detach(), 1.0 / (1.0 - probability));
    let backward = move |upstream: &[Tensor]| {
        no_grad(|| {
            let mut gradient = kept.threshold_backward(&upstream[0], 0.0);
            gradient *= scale;
            vec![Some(gradient)]
        })
    };
    attach_backward(&[&x], &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libtorch::autograd::backward;
    use tch::Kind;

    /// The output, the gradient of x and the next draw of the generator.
    fn run(function: &dyn Fn(Tensor) -> Tensor, kind: Kind) -> [Tensor; 3] {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(3);
        let options = (Kind::Double, Device::Cpu);
        let x = Tensor::randn([50, 70], options).to_kind(kind).set_requires_grad(true);
        let upstream = Tensor::randn([50, 70], options).to_kind(kind);
        tch::manual_seed(4);
        let y = function(&x * 1.0);
        backward(&[y.shallow_clone()], &[upstream]).unwrap();
        [y.detach(), x.grad(), Tensor::rand([4], options)]
    }

    #[test]
    fn it_equals_plain_operations_bit_by_bit() {
        for kind in [Kind::Double, Kind::Float, Kind::BFloat16] {
            for probability in [0.1, 0.5, 0.99] {
                let found = run(&|x| relu_dropout(x, probability), kind);
                let expected = run(&|x| x.relu().dropout(probability, true), kind);
                let zeros = expected[0].eq(0).to_kind(Kind::Double).mean(Kind::Double).double_value(&[]);
                assert!((zeros - (1.0 + probability) / 2.0).abs() < 0.05, "{zeros} are zero");
                assert_eq!(found, expected, "{kind:?}, {probability}");
            }
        }
    }

    #[test]
    fn the_gradient_is_a_finite_difference() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(5);
        let start = Tensor::randn([30], (Kind::Double, Device::Cpu));
        let at = |x: &Tensor| {
            tch::manual_seed(6);
            relu_dropout(x * 1.0, 0.3).square().sum(Kind::Double)
        };
        let x = start.copy().set_requires_grad(true);
        at(&x).backward();
        for i in 0..30 {
            let moved = |step: f64| {
                let moved = start.copy();
                let _ = moved.get(i).g_add_scalar_(step);
                at(&moved).double_value(&[])
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            approx::assert_abs_diff_eq!(slope, x.grad().double_value(&[i]), epsilon = 1e-7);
        }
    }
}
