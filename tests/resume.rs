//! A run that was stopped at any moment and resumed ends in the bytes of one that never was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A text of a few hundred lines, and a model that reads it for many epochs.
struct Bench {
    folder: TempDir,
    experiment: PathBuf,
    steps: u64,
}

impl Bench {
    fn new(steps: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text: String =
            (0..400).map(|i| format!("line {i} holds {} and {}\n", i * 7919 % 1000, i * i % 77)).collect();
        fs::write(folder.path().join("text.txt"), text).unwrap();
        let experiment = folder.path().join("tiny.toml");
        fs::write(
            &experiment,
            format!(
                r#"
name = "tiny"
task.kind = "language-modeling"
data = {{ path = "text.txt", split = [0.9, 0.1] }}
tokenizer.kind = "char"
model = {{ layers = 2, d_model = 32, heads = 2, max_length = 32, dropout = 0.1 }}
attention.kind = "random"
optimizer = {{ lr = 0.003, schedule = {{ kind = "cosine", warmup = 5 }} }}
train = {{ steps = {steps}, batch_size = 8, accumulate = 2, eval_every = 7, log_every = 3, checkpoint_every = 5, keep = 2 }}
"#
            ),
        )
        .unwrap();
        Self { folder, experiment, steps }
    }

    fn command(&self, run: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
        command.arg("train").arg(&self.experiment).args(["--device", "cpu", "--resume", "--run", run]).args(more);
        command.arg("--results").arg(self.folder.path().join("results"));
        // One thread each: tests run beside each other, and threads that wait for cores spin.
        command.env("OMP_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Trains to the end.
    fn train(&self, run: &str, more: &[&str]) -> Output {
        let output = self.command(run, more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn run_folder(&self, run: &str) -> PathBuf {
        self.folder.path().join("results/tiny").join(run)
    }

    /// The bytes of the last checkpoint's weights, their average, where there is one, and optimizer.
    fn last(&self, run: &str) -> [Option<Vec<u8>>; 3] {
        let checkpoints = self.run_folder(run).join("checkpoints");
        let last = fs::read_to_string(checkpoints.join("last")).unwrap();
        assert_eq!(last, format!("step-{}\n", self.steps));
        let files = ["model.safetensors", "optimizer.safetensors", "ema.safetensors"];
        let [model, optimizer, ema] = files.map(|file| fs::read(checkpoints.join(last.trim()).join(file)).ok());
        assert!(model.is_some() && optimizer.is_some());
        [model, optimizer, ema]
    }

    /// The rows of metrics.csv without what a clock or the memory says.
    fn rows(&self, run: &str) -> Vec<Vec<String>> {
        let mut reader = csv::Reader::from_path(self.run_folder(run).join("metrics.csv")).unwrap();
        let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_string).collect::<Vec<_>>());
        rows.map(|row| {
            row.iter().enumerate().filter(|(i, _)| ![8, 9, 10, 11].contains(i)).map(|(_, cell)| cell.clone()).collect()
        })
        .collect()
    }

    fn assert_equal(&self, run: &str, straight: &str) {
        assert!(self.last(run) == self.last(straight), "{run} differs from {straight}");
        assert_eq!(self.rows(run), self.rows(straight), "{run}");
    }
}

fn wait_for(path: &Path) {
    wait_until(&format!("{} is there", path.display()), || path.exists());
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

/// Numbers that look random and are the same in every run of the test.
fn pseudo_random(seed: u64) -> u64 {
    (seed.wrapping_add(1).wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407)) >> 33
}

/// Starts a run and kills it at a moment of its own, up to `most` times or until it is done; then trains it to
/// the end. The answer is the number of kills.
fn train_under_fire(bench: &Bench, run: &str, more: &[&str], most: u64, seed: u64) -> u64 {
    for kills in 0..most {
        let mut child = bench.command(run, more).spawn().unwrap();
        // From before the first checkpoint to the end of the run, so that every phase is met.
        std::thread::sleep(Duration::from_millis(100 + pseudo_random(seed + kills) % 500));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{run} ended with {status}");
            return kills;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    bench.train(run, more);
    most
}

#[test]
fn killed_twenty_times_a_run_ends_in_the_same_bytes() {
    let bench = Bench::new(120);
    bench.train("straight", &[]);
    let (mut kills, mut runs) = (0, 0);
    while kills < 20 {
        let run = format!("killed-{runs}");
        kills += train_under_fire(&bench, &run, &[], 20 - kills, 100 * runs);
        bench.assert_equal(&run, "straight");
        runs += 1;
    }
}

#[test]
fn killed_runs_in_bf16_end_in_the_same_bytes() {
    let bench = Bench::new(40);
    let bf16 = ["--set", "train.precision=bf16", "--set", "attention.kind=vanilla"];
    bench.train("straight", &bf16);
    train_under_fire(&bench, "killed", &bf16, 5, 7);
    bench.assert_equal("killed", "straight");
}

/// Eight passes to an update, and checkpoints between updates alone: kills meet accumulations half done.
#[test]
fn killed_within_an_accumulation_all_that_is_kept_ends_in_the_same_bytes() {
    let bench = Bench::new(40);
    let rules: [(&str, &[&str]); 2] = [
        ("adafactor", &["optimizer.adafactor.beta1=0.9", "optimizer.adafactor.min_factored=32", "train.ema=0.9"]),
        ("sgd", &["optimizer.momentum=0.9", "optimizer.nesterov=true", "optimizer.lr=0.1"]),
    ];
    for (rule, sets) in rules {
        let kind = format!("optimizer.kind={rule}");
        let sets = [sets, &[kind.as_str(), "train.accumulate=8"]].concat();
        let more: Vec<&str> = sets.into_iter().flat_map(|set| ["--set", set]).collect();
        let (straight, killed) = (format!("{rule}-straight"), format!("{rule}-killed"));
        bench.train(&straight, &more);
        let mut child = bench.command(&killed, &more).spawn().unwrap();
        wait_for(&bench.run_folder(&killed).join("checkpoints/last"));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!bench.run_folder(&killed).join("summary.json").exists(), "it was killed before its end");
        train_under_fire(&bench, &killed, &more, 4, 11);
        bench.assert_equal(&killed, &straight);
        let [model, _, ema] = bench.last(&straight);
        assert_eq!(ema.is_some(), rule == "adafactor");
        assert!(ema != model);
    }
}

/// An experiment over pairs beside the bench's own, whose run is also called `tiny`.
fn pairs_bench(steps: u64) -> Bench {
    let bench = Bench::new(steps);
    let words = ["ant", "bee", "cat", "dog", "elk", "fox"];
    let line = |i: u64| (0..1 + i % 4).map(|k| words[(pseudo_random(9 * i + k) % 6) as usize]).collect::<Vec<_>>();
    for (split, range) in [("train", 0..150), ("validation", 150..160)] {
        let side = |of: &dyn Fn(Vec<&str>) -> String| range.clone().map(|i| of(line(i)) + "\n").collect::<String>();
        fs::write(bench.folder.path().join(format!("{split}.src")), side(&|words| words.join(" "))).unwrap();
        let reversed = side(&|words| words.into_iter().rev().collect::<Vec<_>>().join(" "));
        fs::write(bench.folder.path().join(format!("{split}.tgt")), reversed).unwrap();
    }
    let experiment = format!(
        r#"
name = "tiny"
task.kind = "translation"
data = {{ train = ["train.src", "train.tgt"], validation = ["validation.src", "validation.tgt"] }}
tokenizer.kind = "byte"
model = {{ architecture = "encoder-decoder", layers = 1, d_model = 16, heads = 2, max_length = 24, dropout = 0.2 }}
attention = {{ encoder = "random", decoder = "vanilla" }}
optimizer = {{ lr = 0.003, schedule = {{ kind = "cosine", warmup = 5 }} }}
decode.beam = 2
train = {{ steps = {steps}, batch_tokens = 200, accumulate = 2, label_smoothing = 0.1, average = 2, samples = 1, eval_every = 7, log_every = 3, checkpoint_every = 5, keep = 2 }}
"#
    );
    fs::write(&bench.experiment, experiment).unwrap();
    bench
}

#[test]
fn killed_runs_of_pairs_end_in_the_same_bytes() {
    let bench = pairs_bench(40);
    bench.train("straight", &[]);
    let epochs: Vec<f64> = bench.rows("straight").iter().map(|row| row[1].parse().unwrap()).collect();
    assert!(epochs[0] < 1.0 && *epochs.last().unwrap() > 2.0, "{epochs:?}");
    train_under_fire(&bench, "killed", &[], 5, 17);
    bench.assert_equal("killed", "straight");
    // The rate must not depend on the number of steps.
    let constant = ["--set", "optimizer.schedule.kind=constant", "--set", "optimizer.schedule.warmup=0"];
    bench.train("constant", &constant);
    for first in ["1", "13"] {
        let run = format!("cut-at-{first}");
        bench.train(&run, &[&constant[..], &["--set", &format!("train.steps={first}")]].concat());
        bench.train(&run, &constant);
        assert!(bench.last(&run) == bench.last("constant"), "{run}");
    }
    // The mean of the newest two is measured.
    let mut eval = Command::new(env!("CARGO_BIN_EXE_synth"));
    eval.arg("eval").arg(bench.run_folder("killed")).args(["--json", "--quiet"]).env("OMP_NUM_THREADS", "1");
    let output = eval.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(record["averaged"].as_array().map(Vec::len), Some(2), "{record}");
}

#[test]
fn killed_runs_that_write_all_there_is_end_in_the_same_bytes() {
    let bench = Bench::new(60);
    let keys =
        ["label_smoothing=0.1", "z_loss=0.001", "log_batches=true", "save_initial=true", "samples=1", "average=2"];
    let sets = keys.map(|key| format!("train.{key}"));
    let more = [&sets[..], &["train.tensorboard=true".into()]].concat();
    let more: Vec<&str> = more.iter().flat_map(|set| ["--set", set.as_str()]).collect();
    bench.train("straight", &more);
    train_under_fire(&bench, "killed", &more, 6, 31);
    bench.assert_equal("killed", "straight");
    let read = |run: &str, file: &str| fs::read_to_string(bench.run_folder(run).join(file)).unwrap();
    assert!(read("killed", "batches.jsonl") == read("straight", "batches.jsonl"));
    let samples = |run: &str| {
        let events = read(run, "metrics.jsonl");
        events.lines().filter(|line| line.contains("\"event\":\"sample\"")).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(samples("killed"), samples("straight"));
    assert!(bench.run_folder("killed").join("checkpoints/step-0/model.safetensors").exists());
}

#[test]
fn fewer_steps_and_the_rest_equal_all_steps() {
    let bench = Bench::new(30);
    // The rate must not depend on the number of steps.
    let constant = ["--set", "optimizer.schedule.kind=constant", "--set", "optimizer.schedule.warmup=0"];
    bench.train("straight", &constant);
    // A micro-batch is 8 of the train split's blocks; two of them are an update: steps 1, 17 and 18 lie on both
    // sides of the first border of an epoch or beside a log row.
    for first in ["1", "17", "18", "29"] {
        let run = format!("cut-at-{first}");
        bench.train(&run, &[&constant[..], &["--set", &format!("train.steps={first}")]].concat());
        bench.train(&run, &constant);
        assert!(bench.last(&run) == bench.last("straight"), "{run}");
    }
}

#[test]
fn an_epoch_border_lies_within_the_run() {
    let bench = Bench::new(30);
    bench.train("straight", &[]);
    let epochs: Vec<f64> = bench.rows("straight").iter().map(|row| row[1].parse().unwrap()).collect();
    assert!(epochs[0] < 1.0 && *epochs.last().unwrap() > 1.0, "{epochs:?}");
}

#[test]
fn a_signal_saves_and_stops_and_the_run_goes_on() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let bench = Bench::new(200);
        bench.train("straight", &[]);
        let child = bench.command("stopped", &[]).spawn().unwrap();
        wait_for(&bench.run_folder("stopped").join("checkpoints/last"));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        let last_line = stderr.lines().last().unwrap();
        assert!(last_line.starts_with("stopped by SIG") && last_line.contains("--resume"), "{stderr}");
        let summary: serde_json::Value =
            serde_json::from_slice(&fs::read(bench.run_folder("stopped").join("summary.json")).unwrap()).unwrap();
        assert_eq!(summary["status"], "stopped");
        let step = summary["step"].as_u64().unwrap();
        assert!(bench.run_folder("stopped").join(format!("checkpoints/step-{step}")).is_dir());
        // The command that the message gives, as a shell takes it.
        let command = last_line.split_once("go on with: synth ").unwrap().1;
        let shell = format!("'{}' {command}", env!("CARGO_BIN_EXE_synth"));
        assert!(
            Command::new("sh").args(["-c", &shell]).env("OMP_NUM_THREADS", "1").output().unwrap().status.success(),
            "{shell}"
        );
        bench.assert_equal("stopped", "straight");
    }
}

#[test]
fn usr1_saves_and_goes_on() {
    let bench = Bench::new(200);
    let sparse = ["--set", "train.checkpoint_every=0", "--set", "train.eval_every=0", "--set", "train.keep=1000"];
    let child = bench.command("saved", &sparse).spawn().unwrap();
    wait_for(&bench.run_folder("saved").join("metrics.csv"));
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "USR1");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let folder = bench.run_folder("saved").join("checkpoints");
    let saved = fs::read_dir(folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(saved, 2, "one at the signal and one at the end");
}

#[test]
fn a_second_signal_stops_at_once() {
    let bench = Bench::new(100_000);
    let mut child = bench.command("stopped", &[]).spawn().unwrap();
    wait_for(&bench.run_folder("stopped").join("checkpoints/last"));
    // Stopped in between, the process meets both signals before it can save.
    signal(&child, "STOP");
    signal(&child, "TERM");
    signal(&child, "INT");
    signal(&child, "CONT");
    let status = child.wait().unwrap();
    assert!(matches!(status.code(), Some(130 | 143)), "{status}");
    assert!(!bench.run_folder("stopped").join("summary.json").exists());
}

#[test]
fn a_time_limit_is_a_stop_in_order() {
    let bench = Bench::new(60);
    let output = bench.train("limited", &["--set", "train.max_minutes=0", "--json"]);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&result["status"], &result["step"]), (&"stopped".into(), &1.into()));
    bench.train("limited", &[]);
    bench.train("straight", &[]);
    bench.assert_equal("limited", "straight");
}

