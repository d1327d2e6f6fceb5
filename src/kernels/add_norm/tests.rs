use super::super::host::with_kernels;
use super::*;
use crate::kernels::dropout::DropoutKey;
use crate::libtorch::autograd::backward;
use tch::Device;

const ROWS: i64 = 21;

/// What a case is made of.
#[derive(Debug, Clone, Copy)]
struct Case {
    width: i64,
    stream: Kind,
    kind: Kind,
    output: Kind,
    branch: bool,
    biases: bool,
    root_mean_square: bool,
    probability: f64,
}

/// Outputs, then the gradients of stream, weight and whatever else there is, in float64.
fn run(case: Case, numbers: &[Tensor], upstream: &[Tensor], kinds: [Kind; 3]) -> Vec<Tensor> {
    let leaf = |i: usize, kind: Kind| numbers[i].to_kind(kind).detach().set_requires_grad(true);
    let float = if kinds[0] == Kind::Double { Kind::Double } else { Kind::Float };
    let (stream, weight, bias) = (leaf(0, kinds[0]), leaf(1, float), leaf(2, float));
    let (x, branch_bias) = (leaf(3, kinds[1]), leaf(4, float));
    let key = DropoutKey::of(Tensor::from_slice(&[7i32, -9]));
    let branch = case.branch.then(|| Branch {
        x: &x,
        bias: case.biases.then_some(&branch_bias),
        draw: Draw::new(&key, 5, case.probability, [ROWS, case.width]),
    });
    let bias_used = case.biases.then_some(&bias);
    let norm = Norm { weight: &weight, bias: bias_used, root_mean_square: case.root_mean_square, epsilon: 1e-5 };
    let (sum, output) = add_norm(&stream, branch, norm, kinds[2]);
    let gradients = [upstream[0].to_kind(sum.kind()), upstream[1].to_kind(output.kind())];
    backward(&[sum.shallow_clone(), output.shallow_clone()], &gradients).unwrap();
    let mut found = vec![sum, output, stream.grad(), weight.grad()];
    if case.biases {
        found.push(bias.grad());
    }
    if case.branch {
        found.push(x.grad());
    }
    if case.branch && case.biases {
        found.push(branch_bias.grad());
    }
    found.into_iter().map(|tensor| tensor.detach().to_kind(Kind::Double)).collect()
}

/// The largest difference, in units of the largest number.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    ((a - b).abs().max() / b.abs().max()).double_value(&[])
}

fn check(case: Case) {
    let draw = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
    let shapes = [vec![ROWS, case.width], vec![case.width], vec![case.width], vec![ROWS, case.width], vec![case.width]];
    let mut numbers: Vec<Tensor> = shapes.iter().map(|shape| draw(shape)).collect();
    // What the kernels read is what the reference reads.
    numbers[0] = numbers[0].to_kind(case.stream).to_kind(Kind::Double);
    numbers[3] = numbers[3].to_kind(case.kind).to_kind(Kind::Double);
    let upstream = [
        draw(&[ROWS, case.width]).to_kind(case.stream).to_kind(Kind::Double),
        draw(&[ROWS, case.width]).to_kind(case.output).to_kind(Kind::Double),
    ];
    let expected = run(case, &numbers, &upstream, [Kind::Double; 3]);
    let found = with_kernels(|| run(case, &numbers, &upstream, [case.stream, case.kind, case.output]));
    let rounded = [case.stream, case.kind, case.output].contains(&Kind::BFloat16);
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let difference = difference(found, expected);
        assert!(difference < if rounded { 1.2e-2 } else { 3e-6 }, "{i} differs by {difference}: {case:?}");
    }
}

#[test]
fn kernels_equal_plain_operations_in_float64() {
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(1);
    let base = Case {
        width: 64,
        stream: Kind::Float,
        kind: Kind::Float,
        output: Kind::Float,
        branch: true,
        biases: true,
        root_mean_square: false,
        probability: 0.1,
    };
    for width in [8, 64, 77, 512, 600, 768, 1100, 2048] {
        check(Case { width, ..base });
        check(Case { width, kind: Kind::BFloat16, output: Kind::BFloat16, root_mean_square: true, ..base });
        // As a stream that is the norm's output goes on in float32.
        check(Case { width, kind: Kind::BFloat16, ..base });
    }
    check(Case { branch: false, ..base });
    check(Case { biases: false, ..base });
    check(Case { probability: 0.0, ..base });
    check(Case { root_mean_square: true, biases: false, width: 77, ..base });
    check(Case { stream: Kind::BFloat16, kind: Kind::BFloat16, output: Kind::BFloat16, width: 77, ..base });
}

/// In float32 arithmetic, rounded once: the norm of what is stored, not of what it was before.
#[test]
fn a_sum_in_bfloat16_is_rounded_and_then_normalised() {
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(2);
    for width in [64, 77] {
        let draw = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, Device::Cpu));
        let (stream, weight) = (draw(&[ROWS, width]).to_kind(Kind::BFloat16), draw(&[width]));
        let (x, bias) = (draw(&[ROWS, width]), draw(&[width]));
        let key = DropoutKey::of(Tensor::from_slice(&[7i32, -9]));
        let draw = || Draw::new(&key, 5, 0.1, [ROWS, width]);
        let branch = draw().unwrap().apply(&(&x + &bias));
        let expected = (&stream.to_kind(Kind::Float) + branch).to_kind(Kind::BFloat16);
        let (wide, gain) = (expected.to_kind(Kind::Double), weight.to_kind(Kind::Double));
        let normal = wide.layer_norm([width], Some(&gain), None::<&Tensor>, 1e-5, true);
        let norm = Norm { weight: &weight, bias: None, root_mean_square: false, epsilon: 1e-5 };
        let run = || add_norm(&stream, Some(Branch { x: &x, bias: Some(&bias), draw: draw() }), norm, Kind::Float);
        for (sum, output) in [run(), with_kernels(run)] {
            assert_eq!((sum.kind(), output.kind()), (Kind::BFloat16, Kind::Float));
            assert!(sum.equal(&expected), "width {width}");
            let difference = difference(&output.to_kind(Kind::Double), &normal);
            assert!(difference < 3e-6, "{difference}, width {width}");
        }
    }
}

#[test]
fn the_kernels_are_what_ran() {
    let [x, weight] =
        [Tensor::ones([3, 16], (Kind::Float, Device::Cpu)), Tensor::ones([16], (Kind::Float, Device::Cpu))];
    let norm = Norm { weight: &weight, bias: None, root_mean_square: false, epsilon: 1e-5 };
    assert!(with_kernels(|| Kernels::of(&x, None, norm, Kind::BFloat16)).is_some());
    assert!(Kernels::of(&x, None, norm, Kind::BFloat16).is_none());
    assert!(with_kernels(|| Kernels::of(&x, None, norm, Kind::Double)).is_none());
}

#[test]
fn layouts() {
    assert_eq!([64, 512, 513, 768, 1024, 2048, 4096].map(layout).map(Option::unwrap)[..3], [[1, 8], [1, 8], [3, 2]]);
    assert_eq!(layout(768), Some([3, 2]));
    assert_eq!(layout(2048), Some([4, 2]));
    assert_eq!(layout(5000), None);
}
