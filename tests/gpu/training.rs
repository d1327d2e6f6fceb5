//! Training on a GPU against the CPU, and against itself.

use crate::gpu;
use crate::runs::train;
use std::process::Command;
use synth::libtorch::optimizer::LearningRate;
use synth::parameters::{Init, Parameters};
use synth::train::optimizer::Optimizer;
use synth::train::options::{AdafactorOptions, OptimizerKind, OptimizerOptions};
use tch::{Device, Kind, Tensor};

#[test]
fn gpu_every_rule_equals_the_cpu() {
    let Some(_turn) = gpu() else { return };
    let adafactor = AdafactorOptions { min_factored: 5, beta1: 0.9, ..Default::default() };
    let [adamw, adafactor, sgd] = [OptimizerKind::Adamw, OptimizerKind::Adafactor, OptimizerKind::Sgd]
        .map(|kind| OptimizerOptions { kind, momentum: 0.9, adafactor: adafactor.clone(), ..Default::default() });
    let nesterov = OptimizerOptions { nesterov: true, ..sgd.clone() };
    for options in [adamw, adafactor, OptimizerOptions { momentum: 0.0, ..sgd.clone() }, sgd, nesterov] {
        devices_agree(&options);
    }
}

fn devices_agree(options: &OptimizerOptions) {
    let run = |device: Device| {
        let mut parameters = Parameters::new(1, device, Kind::Float);
        let weight = parameters.root().tensor("w", &[33, 5], Init::Normal(1.0));
        let optimizer = Optimizer::new(&parameters, options, Kind::BFloat16).unwrap();
        for step in 0..5 {
            (&weight * &weight * 0.5).sum(Kind::Float).backward();
            // The third update is skipped, on the device's own word.
            let skip = Tensor::from(if step == 2 { 1f32 } else { 0.0 }).to_device(device);
            let gradients = optimizer.gradients().unwrap();
            if step == 2 {
                let _ = gradients.list[0].shallow_clone().fill_(f64::NAN);
            }
            optimizer.update(&gradients, 1.0, LearningRate::Host(0.1), &skip).unwrap();
            optimizer.zero_gradients().unwrap();
        }
        weight.detach().to_device(Device::Cpu)
    };
    let gap = (run(Device::Cpu) - run(Device::Cuda(0))).abs().max().double_value(&[]);
    assert!(gap < 1e-5, "{options:?}: {gap:e}");
}

/// The evaluations of a training measure the average, not the weights or copies of them in bfloat16.
#[test]
fn gpu_evaluations_measure_the_average() {
    let Some(_turn) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let sets = ["train.precision=bf16", "train.ema=0.99", "train.steps=100", "train.eval_every=100"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).chain(["--device", "cuda"]).collect();
    let (losses, _) = train(folder.path(), "average", &sets);
    let measured = |weights: &str| -> f64 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
        command.arg("eval").arg(folder.path().join("small/average")).args(["--json", "--weights", weights]);
        let output = command.args(["--device", "cuda"]).output().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        record["loss"].as_f64().unwrap()
    };
    let newest = *losses.last().unwrap();
    let (average, trained) = (measured("ema"), measured("trained"));
    assert!((newest - average).abs() < 1e-3, "{newest} in training, {average} afterwards");
    assert!((newest - trained).abs() > 1e-2, "{newest} is the loss of the weights themselves, {trained}");
}

#[test]
fn gpu_kinds_learn_in_bf16_as_on_the_cpu() {
    let Some(_turn) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    for kind in ["vanilla", "dense", "factorized-dense", "random", "factorized-random", "random+vanilla"] {
        let set = format!("attention.kind={kind}");
        // The two that have settled differ from run to run on a GPU as much as devices do: their mean counts.
        let seeds = if matches!(kind, "vanilla" | "random") { 1..=3 } else { 1..=1 };
        let count = seeds.clone().count() as f64;
        let mut gap = 0.0;
        for seed in seeds {
            let (set_seed, run) = (format!("seed={seed}"), format!("{kind}-s{seed}"));
            // Devices draw different masks: without dropout they differ by rounding alone.
            let common = ["--set", "model.dropout=0", "--set", &set, "--set", &set_seed];
            let name = |device: &str| format!("{run}-{device}");
            let (cpu, _) = train(folder.path(), &name("cpu"), &[&common[..], &["--device", "cpu"]].concat());
            let bf16 = [&common[..], &["--device", "cuda", "--set", "train.precision=bf16"]].concat();
            let (cuda, _) = train(folder.path(), &name("cuda"), &bf16);
            // Between, losses fall by a half in 20 updates; those of the last four kinds still move by 0.1 at the end.
            assert!((cpu[0] - cuda[0]).abs() < 0.01, "{kind} early: {cpu:?} on the CPU, {cuda:?} on the GPU");
            assert!(cuda.windows(2).all(|pair| pair[1] < pair[0]), "{kind}: {cuda:?}");
            gap += (cuda[3] - cpu[3]) / count;
        }
        let settled = if count > 1.0 { 0.05 } else { 0.1 };
        assert!(gap.abs() < settled, "{kind}: {gap} more on the GPU in the end");
    }
}

#[test]
fn gpu_a_resumed_deterministic_run_ends_in_the_same_bytes() {
    let Some(_turn) = gpu() else { return };
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
