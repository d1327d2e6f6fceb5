//! How a run ended whose own process could not tell: it was killed, or crashed.

use super::ledger::CellRecord;
use super::marker::{claim, has_marker};
use super::{Environment, Summary};
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Writes the `summary.json` of the run in `folder`, which a process began that is no more. Where it had written nothing
/// yet, nothing is written.
///
/// # Errors
/// A run that another process writes; what the file system reports.
pub fn write_for(folder: &Path, record: &CellRecord) -> Result<()> {
    if !has_marker(folder) || !folder.join("config.toml").exists() {
        return Ok(());
    }
    let _writing = claim(folder)?;
    let parameters = Environment::read(&folder.join("environment.json")).ok().map(|known| known.parameters);
    let summary = Summary {
        run: record.run.clone(),
        status: record.status,
        reason: record.reason.clone(),
        kind: record.kind.clone(),
        seed: record.seed,
        step: saved_step(folder).unwrap_or(0),
        final_metrics: BTreeMap::new(),
        best: None,
        parameters,
        tokens_per_second: None,
        peak_memory_mib: None,
        elapsed_s: None,
    };
    summary.write(&folder.join("summary.json"))
}

/// The step of the run's last checkpoint.
pub fn saved_step(folder: &Path) -> Option<u64> {
    let last = fs::read_to_string(folder.join("checkpoints").join("last")).ok()?;
    last.trim().strip_prefix("step-")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::{Mode, RunFolder, Status};

    #[test]
    fn a_killed_run_gets_a_summary_and_an_empty_folder_none() {
        let results = tempfile::tempdir().unwrap();
        let run = RunFolder::create(results.path(), "tiny", "a-s1", Mode::New).unwrap();
        let reason = Some("signal 9".to_owned());
        let record = CellRecord { run: "a-s1".into(), kind: "vanilla".into(), seed: 1, status: Status::Failed, reason };
        write_for(run.path(), &record).unwrap();
        assert!(!run.summary().exists());
        fs::write(run.config(), "").unwrap();
        assert!(write_for(run.path(), &record).is_err(), "its process is there");
        let path = run.path().to_owned();
        drop(run);
        fs::create_dir(path.join("checkpoints")).unwrap();
        fs::write(path.join("checkpoints/last"), "step-30\n").unwrap();
        write_for(&path, &record).unwrap();
        let summary = Summary::read(&path.join("summary.json")).unwrap();
        assert_eq!((summary.status, summary.reason.as_deref(), summary.step), (Status::Failed, Some("signal 9"), 30));
    }
}
