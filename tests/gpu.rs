//! What only an NVIDIA GPU shows. `make test-gpu` runs these and fails without one; elsewhere they skip.

use std::fs;
use std::path::Path;
use std::process::Command;
use synth::attention::attend::{attend_by, choose};
use synth::attention::options::AttentionOptions;
use synth::attention::scores::{Factors, Table, at_least_float};
use synth::attention::{
    Dimensions, Dropout, Mask, Pass, Path as AttentionPath, Scores, SynthesizedAttention, TokenMixer,
};
use synth::libtorch::memory::{cuda_memory, reset_cuda_peak};
use synth::libtorch::optimizer::LearningRate;
use synth::parameters::{Init, Parameters};
use synth::randomness::DropoutKey;
use synth::train::optimizer::AdamW;
use synth::train::options::OptimizerOptions;
use tch::{Cuda, Device, Kind, Tensor};

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn gpu() -> bool {
    if !Cuda::is_available() {
        assert!(std::env::var_os("SYNTH_TEST_GPU").is_none(), "SYNTH_TEST_GPU is set and there is no CUDA device");
        eprintln!("skipped: no CUDA device");
    }
    Cuda::is_available()
}

fn normal(seed: u64, shape: &[i64]) -> Tensor {
    let mut parameters = Parameters::new(seed, Device::Cpu, Kind::Double);
    parameters.root().tensor("x", shape, Init::Normal(1.0)).detach()
}

/// Relative distance of outputs and gradients from the float64 reference on the CPU. `parts` are the values, and what
/// the scores are made of; masks of a dropout above 0 are the counter hash's on both devices.
fn distance(
    scores: &dyn Fn(&[Tensor]) -> Scores,
    parts: &[Tensor],
    path: AttentionPath,
    kind: Kind,
    (mask, dropout): (&Mask, f64),
) -> f64 {
    let run = |device: Device, kind: Kind, path: AttentionPath| {
        let leaves: Vec<Tensor> =
            parts.iter().map(|part| part.to_device(device).to_kind(kind).detach().set_requires_grad(true)).collect();
        let lengths = mask.key_lengths.as_ref().map(|lengths| lengths.to_device(device));
        let mask = Mask { causal: mask.causal, key_lengths: lengths };
        let key = DropoutKey::start(1, 2, 3, device);
        let dropout = if dropout > 0.0 { Dropout::new(dropout, &key, 4) } else { Dropout::NONE };
        let y = attend_by(path, &scores(&leaves), &leaves[0], &mask, dropout).unwrap();
        let upstream = normal(9, &y.size()).to_device(device).to_kind(kind);
        (&y * upstream).sum(kind).backward();
        let grads = leaves.iter().map(Tensor::grad);
        let all: Vec<Tensor> =
            [y.detach()].into_iter().chain(grads).map(|t| t.to_device(Device::Cpu).to_kind(Kind::Double)).collect();
        all
    };
    let reference = run(Device::Cpu, Kind::Double, AttentionPath::Materialised);
    let found = run(Device::Cuda(0), kind, path);
    let norm = |t: &Tensor| t.norm().double_value(&[]);
    reference.iter().zip(&found).map(|(a, b)| norm(&(a - b)) / norm(a).max(1e-9)).fold(0.0, f64::max)
}

fn product(leaves: &[Tensor]) -> Scores {
    Scores { q: Some(&leaves[1] * 0.3), k: Some(leaves[2].shallow_clone()), ..Scores::default() }
}

fn table(leaves: &[Tensor]) -> Scores {
    // A table is float32 at least, as in training.
    Scores::of_table(at_least_float(&leaves[1]))
}

/// A product with learned keys, a weighted table and two factors, all at once.
fn everything(leaves: &[Tensor]) -> Scores {
    Scores {
        q: Some(&leaves[1] * 0.3),
        k: Some(leaves[2].shallow_clone()),
        tables: vec![Table { table: at_least_float(&leaves[3]), weight: Some(at_least_float(&leaves[4])) }],
        factors: Some(Factors { a: leaves[5].shallow_clone(), b: leaves[6].shallow_clone() }),
        from_input: true,
    }
}

