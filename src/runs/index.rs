//! `runs.csv` and `runs.json` of an experiment: one row per run, rebuilt from the folders, which
//! are the truth.

use super::aside::is_aside;
use super::environment::Environment;
use super::ledger::CellRecord;
use super::marker::has_marker;
use super::summary::{Status, Summary};
use super::{atomic, cells, ledger, lock};
use anyhow::{Result, anyhow};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The columns that `runs.csv` begins with.
pub const COLUMNS: [&str; 12] = [
    "run",
    "kind",
    "seed",
    "status",
    "reason",
    "step",
    "parameters",
    "loss",
    "perplexity",
    "tokens_per_second",
    "peak_memory_mib",
    "elapsed_s",
];

const LOCK: &str = ".runs.lock";

/// What a run's folder holds one of at least.
const FILES: [&str; 3] = ["config.toml", "environment.json", "summary.json"];

/// One run of an experiment; `None` is what is not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IndexRow {
    /// The run's name: that of its folder.
    pub run: String,
    /// The kind of attention.
    pub kind: Option<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// How it ended; stopped where it has not.
    pub status: Status,
    /// Why it ended so.
    pub reason: Option<String>,
    /// Updates done.
    pub step: Option<u64>,
    /// All parameters, frozen tables too.
    pub parameters: Option<u64>,
    /// The last loss on the validation split, in nats per token.
    pub loss: Option<f64>,
    /// The last perplexity on the validation split.
    pub perplexity: Option<f64>,
    /// Throughput.
    pub tokens_per_second: Option<f64>,
    /// Peak memory in MiB.
    pub peak_memory_mib: Option<f64>,
    /// Seconds of training.
    pub elapsed_s: Option<f64>,
    /// The task's last figures on the validation split.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// Writes `runs.csv` and `runs.json` of `experiment` = `results/<experiment>` anew. Processes that
/// do so at one time wait for each other, so that the last of them sees every run.
pub fn rebuild(experiment: &Path) -> Result<()> {
    let lock_path = experiment.join(LOCK);
    let open = || OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path);
    let held = open().and_then(|file| lock::lock(&file).map(|()| file));
    let _held = held.map_err(|error| anyhow!("cannot lock {}: {error}", lock_path.display()))?;
    let rows = rows(experiment)?;
    let csv_path = experiment.join("runs.csv");
    let csv = to_csv(&rows).map_err(|error| anyhow!("cannot write {}: {error}", csv_path.display()))?;
    atomic::write(&csv_path, &csv)?;
    atomic::write_json(&experiment.join("runs.json"), &rows)
}

/// The runs of `experiment` = `results/<experiment>` by name: the folders with synth's marker, and the cells of
/// a sweep that left none.
pub fn rows(experiment: &Path) -> Result<Vec<IndexRow>> {
    let entries: io::Result<Vec<PathBuf>> =
        fs::read_dir(experiment).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut folders = entries.map_err(|error| anyhow!("cannot read {}: {error}", experiment.display()))?;
    // A folder that a process claimed and wrote nothing into is no run yet.
    folders.retain(|folder| has_marker(folder) && FILES.iter().any(|file| folder.join(file).exists()));
    // What was set aside is no cell of the sweep any more.
    folders.retain(|folder| !is_aside(&name(folder)));
    let cells = ledger::newest(experiment)?;
    let mut rows: Vec<IndexRow> = folders.iter().map(|folder| row(folder, cells.get(&name(folder)))).collect();
    for (run, cell) in cells {
        if !rows.iter().any(|row| row.run == run) {
            rows.push(IndexRow { kind: Some(cell.kind), seed: Some(cell.seed), ..bare(run, cell.status, cell.reason) });
        }
    }
    rows.sort_by(|a, b| a.run.cmp(&b.run));
    Ok(rows)
}

/// A row of a run of which nothing more is known.
pub fn bare(run: String, status: Status, reason: Option<String>) -> IndexRow {
    IndexRow {
        run,
        kind: None,
        seed: None,
        status,
        reason,
        step: None,
        parameters: None,
        loss: None,
        perplexity: None,
        tokens_per_second: None,
        peak_memory_mib: None,
        elapsed_s: None,
        metrics: BTreeMap::new(),
    }
}

