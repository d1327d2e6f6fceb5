//! `cells.jsonl` of a sweep: how each cell's process ended, for cells that left no folder or no summary.

use super::create::make_folder;
use super::regular;
use super::summary::Status;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

const FILE: &str = "cells.jsonl";

/// The reason of a run that has not ended, as far as its folder tells.
pub const UNDER_WAY: &str = "no summary: running or killed";

/// The end of one cell's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellRecord {
    /// The run's name.
    pub run: String,
    /// The kind of attention.
    pub kind: String,
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub status: Status,
    /// Why it ended so.
    pub reason: Option<String>,
}

/// Makes `experiment` = `results/<experiment>` and its ledger where they are absent, so that a place that
/// cannot be written shows before the first cell.
///
/// # Errors
/// Refuses a file in the way; what else the file system reports.
pub fn begin(experiment: &Path) -> Result<()> {
    make_folder(experiment)?;
    open(experiment).map(drop)
}

/// Appends a record to the ledger of `experiment` = `results/<experiment>`.
///
/// # Errors
/// What the file system reports.
pub fn append(experiment: &Path, record: &CellRecord) -> Result<()> {
    let mut file = open(experiment)?;
    let line = format!("{}\n", serde_json::to_string(record)?);
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).with_context(|| cannot_write(experiment))
}

fn open(experiment: &Path) -> Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(experiment.join(FILE));
    file.with_context(|| cannot_write(experiment))
}

fn cannot_write(experiment: &Path) -> String {
    format!("cannot write {}", experiment.join(FILE).display())
}

/// The newest record of each run; a line that a crash tore is left out.
///
/// # Errors
/// What the file system reports.
pub fn newest(experiment: &Path) -> Result<BTreeMap<String, CellRecord>> {
    let path = experiment.join(FILE);
    let text = match regular::read_text(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let records = text.lines().filter_map(|line| serde_json::from_str::<CellRecord>(line).ok());
    Ok(records.map(|record| (record.run.clone(), record)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_record_counts() {
        let folder = tempfile::tempdir().unwrap();
        begin(folder.path()).unwrap();
        assert!(newest(folder.path()).unwrap().is_empty());
        let record = |status| CellRecord {
            run: "vanilla-s1".into(),
            kind: "vanilla".into(),
            seed: 1,
            status,
            reason: Some("signal 9".into()),
        };
        append(folder.path(), &record(Status::Failed)).unwrap();
        append(folder.path(), &record(Status::Done)).unwrap();
        let mut file = OpenOptions::new().append(true).open(folder.path().join(FILE)).unwrap();
        file.write_all(b"{\"run\": \"vani").unwrap();
        assert_eq!(newest(folder.path()).unwrap()["vanilla-s1"], record(Status::Done));
    }
}
