//! Runs synth as a user does: texts and a TOML in a folder of their own, then the commands.

use std::fmt::Write as _;

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
        let mut toml = "name = \"independent\"\ntask.kind = \"language-modeling\"\n".to_owned();
        for (key, value) in keys {
            writeln!(toml, "{key} = {value}").expect("a String takes all");
        }
        std::fs::write(folder.path().join("experiment.toml"), toml).expect("the experiment is written");
        Self { folder }
    }

    /// Trains it on the CPU and returns the run's folder.
    pub fn train(self) -> RunFolder {
        let results = self.folder.path().join("results");
        let path = self.folder.path().join("experiment.toml");
        let report = json(&[
            "train".as_ref(),
            path.as_os_str(),
            "--results".as_ref(),
            results.as_os_str(),
            "--run".as_ref(),
            "run".as_ref(),
            "--device".as_ref(),
            "cpu".as_ref(),
            "--json".as_ref(),
        ]);
        assert_eq!(report["status"], "done");
        RunFolder { path: results.join("independent").join("run"), _kept: self.folder }
    }
}

/// What `synth eval` says of a checkpoint (`best`, `last` or `step-N`) on a split.
pub fn evaluated(run: &RunFolder, checkpoint: &str, split: &str) -> Value {
    json(&[
        "eval".as_ref(),
        run.path.as_os_str(),
        "--checkpoint".as_ref(),
        checkpoint.as_ref(),
        "--split".as_ref(),
        split.as_ref(),
        "--device".as_ref(),
        "cpu".as_ref(),
        "--json".as_ref(),
    ])
}

fn json(arguments: &[&std::ffi::OsStr]) -> Value {
    let output = cargo_bin_cmd!("synth").args(arguments).assert().success().get_output().stdout.clone();
    serde_json::from_slice(&output).expect("--json prints one object")
}
