//! Work recorded as CUDA graphs against the same work kernel by kernel, to the bit.

use crate::gpu;
use crate::runs::{command, last, validation_losses};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use synth::attention::Pass;
use synth::libtorch::context::Algorithms;
use synth::model::vocabulary_loss::Loss;
use synth::parameters::{Init, Parameters};
use synth::runs::Split;
use synth::tasks::feed::{HostArray, HostBatch, Origin};
use synth::tasks::{Batches, Evaluation, MicroBatch, Request, Task};
use synth::train::meter::{Meter, MeterState};
use synth::train::optimizer::Optimizer;
use synth::train::options::OptimizerOptions;
use synth::train::stepper::{Course, Stepper};
use synth::train::update::Update;
use tch::{Device, Kind, Reduction, Tensor};

/// Set where a test has a process of its own.
const ALONE: &str = "SYNTH_TEST_ALONE";
/// What is said where work cannot be recorded.
const FALLBACK: &str = "kernel by kernel";

/// Trains without and with graphs; what comes out is the same, and nothing fell back.
fn compare(folder: &Path, name: &str, sets: &[&str]) {
    let train = |graphs: bool| {
        let run = format!("{name}-{}", if graphs { "graphs" } else { "kernels" });
        let graphs = format!("train.cuda_graph={graphs}");
        let mut arguments = vec!["--device", "cuda", "--deterministic", "--set", &graphs];
        arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
        let output = command(folder, &run, &arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !stderr.contains(FALLBACK), "{name}: {stderr}");
        let average = sets.iter().any(|set| set.starts_with("train.ema="));
        let files = ["model.safetensors", "optimizer.safetensors"].into_iter();
        let files = files.chain(average.then_some("ema.safetensors"));
        (validation_losses(folder, &run), files.map(|file| last(folder, &run, file)).collect::<Vec<_>>())
    };
    let (kernels, graphs) = (train(false), train(true));
    assert_eq!(kernels.0, graphs.0, "{name}: losses on the validation split");
    assert!(kernels.1 == graphs.1, "{name}: weights or optimizer differ");
}

/// Every option of the loop, and every path of attention.
#[test]
fn gpu_graphs_equal_kernels_for_every_option() {
    let Some(_turn) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let steps = "train.steps=60";
    let cases: [(&str, &[&str]); 28] = [
        ("vanilla", &["train.precision=bf16"]),
        ("bfloat16-stream", &["train.precision=bf16", "model.residual_stream=bfloat16"]),
        ("vanilla-fp32", &["optimizer.schedule.kind=cosine"]),
        ("vanilla-fp64", &["train.precision=fp64", "train.steps=20", "model.d_model=16"]),
        ("objective", &["train.precision=bf16", "train.label_smoothing=0.1", "train.z_loss=0.001"]),
        ("objective-fp32", &["train.label_smoothing=0.1", "train.accumulate=2", "train.samples=2"]),
        ("accumulate", &["train.precision=bf16", "train.accumulate=3"]),
        ("no-clipping", &["train.precision=bf16", "optimizer.clip_norm=0", "optimizer.schedule.kind=inverse-sqrt"]),
        ("no-dropout", &["train.precision=bf16", "model.dropout=0", "optimizer.weight_decay=0"]),
        ("random", &["train.precision=bf16", "attention.kind=random", "train.accumulate=2"]),
        ("fixed-random", &["attention.kind=fixed-random"]),
        ("dense", &["train.precision=bf16", "attention.kind=dense", "attention.dense.bias=true"]),
        ("factorized-dense", &["train.precision=bf16", "attention.kind=factorized-dense"]),
        ("mixture", &["train.precision=bf16", "attention.kind=factorized-random+random+vanilla"]),
        ("hybrid", &["attention.layers=[\"factorized-random\", \"dense+vanilla\"]", "attention.bias=true"]),
        (
            "adafactor",
            &[
                "train.precision=bf16",
                "optimizer.kind=adafactor",
                "optimizer.adafactor.min_factored=64",
                "optimizer.adafactor.beta1=0.9",
                "optimizer.schedule.kind=linear",
            ],
        ),
        (
            "adafactor-fp64",
            &[
                "train.precision=fp64",
                "train.steps=20",
                "model.d_model=16",
                "optimizer.kind=adafactor",
                "optimizer.adafactor.min_factored=16",
                "optimizer.adafactor.clip_threshold=0",
                "optimizer.adafactor.scale_by_parameter=false",
            ],
        ),
        ("sgd", &["optimizer.kind=sgd", "optimizer.lr=0.1", "optimizer.schedule.kind=one-cycle"]),
        (
            "nesterov",
            &[
                "train.precision=bf16",
                "optimizer.kind=sgd",
                "optimizer.lr=0.05",
                "optimizer.momentum=0.9",
                "optimizer.nesterov=true",
                "optimizer.clip_norm=0.5",
                "train.accumulate=2",
            ],
        ),
        ("ema", &["train.precision=bf16", "train.ema=0.9"]),
        ("ema-accumulated", &["train.ema=0.9", "train.accumulate=2", "optimizer.kind=adafactor"]),
        (
            "constant-of-the-width",
            &["train.ema=0.5", "optimizer.schedule.kind=inverse-sqrt", "optimizer.schedule.constant=0.05"],
        ),
        (
            "other-model",
            &["model.activation=gelu", "model.bias=false", "model.init=gpt2", "model.positions=sinusoidal"],
        ),
        ("t5", &["train.precision=bf16", "model.norm=rms", "model.activation=swiglu", "model.positions=relative"]),
        ("post-norm", &["train.precision=bf16", "model.norm_position=post", "model.init=xavier"]),
        (
            "recompute",
            &[
                "train.precision=bf16",
                "train.recompute=true",
                "model.positions=relative",
                "attention.kind=random+vanilla",
            ],
        ),
        ("recompute-shared", &["train.precision=bf16", "train.recompute=true", "attention.kind=random"]),
        (
            "untied",
            &["train.precision=bf16", "model.tie_embeddings=false", "model.positions=none", "train.eval_batches=3"],
        ),
    ];
    for (name, sets) in cases {
        compare(folder.path(), name, &[&[steps, "train.eval_every=20"], sets].concat());
    }
}