/// One broken run must not hide the others, so that it becomes a row that says what is broken.
fn row(folder: &Path, cell: Option<&CellRecord>) -> IndexRow {
    let path = folder.join("summary.json");
    if !path.exists() {
        // A full disk takes no summary; the sweep's ledger may lie on another.
        return match cell.filter(|cell| matches!(cell.status, Status::Failed | Status::OutOfMemory)) {
            Some(cell) => without_summary(folder, cell.status, cell.reason.clone().unwrap_or_default()),
            None => without_summary(folder, Status::Stopped, ledger::UNDER_WAY.into()),
        };
    }
    match Summary::read(&path) {
        Ok(summary) => IndexRow {
            run: name(folder),
            metrics: task_metrics(&summary),
            status: summary.status,
            step: Some(summary.step),
            parameters: summary.parameters.map(|parameters| parameters.total),
            loss: summary.figure("validation", "loss"),
            perplexity: summary.figure("validation", "perplexity"),
            kind: Some(summary.kind),
            seed: Some(summary.seed),
            reason: summary.reason,
            tokens_per_second: summary.tokens_per_second,
            peak_memory_mib: summary.peak_memory_mib,
            elapsed_s: summary.elapsed_s,
        },
        Err(error) => without_summary(folder, Status::Failed, error.to_string()),
    }
}

/// What the validation split says besides loss and perplexity.
fn task_metrics(summary: &Summary) -> BTreeMap<String, f64> {
    let all = summary.final_metrics.get("validation").into_iter().flatten();
    let own = all.filter(|(name, _)| !COLUMNS.contains(&name.as_str()));
    own.filter_map(|(name, value)| Some((name.clone(), (*value)?))).collect()
}

/// What `config.toml` and `environment.json` tell of a run, as far as they are there.
fn without_summary(folder: &Path, status: Status, reason: String) -> IndexRow {
    let config = fs::read_to_string(folder.join("config.toml")).ok().and_then(|text| text.parse::<toml::Table>().ok());
    let environment = Environment::read(&folder.join("environment.json")).ok();
    let attention = config.as_ref().and_then(|config| config.get("attention"));
    let kind = attention.and_then(|table| table.get("decoder").or_else(|| table.get("kind")));
    let seed = config.as_ref().and_then(|config| config.get("seed")?.as_integer());
    IndexRow {
        kind: kind.and_then(|kind| kind.as_str()).map(str::to_owned),
        seed: seed.and_then(|seed| u64::try_from(seed).ok()).or(environment.as_ref().map(|known| known.seed)),
        parameters: environment.map(|known| known.parameters.total),
        ..bare(name(folder), status, Some(reason))
    }
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The names of the tasks' figures that some row has, which are further columns.
fn metric_names(rows: &[IndexRow]) -> Vec<&str> {
    let names: BTreeSet<&str> = rows.iter().flat_map(|row| row.metrics.keys().map(String::as_str)).collect();
    names.into_iter().collect()
}

fn to_csv(rows: &[IndexRow]) -> Result<Vec<u8>> {
    let names = metric_names(rows);
    let mut writer = csv::Writer::from_writer(Vec::new());
    // The figures' names come from files.
    let header = COLUMNS.iter().chain(&names).map(|name| cells::text(name).into_owned());
    writer.write_record(header)?;
    for row in rows {
        let metrics = names.iter().map(|name| cells::measured(row.metrics.get(*name).copied()));
        writer.write_record(csv_cells(row).into_iter().chain(metrics))?;
    }
    Ok(writer.into_inner()?)
}

/// The first cells of a row of `runs.csv`.
pub fn csv_cells(row: &IndexRow) -> [String; COLUMNS.len()] {
    let text = |text: &Option<String>| cells::text(text.as_deref().unwrap_or_default()).into_owned();
    let count = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
    [
        cells::text(&row.run).into_owned(),
        text(&row.kind),
        count(row.seed),
        row.status.to_string(),
        text(&row.reason),
        count(row.step),
        count(row.parameters),
        cells::measured(row.loss),
        cells::measured(row.perplexity),
        cells::measured(row.tokens_per_second),
        cells::measured(row.peak_memory_mib),
        cells::measured(row.elapsed_s),
    ]
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