#[test]
fn gpu_attention_paths_equal_the_float64_reference() {
    if !gpu() {
        return;
    }
    let full = |name: u64, n: i64, w: i64| normal(name, &[3, 4, n, w]);
    let padded = |causal| Mask { causal, key_lengths: Some(Tensor::from_slice(&[17i64, 5, 1])) };
    for n in [17, 64] {
        for w in [12, 64] {
            let qkv = [full(1, n, w), full(2, n, w), full(3, n, w)];
            let vr = [full(4, n, w), normal(5, &[1, 4, n, n])];
            let learned_keys = normal(6, &[1, 4, n, w]);
            let shared_table = [normal(7, &[1, 4, n, n]), normal(8, &[1, 4, 1, 1])];
            let factors = [full(10, n, 8), full(11, n, 8)];
            let all = [&qkv[..2], &[learned_keys], &shared_table[..], &factors[..]].concat_all();
            for (kind, bound) in [(Kind::Double, 1e-11), (Kind::Float, 1e-5), (Kind::BFloat16, 2e-2)] {
                for mask in [Mask::causal(), Mask::default(), padded(false)] {
                    let what = format!("{kind:?} n {n} w {w} {mask:?}");
                    for dropout in [0.0, 0.2] {
                        let shared = distance(&table, &vr, AttentionPath::Shared, kind, (&mask, dropout));
                        let blocks = distance(&everything, &all, AttentionPath::Blockwise, kind, (&mask, dropout));
                        assert!(shared < bound, "shared {what} dropout {dropout}: {shared:e}");
                        assert!(blocks < bound, "blockwise {what} dropout {dropout}: {blocks:e}");
                    }
                    // The stock kernels have no float64; their dropout is not ours.
                    if kind != Kind::Double {
                        let fused = distance(&product, &qkv, AttentionPath::Fused, kind, (&mask, 0.0));
                        assert!(fused < bound, "fused {what}: {fused:e}");
                    }
                }
            }
        }
    }
}

/// Several lists of tensors as one.
trait ConcatAll {
    fn concat_all(self) -> Vec<Tensor>;
}

impl<const N: usize> ConcatAll for [&[Tensor]; N] {
    fn concat_all(self) -> Vec<Tensor> {
        self.into_iter().flatten().map(Tensor::shallow_clone).collect()
    }
}

#[test]
fn gpu_training_with_dropout_takes_the_fused_path() {
    if !gpu() {
        return;
    }
    for kind in [Kind::BFloat16, Kind::Float] {
        let part = || normal(1, &[2, 4, 64, 32]).to_device(Device::Cuda(0)).to_kind(kind).set_requires_grad(true);
        let scores = Scores { q: Some(part()), k: Some(part()), ..Scores::default() };
        assert_eq!(choose(&scores, &part(), &Mask::causal(), 0.1), AttentionPath::Fused, "{kind:?}");
    }
}

/// Most bytes in tensors during a forward and backward pass of one layer over a batch of one.
fn layer_peak(kind: &str, hidden: i64, n: i64, dropout: f64, compute: Kind) -> i64 {
    let dimensions = Dimensions { d_model: 256, heads: 4, head_width: 64, max_length: n };
    let mut options = AttentionOptions::default();
    options.dense.hidden = Some(hidden);
    let mut parameters = Parameters::new(1, Device::Cuda(0), Kind::Float);
    let layer = SynthesizedAttention::new(parameters.root(), kind.parse().unwrap(), &options, dimensions, dropout, 1.0);
    let x = Tensor::ones([1, n, 256], (Kind::Float, Device::Cuda(0))).set_requires_grad(true);
    let key = DropoutKey::start(1, 0, 0, Device::Cuda(0));
    let before = cuda_memory(0).unwrap().allocated;
    reset_cuda_peak(0).unwrap();
    let y = layer.forward(&x, &Mask::causal(), Pass { compute, dropout: Some(&key) }).unwrap();
    y.sum(Kind::Float).backward();
    cuda_memory(0).unwrap().peak_allocated - before
}