#[test]
fn gpu_300_steps_end_in_the_same_bytes_also_when_killed_and_resumed() {
    let Some(_turn) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let sets = ["train.precision=bf16", "train.steps=300", "train.checkpoint_every=50", "train.keep=9"];
    compare(folder.path(), "straight", &sets);
    let mut arguments = vec!["--device", "cuda", "--deterministic"];
    arguments.extend(sets.iter().flat_map(|set| ["--set", set]));
    let mut child = command(folder.path(), "killed", &arguments).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = folder.path().join("small/killed/checkpoints/last");
    let begun = Instant::now();
    while !checkpoint.exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path().join("small/killed/summary.json").exists(), "it was killed before its end");
    assert!(command(folder.path(), "killed", &arguments).output().unwrap().status.success());
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let of = |run| last(folder.path(), run, file);
        assert!(of("straight-graphs") == of("killed"), "{file}");
    }
}

/// Predicts each token from itself, in batches of three shapes in turn.
struct Shapes {
    parameters: Parameters,
    table: Tensor,
}

struct ShapesBatches;

impl Batches for ShapesBatches {
    fn micro_batch(&self, index: u64) -> anyhow::Result<HostBatch> {
        let [rows, length] = [[4, 8], [2, 16], [3, 5]][index as usize % 3];
        let values = (0..rows * length).map(|i| (i * 7 + index as i64) % 11).collect::<Vec<_>>();
        let array = HostArray { shape: vec![rows, length], values };
        Ok(HostBatch {
            arrays: vec![array],
            target_tokens: (rows * length) as u64,
            source_tokens: 0,
            origin: Origin::default(),
        })
    }
}

impl Task for Shapes {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn batches(&self) -> Arc<dyn Batches> {
        Arc::new(ShapesBatches)
    }

    fn examples(&self) -> u64 {
        3
    }

    fn examples_per_micro_batch(&self) -> u64 {
        1
    }

    fn largest_micro_batch(&self) -> MicroBatch {
        MicroBatch { rows: 4, source: 0, target: 8 }
    }

    fn loss(&self, arrays: &[Tensor], _: Pass<'_>) -> anyhow::Result<Loss> {
        let x = Tensor::embedding(&self.table, &arrays[0], -1, false, false).dropout(0.3, true);
        let logits = x.matmul(&self.table.transpose(0, 1)).flatten(0, 1);
        let targets = arrays[0].flatten(0, 1);
        Ok(Loss::plain(logits.cross_entropy_loss(&targets, None::<Tensor>, Reduction::Sum, -100, 0.0)))
    }

    fn metric_names(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn evaluate(&self, _: Split, _: Request<'_>) -> anyhow::Result<Option<Evaluation>> {
        Ok(None)
    }

    fn attention_paths(&self, _: Kind) -> anyhow::Result<Vec<synth::attention::Path>> {
        Ok(Vec::new())
    }

    fn has(&self, split: Split) -> bool {
        split == Split::Train
    }
}

#[test]
fn gpu_batches_of_several_shapes_each_have_their_graph() {
    let Some(_turn) = gpu() else { return };
    // Switches of libtorch are the process's: the other tests keep theirs.
    if std::env::var_os(ALONE).is_none() {
        let name = "graphs::gpu_batches_of_several_shapes_each_have_their_graph";
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        assert!(command.args(["--exact", name]).env(ALONE, "1").status().unwrap().success());
        return;
    }
    Algorithms::of_this_process().fix().unwrap();
    for accumulate in [1, 2] {
        let train = |graphs: bool| {
            let mut parameters = Parameters::new(1, Device::Cuda(0), Kind::Float);
            let table = parameters.root().tensor("table", &[11, 6], Init::Normal(0.5));
            let task = Shapes { parameters, table };
            let optimizer = Optimizer::new(&task.parameters, &OptimizerOptions::default(), Kind::Float).unwrap();
            let update = Update {
                task: &task,
                optimizer: &optimizer,
                ema: None,
                compute: Kind::Float,
                accumulates: accumulate > 1,
                clip_norm: 1.0,
            };
            let rate = Box::new(|step| 0.01 / (step + 1) as f64);
            let course = Course { seed: 3, accumulate, first: 0, end: 24, rate, log: false };
            let mut stepper = Stepper::new(update, course, Device::Cuda(0), graphs).unwrap();
            let mut meter = Meter::new(Device::Cuda(0), MeterState::default());
            for _ in 0..24 {
                stepper.step(&mut meter).unwrap();
            }
            assert_eq!(stepper.captured(), graphs);
            assert!(stepper.step(&mut meter).is_err(), "the course has an end");
            let reading = meter.read().unwrap();
            (Vec::<f32>::try_from(task.table.detach().to_device(Device::Cpu).flatten(0, 1)).unwrap(), reading)
        };
        let (kernels, graphs) = (train(false), train(true));
        assert_eq!(kernels, graphs, "accumulate {accumulate}");
        assert_eq!(graphs.1.steps, 24);
    }
}
