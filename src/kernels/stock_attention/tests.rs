use super::*;
use tch::Kind;

#[test]
fn a_kept_choice_comes_back_and_nothing_else_does() {
    for backend in BACKENDS {
        assert_eq!(decode(name(backend).as_bytes()), Some(backend));
    }
    for other in [&b"cudn"[..], b"flash ", b""] {
        assert_eq!(decode(other), None);
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn gpu() -> Option<Device> {
    let found = tch::Cuda::is_available() && cfg!(cuda_graphs);
    if !found {
        eprintln!("skipped: no CUDA device");
    }
    found.then_some(Device::Cuda(0))
}

/// The kernels that the card has: cuDNN's take every width from Hopper on.
fn backends() -> Vec<Backend> {
    let hopper = crate::libtorch::context::cuda_device(0).is_some_and(|(_, capability)| capability >= 90);
    BACKENDS.into_iter().filter(|&backend| hopper || backend == Backend::Flash).collect()
}

/// `[batch, heads, length, width]` in bfloat16, heads side by side in memory.
fn draw([batch, heads, length, width]: [i64; 4], device: Device) -> Tensor {
    Tensor::randn([batch, length, heads, width], (Kind::Float, device)).to_kind(Kind::BFloat16).transpose(1, 2)
}

fn attention(backend: Backend, operands: &[Tensor; 3], settings: Settings) -> StockAttention {
    StockAttention::new(backend, operands.each_ref().map(Tensor::shallow_clone), settings).unwrap()
}

/// Output and gradients by plain operations in float64.
fn expected(operands: &[Tensor; 3], upstream: &Tensor, settings: Settings) -> [Tensor; 4] {
    let leaves = operands.each_ref().map(|x| x.to_kind(Kind::Double).set_requires_grad(true));
    let [q, k, v] = &leaves;
    let scores = q.matmul(&k.transpose(2, 3)) * settings.scale;
    let hidden = scores.ones_like().triu(1).to_kind(Kind::Bool);
    let scores = if settings.causal { scores.masked_fill(&hidden, f64::NEG_INFINITY) } else { scores };
    let output = scores.softmax(-1, None::<Kind>).matmul(v);
    (&output * upstream.to_kind(Kind::Double)).sum(Kind::Double).backward();
    let [of_q, of_k, of_v] = leaves.each_ref().map(Tensor::grad);
    [output.detach(), of_q, of_k, of_v]
}

fn distance(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    ((found.to_kind(Kind::Double) - expected).norm() / expected.norm()).double_value(&[])
}

#[test]
fn gpu_stock_kernels_equal_float64() {
    let Some(device) = gpu() else { return };
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(21);
    let (batch, heads, length) = (3, 2, 200);
    for [width, value_width] in [[64, 64], [72, 64], [128, 64], [32, 64]] {
        for causal in [true, false] {
            let settings = Settings { dropout: 0.0, causal, scale: 0.125, training: true };
            let of = |batch: i64, width: i64| draw([batch, heads, length, width], device);
            // Keys that samples share stand in memory once.
            for keys in [of(batch, width), of(1, width).expand([batch, -1, -1, -1], false)] {
                let operands = [of(batch, width), keys, of(batch, value_width)];
                let upstream = of(batch, value_width);
                let expected = expected(&operands, &upstream, settings);
                for backend in backends() {
                    let attention = attention(backend, &operands, settings);
                    let [of_q, of_k, of_v] = attention.backward(&upstream).unwrap();
                    for (found, expected) in [attention.output(), of_q, of_k, of_v].iter().zip(&expected) {
                        let distance = distance(found, expected);
                        assert!(distance < 1e-2, "{backend:?} {width} {value_width} {causal}: {distance}");
                    }
                }
            }
        }
    }
}

#[test]
fn gpu_weights_are_dropped_as_often_as_they_are_to_be() {
    let Some(device) = gpu() else { return };
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(22);
    let (dropout, length) = (0.25, 256);
    let settings = Settings { dropout, causal: false, scale: 1.0, training: true };
    for [width, value_width] in [[64, 64], [72, 64]] {
        // Scores of 0: every weight is 1 / length, and an output the share of those that are left, times 1 / (1 − dropout).
        let [q, k] = [(); 2].map(|()| draw([4, 4, length, width], device).zeros_like());
        let v = draw([4, 4, length, value_width], device);
        for backend in backends() {
            let ones = [q.shallow_clone(), k.shallow_clone(), v.ones_like()];
            let output = attention(backend, &ones, settings).output().select(3, 0).to_kind(Kind::Double);
            let (mean, variance) = (output.mean(Kind::Double), output.var(true));
            let (mean, variance) = (mean.double_value(&[]), variance.double_value(&[]));
            let right = dropout / (1.0 - dropout) / length as f64;
            assert!((mean - 1.0).abs() < 4e-3, "{backend:?}: mean {mean}");
            assert!((variance / right - 1.0).abs() < 0.15, "{backend:?}: variance {variance}, {right} expected");
            // Linear in the values: a backward pass with another mask would give a quarter less.
            let normal = [q.shallow_clone(), k.shallow_clone(), v.shallow_clone()];
            let attention = attention(backend, &normal, settings);
            let [_, _, of_v] = attention.backward(&attention.output()).unwrap();
            let dot = |a: &Tensor, b: &Tensor| (a.to_kind(Kind::Double) * b).sum(Kind::Double).double_value(&[]);
            let (forward, backward) = (dot(&attention.output(), &attention.output()), dot(&of_v, &v));
            assert!((backward / forward - 1.0).abs() < 1e-2, "{backend:?}: {forward} forward, {backward} backward");
        }
    }
}

/// Not from the cache: the choice itself.
#[test]
fn gpu_timing_leaves_the_generator_as_it_was() {
    let Some(device) = gpu() else { return };
    let _turn = crate::randomness::lock_generator_for_test();
    let settings = Settings { dropout: 0.1, causal: true, scale: 0.125, training: true };
    let operands = [72, 72, 64].map(|width| draw([4, 8, 256, width], device));
    let problem = Problem::of(&operands, settings);
    let draw = |timing: bool| {
        tch::manual_seed(23);
        let stream = device::stream(0).unwrap();
        let on_card = OnCard { index: 0, stream, problem: &problem, operands: &operands, settings };
        let fastest = timing.then(|| on_card.fastest());
        assert!(fastest != Some(None), "nothing was timed");
        let output = attention(Backend::Flash, &operands, settings).output();
        (output, Tensor::rand([100], (Kind::Float, device)))
    };
    assert_eq!(draw(false), draw(true));
}

/// A recorded forward and backward pass draws anew at each replay.
#[cfg(cuda_graphs)]
#[test]
fn gpu_recorded_attention_draws_anew() {
    use crate::libtorch::replay::Replays;
    let Some(device) = gpu() else { return };
    let _turn = crate::randomness::lock_generator_for_test();
    tch::manual_seed(24);
    let settings = Settings { dropout: 0.5, causal: true, scale: 0.125, training: true };
    let operands = [72, 72, 64].map(|width| draw([2, 4, 128, width], device));
    for backend in backends() {
        let (output, gradient) = (operands[2].zeros_like(), operands[2].zeros_like());
        let mut replays = Replays::new(device, true).unwrap();
        let mut results = Vec::new();
        for _ in 0..4 {
            let mut step = || {
                let attention = attention(backend, &operands, settings);
                let [_, _, of_v] = attention.backward(&attention.output())?;
                output.shallow_clone().copy_(&attention.output());
                gradient.shallow_clone().copy_(&of_v);
                Ok(())
            };
            replays.run(&[1], &mut step).unwrap();
            let dot = |a: &Tensor, b: &Tensor| (a.to_kind(Kind::Double) * b).sum(Kind::Double).double_value(&[]);
            let (forward, backward) = (dot(&output, &output), dot(&gradient, &operands[2]));
            assert!((backward / forward - 1.0).abs() < 1e-2, "{backend:?}: {forward} forward, {backward} backward");
            results.push(output.copy());
        }
        assert!(replays.replaying());
        for (i, result) in results.iter().enumerate() {
            assert!(results[..i].iter().all(|other| other != result), "{backend:?}");
        }
    }
}
