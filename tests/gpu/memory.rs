//! What attention takes of the GPU's memory.

use crate::gpu;
use synth::attention::options::AttentionOptions;
use synth::attention::{Dimensions, Mask, Pass, SynthesizedAttention, TokenMixer};
use synth::kernels::dropout::DropoutKey;
use synth::libtorch::memory::{cuda_memory, reset_cuda_peak};
use synth::parameters::Parameters;
use tch::{Device, Kind, Tensor};

/// Most bytes in tensors during a forward and backward pass of one layer over a batch of one.
fn layer_peak(kind: &str, hidden: i64, n: i64, dropout: f64, compute: Kind) -> i64 {
    let dimensions = Dimensions { d_model: 256, heads: 4, head_width: 64, max_length: n };
    let mut options = AttentionOptions::default();
    options.dense.hidden = Some(hidden);
    let mut parameters = Parameters::new(1, Device::Cuda(0), Kind::Float);
    let layer = SynthesizedAttention::new(parameters.root(), kind.parse().unwrap(), &options, dimensions, dropout, 1);
    let x = Tensor::ones([1, n, 256], (Kind::Float, Device::Cuda(0))).set_requires_grad(true);
    let key = DropoutKey::start(1, 0, 0, Device::Cuda(0));
    let before = cuda_memory(0).unwrap().allocated;
    reset_cuda_peak(0).unwrap();
    let y = layer.forward(&x, &Mask::causal(), Pass { dropout: Some(&key), ..Pass::evaluation(compute) }).unwrap();
    y.sum(Kind::Float).backward();
    cuda_memory(0).unwrap().peak_allocated - before
}

#[test]
fn gpu_memory_is_linear_in_the_length() {
    let Some(_turn) = gpu() else { return };
    // The first products take their workspace, which stays.
    for compute in [Kind::Float, Kind::BFloat16] {
        layer_peak("factorized-dense", 64, 64, 0.1, compute);
    }
    let linear =
        ["vanilla", "dense", "factorized-random", "factorized-dense", "dense+vanilla", "factorized-random+vanilla"];
    for (compute, hidden, dropout) in
        [(Kind::Float, 64, 0.0), (Kind::Float, 320, 0.1), (Kind::BFloat16, 64, 0.1), (Kind::BFloat16, 320, 0.0)]
    {
        for kind in linear {
            let [two, four, eight] = [2048, 4096, 8192].map(|n| layer_peak(kind, hidden, n, dropout, compute));
            // What a line would add from 4,096 to 8,192 is twice what it added before; N² four times.
            let what = format!("{kind} {compute:?} hidden {hidden} dropout {dropout}: {two}, {four}, {eight} bytes");
            assert!(eight - four < 5 * (four - two) / 2 + (8 << 20), "{what}");
            // N² of the four heads in float32 is 1 GiB.
            assert!(eight < 512 << 20, "{what}");
        }
        // R's gradient is one N × N per head; nothing else is.
        let [with, without] =
            ["random+vanilla", "dense+vanilla"].map(|kind| layer_peak(kind, hidden, 8192, dropout, compute));
        let table = 4 * 8192 * 8192 * 4;
        assert!(with - without < table + (64 << 20), "{with} and {without} bytes");
    }
}
