use super::*;
use crate::libtorch::context::is_deterministic;

/// The device where there is one, else the CPU: the same numbers come out.
fn places() -> Vec<Device> {
    let mut places = vec![Device::Cpu];
    if tch::Cuda::is_available() {
        places.push(Device::Cuda(0));
    }
    places
}

fn draw(shape: &[i64], kind: Kind, device: Device) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu)).to_device(device).to_kind(kind)
}

/// The largest difference from what is expected in float64, over the largest number expected.
fn error(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let found = found.to_device(Device::Cpu).to_kind(Kind::Double);
    let expected = expected.to_device(Device::Cpu);
    ((found - &expected).abs().max() / expected.abs().max()).double_value(&[])
}

fn exact(a: &Tensor, b: &Tensor) -> Tensor {
    a.to_kind(Kind::Double).matmul(&b.to_kind(Kind::Double))
}

/// Operands of every layout: each dense in its rows or a transposed view, single or a batch.
fn layouts(kind: Kind, device: Device) -> Vec<[Tensor; 2]> {
    let mut list = Vec::new();
    for (rows, k, columns) in [(64, 96, 80), (37, 29, 41), (1, 24, 5), (24, 1, 3), (130, 200, 1)] {
        for batch in [&[][..], &[3]] {
            let matrix = |rows: i64, columns: i64| draw(&[batch, &[rows, columns]].concat(), kind, device);
            for (first, second) in [(false, false), (true, false), (false, true), (true, true)] {
                let view = |transposed: bool, rows: i64, columns: i64| {
                    if transposed { matrix(columns, rows).transpose(-2, -1) } else { matrix(rows, columns) }
                };
                list.push([view(first, rows, k), view(second, k, columns)]);
            }
        }
    }
    list
}

fn bound(kind: Kind) -> f64 {
    if kind == Kind::BFloat16 { 4.5e-3 } else { 2e-6 }
}

#[test]
fn gpu_products_equal_float64_in_every_layout() {
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(1);
    for device in places() {
        for kind in [Kind::Float, Kind::BFloat16] {
            for [a, b] in layouts(kind, device) {
                let expected = exact(&a, &b);
                let what = format!("{device:?}, {kind:?}, {:?} by {:?}", a.size(), b.size());
                let product = multiply(&a, &b);
                assert!(product.kind() == kind && error(&product, &expected) < bound(kind), "{what}");
                let wide = multiply_wide(&a, &b);
                let rounded = device == Device::Cpu;
                assert_eq!(wide.kind(), if rounded { kind } else { Kind::Float });
                assert!(error(&wide, &expected) < bound(wide.kind()).max(if rounded { 0.0 } else { 1e-5 }), "{what}");
                assert!(!product.requires_grad() && !wide.requires_grad());
            }
        }
    }
}

#[test]
fn gpu_products_are_written_and_added_where_they_belong() {
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(2);
    for device in places() {
        for operands in [Kind::Float, Kind::BFloat16] {
            for [a, b] in layouts(operands, device) {
                for kind in [operands, Kind::Float] {
                    let (expected, size) = (exact(&a, &b), [a.size(), b.size()]);
                    let what = format!("{device:?}, {operands:?} into {kind:?}, {size:?}");
                    // Rows with a gap behind them, which nothing is written to.
                    let mut shape = expected.size();
                    let columns = shape.pop().unwrap();
                    let buffer = Tensor::full([&shape[..], &[columns + 7]].concat(), 7.0, (kind, device));
                    let mut out = buffer.narrow(-1, 0, columns);
                    multiply_into(&out, &a, &b);
                    let limit = bound(kind).max(if device == Device::Cpu { bound(operands) } else { 1e-5 });
                    assert!(error(&out, &expected) < limit, "{what}");
                    add_product(&mut out, &a, &b);
                    assert!(error(&out, &(&expected * 2.0)) < 2.0 * limit, "{what}, added");
                    let gap = buffer.narrow(-1, columns, 7);
                    assert_eq!([gap.min(), gap.max()].map(|x| x.double_value(&[])), [7.0; 2], "{what}");
                }
            }
        }
    }
}

#[test]
fn gpu_relu_and_bias_follow_the_product() {
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(3);
    for device in places() {
        for (rows, k, columns) in [(64, 96, 80), (37, 29, 41), (1, 8, 8)] {
            for kind in [Kind::Float, Kind::BFloat16] {
                for of_bias in [Kind::Float, kind] {
                    let (x, w) = (draw(&[rows, k], kind, device), draw(&[columns, k], kind, device));
                    let bias = draw(&[columns], of_bias, device) * 4.0;
                    let expected = (exact(&x, &w.tr()) + bias.to_kind(Kind::Double)).relu();
                    let found = multiply_relu(&x, &w.tr(), &bias);
                    let what = format!("{device:?}, {kind:?}, bias {of_bias:?}, {rows} {k} {columns}");
                    assert!(found.kind() == kind && error(&found, &expected) < 2.0 * bound(kind), "{what}");
                    assert!(found.min().double_value(&[]) >= 0.0, "{what}");
                }
            }
        }
    }
}

