//! `summary.json`: how a run ended, written last.

use super::{atomic, regular};
use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// The figures of one split by name; null in the file where one is not measured or not finite.
pub type Metrics = BTreeMap<String, Option<f64>>;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// All steps were done.
    Done,
    /// The loss or the gradient was not finite.
    Diverged,
    /// An error ended it.
    Failed,
    /// The device had too little memory.
    OutOfMemory,
    /// A signal or a limit of time ended it; it can go on.
    Stopped,
    /// It was not begun, since its kind of attention cannot do what was asked.
    Skipped,
}

impl Status {
    /// The name in files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Diverged => "diverged",
            Status::Failed => "failed",
            Status::OutOfMemory => "out-of-memory",
            Status::Stopped => "stopped",
            Status::Skipped => "skipped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The best evaluation of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Updates done before it.
    pub step: u64,
    /// What it is the best of (`train.best.metric`).
    pub metric: String,
    /// The value of that metric: always finite.
    pub value: f64,
}

/// Counts of a model's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterCounts {
    /// All that are stored, frozen tables too.
    pub total: u64,
    /// Those that the optimizer changes.
    pub trainable: u64,
    /// Those of the attentions.
    pub attention: u64,
    /// Those of the embeddings.
    pub embedding: u64,
}

/// The contents of `summary.json`, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run's name.
    pub run: String,
    /// How it ended.
    pub status: Status,
    /// Why it ended so, in one line, where it is not plainly done.
    pub reason: Option<String>,
    /// The kind of attention.
    pub kind: String,
    /// The seed.
    pub seed: u64,
    /// Updates done.
    pub step: u64,
    /// The last figures of each split, `final` in the file.
    #[serde(rename = "final")]
    pub final_metrics: BTreeMap<String, Metrics>,
    /// The best evaluation.
    pub best: Option<Best>,
    /// Counts of the model's numbers.
    pub parameters: Option<ParameterCounts>,
    /// Throughput over the whole run.
    pub tokens_per_second: Option<f64>,
    /// Peak memory of the device in MiB (on the CPU the process's).
    pub peak_memory_mib: Option<f64>,
    /// Seconds of training, over all resumed parts.
    pub elapsed_s: Option<f64>,
}

impl Summary {
    /// Writes the file atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write_json(path, self)
    }

    /// Reads the file back; an absent or foreign file is an error that names it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = regular::read(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| anyhow!("{} is no summary that synth wrote: {error}", path.display()))
    }

    /// A figure of the last evaluation of `split`, where it was measured.
    pub fn figure(&self, split: &str, metric: &str) -> Option<f64> {
        self.final_metrics.get(split)?.get(metric).copied().flatten()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;

    pub(in crate::runs) fn summary() -> Summary {
        let validation = Metrics::from_iter([("loss".into(), Some(1.5)), ("perplexity".into(), Some(f64::INFINITY))]);
        Summary {
            run: "vanilla-s1".into(),
            status: Status::OutOfMemory,
            reason: None,
            kind: "vanilla".into(),
            seed: 1,
            step: 20,
            final_metrics: BTreeMap::from_iter([("validation".into(), validation)]),
            best: Some(Best { step: 10, metric: "loss".into(), value: 1.25 }),
            parameters: Some(ParameterCounts { total: 10, trainable: 9, attention: 4, embedding: 3 }),
            tokens_per_second: Some(1000.0),
            peak_memory_mib: None,
            elapsed_s: Some(2.5),
        }
    }

    #[test]
    fn the_file_has_the_fixed_keys_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.json");
        summary().write(&path).unwrap();
        let text: String = fs::read_to_string(&path).unwrap().split_whitespace().collect();
        assert_eq!(
            text,
            r#"{"run":"vanilla-s1","status":"out-of-memory","reason":null,"kind":"vanilla","seed":1,"step":20,"final":{"validation":{"loss":1.5,"perplexity":null}},"best":{"step":10,"metric":"loss","value":1.25},"parameters":{"total":10,"trainable":9,"attention":4,"embedding":3},"tokens_per_second":1000.0,"peak_memory_mib":null,"elapsed_s":2.5}"#
        );
        let read = Summary::read(&path).unwrap();
        assert_eq!(read.figure("validation", "loss"), Some(1.5));
        assert_eq!(read.figure("validation", "perplexity").or(read.figure("test", "loss")), None);
    }

    #[test]
    fn a_status_has_one_name() {
        use Status::*;
        for status in [Done, Diverged, Failed, OutOfMemory, Stopped, Skipped] {
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
    }

    #[test]
    fn what_is_no_summary_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "{}").unwrap();
        let message = Summary::read(file.path()).unwrap_err().to_string();
        assert!(message.contains("no summary") && message.contains("`run`"), "{message}");
        assert!(Summary::read(Path::new("/none")).unwrap_err().to_string().starts_with("cannot read /none"));
    }
}
