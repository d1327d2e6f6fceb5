//! Where everything of one run lies.

use anyhow::Result;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The folder of one run, `results/<experiment>/<run>`. As [`create`](RunFolder::create) gives it,
/// it is locked against other processes until it is dropped; as [`open`](RunFolder::open) gives
/// it, it is not.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    // Held, never read: the lock lasts as long as the file is open.
    _lock: Option<File>,
}

impl RunFolder {
    /// The folder of a run that is there, for reading back. Refused where `path` is no folder or
    /// has no `config.toml`.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        // Resolved, so that `.` has a name and a neighbourhood too.
        let Ok(path) = path.canonicalize() else {
            crate::refuse!("{shown} does not exist: expected the folder of a run, results/<experiment>/<run>");
        };
        if !path.is_dir() {
            crate::refuse!("{shown} is no folder: expected the folder of a run, results/<experiment>/<run>");
        }
        let folder = Self { path, _lock: None };
        if !folder.config().is_file() {
            crate::refuse!(
                "{shown} is no run folder, config.toml is missing: expected a folder that `synth train` wrote, results/<experiment>/<run>"
            );
        }
        Ok(folder)
    }

    /// A folder that this process has claimed.
    pub(super) fn claimed(path: PathBuf, lock: File) -> Self {
        Self { path, _lock: Some(lock) }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's name.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The experiment's folder, which [`index::rebuild`](super::index::rebuild) takes.
    pub fn experiment(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The resolved experiment, `config.toml`.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// What the run was made with, `environment.json`.
    pub fn environment(&self) -> PathBuf {
        self.path.join("environment.json")
    }

    /// The rows of measurements, `metrics.csv`.
    pub fn metrics_csv(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// The same rows and other events, `metrics.jsonl`.
    pub fn metrics_jsonl(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The rows of every micro-batch, `batches.jsonl`.
    pub fn batches(&self) -> PathBuf {
        self.path.join("batches.jsonl")
    }

    /// The folder of events for TensorBoard, `tensorboard`.
    pub fn tensorboard(&self) -> PathBuf {
        self.path.join("tensorboard")
    }

    /// What the text was cut with, `tokenizer.json`.
    pub fn tokenizer(&self) -> PathBuf {
        self.path.join("tokenizer.json")
    }

    /// The folder of checkpoints, `checkpoints`.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The folder of evaluations, `eval`.
    pub fn eval_dir(&self) -> PathBuf {
        self.path.join("eval")
    }

    /// How the run ended, `summary.json`.
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// What the process said, `log.txt`.
    pub fn log(&self) -> PathBuf {
        self.path.join("log.txt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;
    use std::fs;

    #[test]
    fn opening_names_what_is_missing() {
        let results = tempfile::tempdir().unwrap();
        let file = results.path().join("file");
        fs::write(&file, "").unwrap();
        let cases = [
            (results.path().join("none"), "does not exist"),
            (file, "is no folder"),
            (results.path().into(), "config.toml is missing"),
        ];
        for (path, expected) in cases {
            let error = RunFolder::open(&path).unwrap_err();
            assert_eq!(exit::code(&error), 2);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
    }

    #[test]
    fn an_opened_folder_knows_its_name_and_experiment() {
        let results = tempfile::tempdir().unwrap();
        let run = results.path().join("tiny").join("vanilla-s1");
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("config.toml"), "").unwrap();
        let folder = RunFolder::open(&run.join("..").join("vanilla-s1")).unwrap();
        assert_eq!(folder.name(), "vanilla-s1");
        assert!(folder.experiment().ends_with("tiny"));
        assert!(folder.metrics_csv().ends_with("tiny/vanilla-s1/metrics.csv"));
    }
}
