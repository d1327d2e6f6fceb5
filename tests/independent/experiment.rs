//! Runs synth as a user does: texts and a TOML in a folder of their own, then the commands.

use std::fmt::Write as _;
use std::path::Path;

use assert_cmd::cargo::cargo_bin_cmd;
use serde_json::Value;
use tempfile::TempDir;

use crate::folder::RunFolder;

/// A folder with an experiment and its texts.
pub struct Experiment {
    folder: TempDir,
}

impl Experiment {
    /// An experiment with these texts (`(file name, text)`) and these keys (`(dotted key, TOML value)`).
    pub fn new(texts: &[(&str, &str)], keys: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in texts {
            std::fs::write(folder.path().join(name), text).expect("a text is written");
        }
        let mut toml = "name = \"independent\"\n".to_owned();
        for (key, value) in [("task.kind", "\"language-modeling\""), ("tokenizer.kind", "\"byte\"")] {
            if keys.iter().all(|(given, _)| *given != key) {
                writeln!(toml, "{key} = {value}").expect("a String takes all");
            }
        }
        for (key, value) in keys {
            writeln!(toml, "{key} = {value}").expect("a String takes all");
        }
        std::fs::write(folder.path().join("experiment.toml"), toml).expect("the experiment is written");
        Self { folder }
    }

    /// Trains it on the CPU and returns the run's folder.
    pub fn train(self) -> RunFolder {
        let (experiment, results) = (self.folder.path().join("experiment.toml"), self.folder.path().join("results"));
        let report = json(&["train", text(&experiment), "--results", text(&results), "--run", "run"]);
        assert_eq!(report["status"], "done");
        RunFolder { path: results.join("independent").join("run"), _kept: self.folder }
    }
}

/// What `synth eval` says of a checkpoint (`best`, `last` or `step-N`) on a split.
pub fn evaluated(run: &RunFolder, checkpoint: &str, split: &str) -> Value {
    evaluated_with(run, &["--checkpoint", checkpoint, "--split", split])
}

/// What `synth eval` says with these arguments.
pub fn evaluated_with(run: &RunFolder, arguments: &[&str]) -> Value {
    json(&[&["eval", text(&run.path)], arguments].concat())
}

/// What `synth generate` writes for the lines of a text with these arguments.
pub fn generated(run: &RunFolder, lines: &str, arguments: &[&str]) -> Value {
    let file = run.path.with_extension("sources");
    std::fs::write(&file, lines).expect("sources are written");
    json(&[&["generate", text(&run.path), text(&file)], arguments].concat())
}

fn json(arguments: &[&str]) -> Value {
    // One thread each: the tests run side by side already.
    let mut command = cargo_bin_cmd!("synth");
    command.env("OMP_NUM_THREADS", "1").args(arguments).args(["--device", "cpu", "--json"]);
    serde_json::from_slice(&command.assert().success().get_output().stdout).expect("--json prints one object")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}
