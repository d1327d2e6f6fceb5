use super::*;
use crate::kernels::dropout::DropoutKey;
use crate::libtorch::autograd::backward;
use tch::{Cuda, Device};

/// What a case is made of: rows, inputs (and outputs), hidden units.
#[derive(Debug, Clone, Copy)]
struct Case {
    sizes: [i64; 3],
    bias: bool,
    probability: f64,
}

/// x, W₁, b, W₂ and the output's gradient, all of them numbers that bfloat16 has.
fn numbers(Case { sizes: [rows, width, hidden], .. }: Case, device: Device) -> Vec<Tensor> {
    let draw = |shape: &[i64], scale: f64| {
        let drawn = Tensor::randn(shape, (Kind::Double, Device::Cpu)) * scale;
        drawn.to_kind(Kind::BFloat16).to_kind(Kind::Double).to_device(device)
    };
    let (inputs, units) = ((width as f64).powf(-0.5), (hidden as f64).powf(-0.5));
    let weights = [draw(&[hidden, width], inputs), draw(&[hidden], 0.3), draw(&[width, hidden], units)];
    [draw(&[rows, width], 1.0)].into_iter().chain(weights).chain([draw(&[rows, width], 1.0)]).collect()
}

/// The output and the gradients of x, W₁, b and W₂; with kernels where `by_kernels`, and then in bfloat16 with float32
/// weights, else in float64.
fn run(case: Case, numbers: &[Tensor], by_kernels: bool) -> Vec<Tensor> {
    let [kind, float] = if by_kernels { [Kind::BFloat16, Kind::Float] } else { [Kind::Double; 2] };
    let leaf = |i: usize, kind: Kind| numbers[i].to_kind(kind).detach().set_requires_grad(true);
    let (x, input, bias, output) = (leaf(0, kind), leaf(1, float), leaf(2, float), leaf(3, float));
    let weights = Weights { input: &input, bias: case.bias.then_some(&bias), output: &output };
    let key = DropoutKey::of(Tensor::from_slice(&[5i32, -6]).to_device(x.device()));
    let draw = Draw::new(&key, 3, case.probability, [case.sizes[0], case.sizes[2]]);
    let y = if by_kernels {
        with_products(&products(&x, weights, Activation::Relu).unwrap(), &x, weights, draw, None)
    } else {
        in_parts(&x, weights, Activation::Relu, draw, None)
    };
    backward(&[y.shallow_clone()], &[numbers[4].to_kind(kind)]).unwrap();
    let gradients = [Some(&x), Some(&input), case.bias.then_some(&bias), Some(&output)];
    let gradients = gradients.into_iter().flatten().map(|leaf| leaf.grad());
    [y.detach()].into_iter().chain(gradients).collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn gpu_products_with_their_work_equal_the_parts_in_float64() {
    if !Cuda::is_available() {
        assert!(std::env::var_os("SYNTH_TEST_GPU").is_none(), "SYNTH_TEST_GPU is set and there is no CUDA device");
        eprintln!("skipped: no CUDA device");
        return;
    }
    if crate::kernels::device::hopper_multiprocessors(0).is_none() {
        eprintln!("skipped: the CUDA device is no Hopper");
        return;
    }
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(4);
    for (sizes, bias, probability) in [
        ([128, 64, 256], true, 0.0),
        ([256, 128, 512], false, 0.0),
        ([1, 64, 256], true, 0.1),
        ([1001, 192, 768], true, 0.1),
        ([4099, 512, 2048], true, 0.3),
        ([20_000, 256, 1024], false, 0.1),
    ] {
        let case = Case { sizes, bias, probability };
        let numbers = numbers(case, Device::Cuda(0));
        let (expected, found) = (run(case, &numbers, false), run(case, &numbers, true));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            // Of millions of inputs of relu some are so near 0 that the two fall on different sides: all errors together
            // count, not the largest one.
            let gap = (found.to_kind(Kind::Double) - expected).norm() / expected.norm();
            let gap = gap.double_value(&[]);
            assert!(gap < 1e-2, "{i} differs by {gap:e}: {case:?}");
        }
        let again = run(case, &numbers, true);
        assert!(found.iter().zip(&again).all(|(first, second)| first.equal(second)), "not the same bits: {case:?}");
    }
}

#[test]
fn what_the_kernels_do_not_cover_goes_in_parts() {
    let options = (Kind::BFloat16, Device::Cpu);
    let zeros = |shape: &[i64]| Tensor::zeros(shape, options);
    let (x, input, output) = (zeros(&[300, 64]), zeros(&[256, 64]), zeros(&[64, 256]));
    let weights = Weights { input: &input, bias: None, output: &output };
    for activation in [Activation::Relu, Activation::Gelu] {
        assert!(products(&x, weights, activation).is_none());
        assert_eq!(feed_forward(&x, weights, activation, None, None).size(), [300, 64]);
    }
}