#[test]
fn gpu_memory_is_linear_in_the_length() {
    if !gpu() {
        return;
    }
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

#[test]
fn gpu_adamw_equals_the_cpu() {
    if !gpu() {
        return;
    }
    let run = |device: Device| {
        let mut parameters = Parameters::new(1, device, Kind::Float);
        let weight = parameters.root().tensor("w", &[33, 5], Init::Normal(1.0));
        let adamw = AdamW::new(&parameters, &OptimizerOptions::default()).unwrap();
        for step in 0..5 {
            (&weight * &weight * 0.5).sum(Kind::Float).backward();
            // The third update is skipped, on the device's own word.
            let skip = Tensor::from(if step == 2 { 1f32 } else { 0.0 }).to_device(device);
            adamw.update(LearningRate::Host(0.1), &skip).unwrap();
            adamw.zero_gradients().unwrap();
        }
        weight.detach().to_device(Device::Cpu)
    };
    let gap = (run(Device::Cpu) - run(Device::Cuda(0))).abs().max().double_value(&[]);
    assert!(gap < 1e-5, "{gap:e}");
}

/// Trains a small model and gives the rows of the validation split and the last weights.
fn train(folder: &Path, run: &str, arguments: &[&str]) -> (Vec<f64>, Vec<u8>) {
    let text: String = (0..3000).map(|i| format!("line {i} holds {} and {}\n", i * 7919 % 1000, i * i % 77)).collect();
    fs::write(folder.join("text.txt"), text).unwrap();
    let experiment = folder.join("small.toml");
    fs::write(
        &experiment,
        r#"
name = "small"
task.kind = "language-modeling"
data = { path = "text.txt", split = [0.9, 0.1] }
model = { layers = 2, d_model = 64, heads = 4, max_length = 64, dropout = 0.1 }
optimizer = { lr = 0.002, schedule = { kind = "constant", warmup = 20 } }
train = { steps = 200, batch_size = 16, eval_every = 50, log_every = 20, checkpoint_every = 100 }
"#,
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.arg("train").arg(&experiment).arg("--results").arg(folder).args(["--resume", "--run", run]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let place = folder.join("small").join(run);
    let mut reader = csv::Reader::from_path(place.join("metrics.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap).filter(|row| &row[3] == "validation");
    let losses = rows.map(|row| row[4].parse().unwrap()).collect();
    let last = fs::read_to_string(place.join("checkpoints/last")).unwrap();
    (losses, fs::read(place.join("checkpoints").join(last.trim()).join("model.safetensors")).unwrap())
}

#[test]
fn gpu_kinds_learn_in_bf16_as_on_the_cpu() {
    if !gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for kind in ["vanilla", "dense", "factorized-dense", "random", "factorized-random", "random+vanilla"] {
        let set = format!("attention.kind={kind}");
        // Devices draw different masks: without dropout they differ by rounding alone.
        let common = ["--set", "model.dropout=0", "--set", &set];
        let (cpu, _) = train(folder.path(), &format!("{kind}-cpu"), &[&common[..], &["--device", "cpu"]].concat());
        let bf16 = [&common[..], &["--device", "cuda", "--set", "train.precision=bf16"]].concat();
        let (cuda, _) = train(folder.path(), &format!("{kind}-cuda"), &bf16);
        // Between, losses fall by a half in 20 updates; those of the last four kinds still move by 0.1 at the end.
        assert!((cpu[0] - cuda[0]).abs() < 0.01, "{kind} early: {cpu:?} on the CPU, {cuda:?} on the GPU");
        let settled = if matches!(kind, "vanilla" | "random") { 0.05 } else { 0.1 };
        assert!((cpu[3] - cuda[3]).abs() < settled, "{kind} in the end: {cpu:?} on the CPU, {cuda:?} on the GPU");
        assert!(cuda.windows(2).all(|pair| pair[1] < pair[0]), "{kind}: {cuda:?}");
    }
}

#[test]
fn gpu_a_resumed_deterministic_run_ends_in_the_same_bytes() {
    if !gpu() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("vanilla", "bf16"),
        ("random", "bf16"),
        ("factorized-dense", "bf16"),
        ("random+vanilla", "bf16"),
        ("vanilla", "fp32"),
        ("random", "fp32"),
        ("dense+factorized-random", "fp32"),
    ];
    for (kind, precision) in cases {
        let sets = [format!("attention.kind={kind}"), format!("train.precision={precision}")];
        let common = ["--device", "cuda", "--deterministic", "--set", &sets[0], "--set", &sets[1]];
        let (_, straight) = train(folder.path(), &format!("{kind}-{precision}-straight"), &common);
        let cut = format!("{kind}-{precision}-cut");
        train(folder.path(), &cut, &[&common[..], &["--set", "train.steps=100"]].concat());
        let (_, resumed) = train(folder.path(), &cut, &common);
        assert!(straight == resumed, "{kind} {precision}");
    }
}

#[test]
fn gpu_memory_is_known_before_the_first_tensor() {
    if !gpu() {
        return;
    }
    let doctor = Command::new(env!("CARGO_BIN_EXE_synth")).args(["doctor", "--json"]).output().unwrap();
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let device = &findings["devices"][1];
    assert!(device["memory_gib"].as_f64().is_some_and(|total| total > 1.0), "{device}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text.txt"), "enough text to be cut in two").unwrap();
    let experiment = folder.path().join("huge.toml");
    let text = "name = \"huge\"\ntask.kind = \"language-modeling\"\ntrain.steps = 1\n\
                data = { path = \"text.txt\", split = [0.5, 0.5] }\nmodel.d_model = 100000000\n";
    fs::write(&experiment, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.arg("train").arg(&experiment).args(["--device", "cuda", "--results"]).arg(folder.path());
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cuda:0 has") && stderr.contains("GiB available"), "{stderr}");
}
