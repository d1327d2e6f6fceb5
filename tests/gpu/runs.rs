//! Small trainings by the command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Writes a text and an experiment on it; gives the experiment.
pub fn experiment(folder: &Path) -> PathBuf {
    let text: String = (0..3000).map(|i| format!("line {i} holds {} and {}\n", i * 7919 % 1000, i * i % 77)).collect();
    fs::write(folder.join("text.txt"), text).unwrap();
    let experiment = folder.join("small.toml");
    fs::write(
        &experiment,
        r#"
name = "small"
task.kind = "language-modeling"
tokenizer.kind = "byte"
data = { path = "text.txt", split = [0.9, 0.1] }
model = { layers = 2, d_model = 64, heads = 4, max_length = 64, dropout = 0.1 }
optimizer = { lr = 0.002, schedule = { kind = "constant", warmup = 20 } }
train = { steps = 200, batch_size = 16, eval_every = 50, log_every = 20, checkpoint_every = 100 }
"#,
    )
    .unwrap();
    experiment
}

/// The command that trains the small experiment as `run`, or goes on with it.
pub fn command(folder: &Path, run: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.arg("train").arg(experiment(folder)).arg("--results").arg(folder);
    command.args(["--resume", "--run", run]).args(arguments);
    command
}

/// Trains the small experiment; gives the losses of the validation split and the last checkpoint's weights.
pub fn train(folder: &Path, run: &str, arguments: &[&str]) -> (Vec<f64>, Vec<u8>) {
    let output = command(folder, run, arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (validation_losses(folder, run), last(folder, run, "model.safetensors"))
}

/// The losses of a run's validation rows.
pub fn validation_losses(folder: &Path, run: &str) -> Vec<f64> {
    let mut reader = csv::Reader::from_path(folder.join("small").join(run).join("metrics.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap).filter(|row| &row[3] == "validation");
    rows.map(|row| row[4].parse().unwrap()).collect()
}

/// A file of a run's last checkpoint.
pub fn last(folder: &Path, run: &str, file: &str) -> Vec<u8> {
    let checkpoints = folder.join("small").join(run).join("checkpoints");
    let last = fs::read_to_string(checkpoints.join("last")).unwrap();
    fs::read(checkpoints.join(last.trim()).join(file)).unwrap()
}
