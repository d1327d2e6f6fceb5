//! The gate between two products (SwiGLU, arXiv 2002.05202).

use super::dropout::Draw;
use super::say_plain;
use crate::libtorch::autograd::attach_backward;
use tch::{Kind, Tensor, no_grad};

/// `dropout(silu(g + b_g) · (x + b))` of `joined` `[rows, 2 · width]`, g and x side by side: `[rows, width]` in its kind,
/// computed in at least float32 and rounded once. silu(g) = g·σ(g).
///
/// The backward pass computes the gate again: kept is `joined` alone. No kernel covers it yet.
///
/// # Panics
/// Where libtorch refuses an operation, as all of tch's operators.
pub fn gated_activation(joined: &Tensor, biases: Option<[&Tensor; 2]>, draw: Option<Draw>) -> Tensor {
    say_plain("a gated activation", joined);
    let kept = Kept { joined: joined.detach(), biases: biases.map(|biases| biases.map(Tensor::detach)), draw };
    let output = no_grad(|| kept.forward());
    let inputs: Vec<&Tensor> = [joined].into_iter().chain(biases.into_iter().flatten()).collect();
    let backward = move |upstream: &[Tensor]| no_grad(|| kept.backward(&upstream[0]));
    attach_backward(&inputs, &[&output], Box::new(backward)).unwrap_or_else(|error| panic!("{error}"));
    output
}

/// What both passes read.
struct Kept {
    joined: Tensor, // [rows, 2 · width]
    biases: Option<[Tensor; 2]>,
    draw: Option<Draw>,
}

impl Kept {
    /// g + b_g and x + b, in at least float32.
    fn halves(&self) -> [Tensor; 2] {
        let float = if self.joined.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let width = self.joined.size()[1] / 2;
        [0, 1].map(|half| {
            let numbers = self.joined.narrow(1, half * width, width).to_kind(float);
            match &self.biases {
                Some(biases) => numbers + &biases[half as usize],
                None => numbers,
            }
        })
    }

    fn forward(&self) -> Tensor {
        let [gate, x] = self.halves();
        let product = gate.silu() * x;
        let kept = self.draw.as_ref().map_or_else(|| product.shallow_clone(), |draw| draw.apply(&product));
        kept.to_kind(self.joined.kind())
    }

    /// The gradients of the joined numbers and of both biases.
    fn backward(&self, upstream: &Tensor) -> Vec<Option<Tensor>> {
        let [gate, x] = self.halves();
        let upstream = upstream.to_kind(gate.kind());
        let upstream = self.draw.as_ref().map_or_else(|| upstream.shallow_clone(), |draw| draw.apply(&upstream));
        let of_x = &upstream * gate.silu();
        let of_gate = gate.silu_backward(&(upstream * x));
        let sum = |x: &Tensor| Some(x.sum_dim_intlist([0i64].as_slice(), false, None::<Kind>));
        let biases = self.biases.is_some().then(|| [sum(&of_gate), sum(&of_x)]);
        let joined = Tensor::cat(&[of_gate, of_x], 1).to_kind(self.joined.kind());
        [Some(joined)].into_iter().chain(biases.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dropout::DropoutKey;
    use crate::libtorch::autograd::backward;
    use tch::Device;

    const ROWS: i64 = 7;
    const WIDTH: i64 = 5;

    type Gate<'a> = &'a dyn Fn(&Tensor, Option<[&Tensor; 2]>, Option<Draw>) -> Tensor;

    /// Output and gradients in float64, of numbers in `kind` and biases in `float`.
    fn run(
        numbers: &[Tensor; 4],
        [kind, float]: [Kind; 2],
        (biased, dropout): (bool, f64),
        gate: Gate<'_>,
    ) -> Vec<Tensor> {
        let leaf = |i: usize, kind: Kind| numbers[i].to_kind(kind).copy().set_requires_grad(true);
        let (joined, biases) = (leaf(0, kind), [leaf(1, float), leaf(2, float)]);
        let key = DropoutKey::of(Tensor::from_slice(&[7i32, -9]));
        let draw = Draw::new(&key, 5, dropout, [ROWS, WIDTH]);
        let output = gate(&joined, biased.then(|| biases.each_ref()), draw);
        backward(&[output.shallow_clone()], &[numbers[3].to_kind(output.kind())]).unwrap();
        let mut found = vec![output.detach(), joined.grad()];
        if biased {
            found.extend(biases.each_ref().map(Tensor::grad));
        }
        found.into_iter().map(|tensor| tensor.to_kind(Kind::Double)).collect()
    }

    /// By autograd, from the definition.
    fn by_definition(joined: &Tensor, biases: Option<[&Tensor; 2]>, draw: Option<Draw>) -> Tensor {
        let half = |i: i64| {
            let numbers = joined.narrow(1, i * WIDTH, WIDTH);
            biases.map_or_else(|| numbers.shallow_clone(), |biases| &numbers + biases[i as usize])
        };
        let gate = half(0);
        let product: Tensor = &gate / (gate.neg().exp() + 1.0) * half(1);
        draw.map_or_else(|| product.shallow_clone(), |draw| draw.apply(&product))
    }

    #[test]
    fn outputs_and_gradients_follow_the_definition() {
        let _turn = crate::randomness::lock_generator_for_test();
        tch::manual_seed(1);
        let draw = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu)).to_kind(Kind::BFloat16);
        let numbers = [draw(&[ROWS, 2 * WIDTH]), draw(&[WIDTH]), draw(&[WIDTH]), draw(&[ROWS, WIDTH])];
        for case in [(true, 0.3), (true, 0.0), (false, 0.3)] {
            let expected = run(&numbers, [Kind::Double; 2], case, &by_definition);
            let kinds = [([Kind::Double; 2], 1e-13), ([Kind::Float; 2], 1e-5), ([Kind::BFloat16, Kind::Float], 1e-2)];
            for (kinds, bound) in kinds {
                let found = run(&numbers, kinds, case, &|joined, biases, draw| gated_activation(joined, biases, draw));
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    let gap = ((found - expected).abs().max() / expected.abs().max()).double_value(&[]);
                    assert!(gap < bound, "{gap}: {kinds:?} {case:?}");
                }
            }
        }
    }
}