#[test]
fn divergence_stops_before_the_step_that_is_not_finite() {
    let bench = Bench::new(60);
    let wild = ["--set", "optimizer.lr=1e30", "--set", "optimizer.clip_norm=0", "--set", "train.eval_every=0"];
    let output = bench.command("wild", &wild).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    let line = stderr.lines().last().unwrap();
    assert!(line.starts_with("error: training diverged: step ") && line.contains("is not finite"), "{stderr}");
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(bench.run_folder("wild").join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["status"], "diverged");
    let step = summary["step"].as_u64().unwrap();
    let named: u64 = line.split("step ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(named, step + 1);
    let last = fs::read_to_string(bench.run_folder("wild").join("checkpoints/last")).unwrap();
    assert_eq!(last, format!("step-{step}\n"));
    // The saved weights are those of a run that ended there.
    let bench_short = Bench { steps: step, ..bench };
    let constant = ["--set", "optimizer.schedule.kind=constant", "--set", "optimizer.schedule.warmup=0"];
    let steps = format!("train.steps={step}");
    let short = [&wild[..], &constant, &["--set", &steps]].concat();
    if step > 0 {
        let again = [&wild[..], &constant].concat();
        let output = bench_short.command("wild-constant", &again).output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        bench_short.train("short", &short);
        let straight = bench_short.last("short");
        assert!(straight == bench_short.last("wild-constant"));
    }
    let rows = bench_short.rows("wild");
    assert_eq!(rows.last().unwrap()[0], named.to_string());
}

#[test]
fn a_signal_to_a_sweep_reaches_its_cell() {
    let bench = Bench::new(100_000);
    let sweep = bench.folder.path().join("sweep.toml");
    fs::write(&sweep, "base = \"tiny.toml\"\n[grid]\n\"attention.kind\" = [\"random\", \"vanilla\"]\n").unwrap();
    let ablate = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
        command.arg("ablate").arg(&sweep).args(["--device", "cpu"]).args(more);
        command.arg("--results").arg(bench.folder.path().join("results"));
        command.env("OMP_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let run = bench.folder.path().join("results/sweep/random-s1");
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let child = ablate(&[]).spawn().unwrap();
        // The cell trains, and listens: it has taken away the summary of the round before.
        wait_for(&run.join("checkpoints/last"));
        wait_until("the cell trains", || !run.join("summary.json").exists());
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        let summary: serde_json::Value = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
        assert_eq!(
            (&summary["status"], &summary["reason"]),
            (&"stopped".into(), &format!("SIG{name}").into()),
            "{stderr}"
        );
    }
    let steps = fs::read_to_string(run.join("checkpoints/last")).unwrap().trim().replace("step-", "train.steps=");
    assert!(ablate(&["--set", &steps]).output().unwrap().status.success());
}

#[test]
fn a_resumed_run_without_an_evaluation_of_its_own_has_its_figures() {
    let bench = Bench::new(14);
    bench.train("killed-at-the-end", &[]);
    let path = bench.run_folder("killed-at-the-end").join("summary.json");
    let read = || serde_json::from_slice::<serde_json::Value>(&fs::read(&path).unwrap()).unwrap();
    let before = read();
    fs::remove_file(&path).unwrap();
    bench.train("killed-at-the-end", &[]);
    assert!(before["final"]["validation"]["loss"].is_f64());
    for key in ["final", "best", "status", "step"] {
        assert_eq!(read()[key], before[key], "{key}");
    }
}
