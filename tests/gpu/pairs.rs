//! Encoder-decoders on a GPU against the CPU, and against themselves.

use crate::gpu;
use crate::runs::{last, validation_losses};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Words in another order, of very different lengths: many shapes of batches, and padding in all.
fn write_pairs(folder: &Path) {
    let words = ["ab", "cde", "f", "ghi", "jk", "lmno", "p", "qr"];
    let source = |i: usize| -> Vec<&str> { (0..1 + i * 7 % 11).map(|j| words[(i * 31 + j * j * 5) % 8]).collect() };
    let (mut sources, mut targets) = (String::new(), String::new());
    for i in 0..600 {
        let source = source(i);
        sources += &format!("{}\n", source.join(" "));
        targets += &format!("{}\n", source.iter().rev().copied().collect::<Vec<_>>().join(" "));
    }
    fs::write(folder.join("a.src"), sources).unwrap();
    fs::write(folder.join("a.tgt"), targets).unwrap();
    let experiment = r#"
name = "small"
task.kind = "translation"
tokenizer.kind = "word"
data = { train = ["a.src", "a.tgt"], validation = ["a.src", "a.tgt"] }
model = { architecture = "encoder-decoder", layers = 2, d_model = 64, heads = 4, max_length = 24, dropout = 0.1 }
optimizer = { lr = 0.003, schedule = { kind = "constant", warmup = 20 } }
train = { steps = 60, batch_tokens = 384, eval_every = 30, log_every = 20, checkpoint_every = 30, label_smoothing = 0.1, eval_generate = false }
"#;
    fs::write(folder.join("small.toml"), experiment).unwrap();
}

fn train(folder: &Path, run: &str, arguments: &[&str]) -> (Vec<f64>, Vec<u8>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.arg("train").arg(folder.join("small.toml")).arg("--results").arg(folder);
    command.env("SYNTH_DATA", folder.join("data"));
    let output = command.args(["--resume", "--run", run]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (validation_losses(folder, run), last(folder, run, "model.safetensors"))
}

#[test]
fn gpu_pairs_are_learned_as_on_the_cpu() {
    let Some(_turn) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    write_pairs(folder.path());
    let kinds = ["vanilla", "random", "factorized-dense", "dense+vanilla"];
    for kind in kinds {
        let kind_set = format!("attention.kind={kind}");
        let losses = |run: &str, device: &str, sets: &[&str]| {
            let sets = sets.iter().flat_map(|set| ["--set", set]);
            let arguments: Vec<&str> = sets.chain(["--set", &kind_set, "--device", device]).collect();
            train(folder.path(), &format!("{kind}-{run}"), &arguments).0
        };
        let plain = ["model.dropout=0", "train.steps=30"];
        let (cpu, gpu) = (losses("cpu", "cpu", &plain), losses("gpu", "cuda", &plain));
        assert!((cpu[0] - gpu[0]).abs() < 2e-3, "{kind}: {cpu:?} {gpu:?}");
        let narrow = losses("bf16", "cuda", &["model.dropout=0", "train.steps=30", "train.precision=bf16"]);
        assert!((cpu[0] - narrow[0]).abs() < 0.05, "{kind}: {cpu:?} {narrow:?}");
    }
}

#[test]
fn gpu_recorded_steps_of_pairs_equal_others_also_when_resumed() {
    let Some(_turn) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    write_pairs(folder.path());
    for (name, sets) in [
        ("fp32", vec!["train.precision=fp32"]),
        ("bf16", vec!["train.precision=bf16", "attention.kind=random+vanilla", "train.accumulate=2"]),
        ("random", vec!["train.precision=bf16", "attention.kind=random", "attention.cross=dense"]),
    ] {
        let run = |run: &str, more: &[&str]| {
            let sets = sets.iter().chain(more).flat_map(|set| ["--set", set]);
            let arguments: Vec<&str> = sets.chain(["--deterministic", "--device", "cuda"]).collect();
            train(folder.path(), &format!("{name}-{run}"), &arguments).1
        };
        let recorded = run("recorded", &[]);
        assert!(recorded == run("eager", &["train.cuda_graph=false"]), "{name}: a recorded step is another");
        run("resumed", &["train.steps=30"]);
        assert!(recorded == run("resumed", &["train.steps=60"]), "{name}: a resumed run is another");
    }
}

#[test]
fn gpu_outputs_are_those_of_the_cpu() {
    let Some(_turn) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    write_pairs(folder.path());
    for (precision, least, bound) in [("fp32", 590, 1e-2), ("bf16", 540, 0.2)] {
        let set = format!("train.precision={precision}");
        train(folder.path(), precision, &["--device", "cuda", "--set", "train.steps=300", "--set", &set]);
        let (cpu, gpu) = (outputs(folder.path(), precision, "cpu"), outputs(folder.path(), precision, "cuda"));
        // Rounding may turn what is as good as a tie.
        let pairs = || cpu.iter().zip(&gpu);
        let same: Vec<f64> = pairs().filter(|(a, b)| a.0 == b.0).map(|(a, b)| (a.1 - b.1).abs()).collect();
        assert!(cpu.len() == 600 && same.len() >= least, "{precision}: {} of {} outputs", same.len(), cpu.len());
        let gap = same.into_iter().fold(0.0, f64::max);
        assert!(gap < bound, "{precision}: {gap}");
    }
}

/// The best output for each line of the sources and its score.
fn outputs(folder: &Path, run: &str, device: &str) -> Vec<(String, f64)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.arg("generate").arg(folder.join("small").join(run)).arg(folder.join("a.src"));
    let output = command.args(["--json", "--device", device]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let best = |line: &Value| {
        let best = &line["outputs"][0];
        (best["text"].as_str().unwrap().to_string(), best["score"].as_f64().unwrap())
    };
    record["lines"].as_array().unwrap().iter().map(best).collect()
}