/// On the CPU all is libtorch's own operations, to the bit.
#[test]
fn the_cpu_is_left_to_libtorch() {
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(4);
    assert!(!is_deterministic());
    for kind in [Kind::Float, Kind::BFloat16, Kind::Double] {
        let [a, b] = [&[9, 7], &[7, 5]].map(|shape| draw(shape, kind, Device::Cpu));
        assert_eq!(multiply(&a, &b), a.mm(&b));
        assert_eq!(multiply_wide(&a, &b), a.mm(&b));
        let mut sum = draw(&[9, 5], kind, Device::Cpu);
        let expected = sum.addmm(&a, &b);
        add_product(&mut sum, &a, &b);
        assert_eq!(sum, expected);
    }
    assert!(cublaslt(0).is_err() || tch::Cuda::is_available());
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn gpu() -> Option<Device> {
    let found = tch::Cuda::is_available() && cfg!(cuda_graphs);
    if !found {
        eprintln!("skipped: no CUDA device");
    }
    found.then_some(Device::Cuda(0))
}

/// Otherwise the tests above would compare libtorch with itself.
#[test]
fn gpu_cublaslt_takes_what_a_training_step_multiplies() {
    let Some(device) = gpu() else { return };
    let _turn = crate::randomness::lock_generator_for_test();
    let bf16 = |shape: &[i64]| draw(shape, Kind::BFloat16, device);
    let new = |kind: Kind, shape: &[i64]| Tensor::empty(shape, (kind, device));
    assert!(cublaslt(0).is_ok(), "{:?}", cublaslt(0));
    let (x, weight, upstream) = (bf16(&[512, 128]), bf16(&[384, 128]), bf16(&[512, 384]));
    assert!(by_cublaslt(&new(Kind::BFloat16, &[512, 384]), [&x, &weight.tr()], false, None));
    assert!(by_cublaslt(&new(Kind::BFloat16, &[512, 128]), [&upstream, &weight], false, None));
    let gradient = Tensor::zeros([384, 128], (Kind::Float, device));
    assert!(by_cublaslt(&gradient, [&upstream.tr(), &x], false, None));
    assert!(by_cublaslt(&gradient, [&upstream.tr(), &x], true, None));
    // A vocabulary of odd size, whose rows have a gap behind them.
    let (table, logits) = (bf16(&[50257, 128]), bf16(&[512, 50264]).narrow(1, 0, 50257));
    assert!(by_cublaslt(&logits, [&x, &table.tr()], false, None));
    assert!(by_cublaslt(&new(Kind::BFloat16, &[512, 128]), [&logits, &table], false, None));
    assert!(by_cublaslt(&new(Kind::Float, &[50257, 128]), [&logits.tr(), &x], false, None));
    let (batch, values) = (bf16(&[4, 256, 256]), bf16(&[4, 256, 512]));
    assert!(by_cublaslt(&new(Kind::BFloat16, &[4, 256, 512]), [&batch, &values], false, None));
    assert!(by_cublaslt(&new(Kind::Float, &[4, 256, 256]), [&values, &values.transpose(1, 2)], false, None));
    assert!(by_cublaslt(&new(Kind::BFloat16, &[512, 384]), [&x, &weight.tr()], false, Some(&bf16(&[384]))));
}

/// Large enough to be timed; the sum is added to once for each call, however often the product ran meanwhile.
#[test]
fn gpu_timing_leaves_right_results() {
    let Some(device) = gpu() else { return };
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(5);
    let (a, b) = (draw(&[2048, 1024], Kind::BFloat16, device), draw(&[1024, 1048], Kind::BFloat16, device));
    let expected = exact(&a, &b);
    const { assert!(2.0 * 2048.0 * 1024.0 * 1048.0 > gpu::WORTH_TIMING) };
    let mut sum = draw(&[2048, 1048], Kind::Float, device);
    let before = sum.to_kind(Kind::Double);
    for times in 1..4 {
        add_product(&mut sum, &a, &b);
        assert!(error(&sum, &(&before + &expected * f64::from(times))) < 1e-5);
        assert!(error(&multiply(&a, &b), &expected) < 4.5e-3);
    }
}

/// What is recorded gives what ran before, to the bit.
#[cfg(cuda_graphs)]
#[test]
fn gpu_a_recorded_product_gives_the_same_bits() {
    use crate::libtorch::replay::Replays;
    let Some(device) = gpu() else { return };
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(6);
    let (a, b) = (draw(&[4096, 1024], Kind::BFloat16, device), draw(&[1024, 1003], Kind::BFloat16, device));
    let [narrow, wide] = [Kind::BFloat16, Kind::Float].map(|kind| Tensor::zeros([4096, 1003], (kind, device)));
    let mut replays = Replays::new(device, true).unwrap();
    let mut results = Vec::new();
    for _ in 0..4 {
        let mut step = || {
            multiply_into(&narrow, &a, &b);
            multiply_into(&wide, &a, &b);
            Ok(())
        };
        let _ = (narrow.shallow_clone().zero_(), wide.shallow_clone().zero_());
        replays.run(&[1], &mut step).unwrap();
        results.push([narrow.copy(), wide.copy()]);
    }
    assert!(replays.replaying());
    assert!(error(&results[0][1], &exact(&a, &b)) < 1e-5);
    for result in &results[1..] {
        assert!(result[0] == results[0][0] && result[1] == results[0][1]);
    }
}
