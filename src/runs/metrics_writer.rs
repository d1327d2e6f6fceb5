//! Appending to `metrics.csv` and `metrics.jsonl`, and cutting them back on resume.

use super::atomic;
use super::folder::RunFolder;
use super::metrics::{COLUMNS, Row, complete_lines};
use super::regular;
use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes the measurements of a run, each line whole and handed to the system before the call ends.
#[derive(Debug)]
pub struct MetricsWriter {
    csv: Appender,
    jsonl: Appender,
    extra_columns: Vec<String>,
}

impl MetricsWriter {
    /// Begins both files anew, or with `cut_after_step` = a checkpoint's step goes on in them:
    /// what is past that step, and a last line torn by a kill, is cut first. `extra_columns` are
    /// the task's metrics. A `metrics.csv` with other columns is an error that changes nothing.
    pub fn open(folder: &RunFolder, extra_columns: &[&str], cut_after_step: Option<u64>) -> Result<Self> {
        let columns: Vec<&str> = COLUMNS.iter().chain(extra_columns).copied().collect();
        let header = columns.join(",");
        let (csv, jsonl) = (folder.metrics_csv(), folder.metrics_jsonl());
        let (rows, events) = match cut_after_step {
            None => (format!("{header}\n"), String::new()),
            Some(step) => (kept_rows(&csv, &header, step)?, kept_events(&jsonl, step)?),
        };
        Ok(Self {
            csv: Appender::begin(csv, &rows)?,
            jsonl: Appender::begin(jsonl, &events)?,
            extra_columns: extra_columns.iter().map(|&column| column.to_owned()).collect(),
        })
    }

    /// Appends a row to both files. A metric of the row that is none of the columns is an error.
    pub fn row(&mut self, row: &Row) -> Result<()> {
        if let Some((name, _)) = row.extra.iter().find(|(name, _)| !self.extra_columns.contains(name)) {
            bail!("{} has no column {name:?}: expected one of {:?}", self.csv.path.display(), self.extra_columns);
        }
        self.csv.line(&row.cells(&self.extra_columns).join(","))?;
        self.jsonl.object(row.json(&self.extra_columns))
    }

    /// Appends to `metrics.jsonl` what is no row: `start`, `checkpoint`, `end` and the like.
    pub fn event(&mut self, name: &str, step: u64, fields: Map<String, Value>) -> Result<()> {
        let mut object = Map::from_iter([("event".into(), name.into()), ("step".into(), step.into())]);
        object.extend(fields);
        self.jsonl.object(object)
    }

    /// Brings every line to the disk. Before a checkpoint counts, so that a resumed run has every
    /// row up to it even after a power failure.
    pub fn sync(&self) -> Result<()> {
        self.csv.sync()?;
        self.jsonl.sync()
    }
}

/// The text of `metrics.csv` up to `last_step`, with its header.
fn kept_rows(path: &Path, header: &str, last_step: u64) -> Result<String> {
    let text = text_or_empty(path)?;
    // Killed before the header was whole.
    if header.starts_with(&text) {
        return Ok(format!("{header}\n"));
    }
    let (found, rows) = text.split_once('\n').unwrap_or((&text, ""));
    // An earlier version may have had fewer columns at the end: its rows have nothing there.
    let more = match header.strip_prefix(found) {
        Some(more) if more.is_empty() || more.starts_with(',') => more.matches(',').count(),
        _ => bail!(
            "{} has the columns {found:?}, expected {header:?}: another version of synth or another task wrote it; start anew with --overwrite or --run NAME",
            path.display()
        ),
    };
    let commas = found.matches(',').count();
    let kept = keep(path, rows, 2, last_step, |line| {
        let (step, _) = line.split_once(',')?;
        (line.matches(',').count() == commas).then(|| step.parse().ok())?
    })?;
    let missing = format!("{}\n", ",".repeat(more));
    Ok(format!("{header}\n{}", kept.replace('\n', &missing)))
}

/// The text of `metrics.jsonl` up to `last_step`.
fn kept_events(path: &Path, last_step: u64) -> Result<String> {
    let text = text_or_empty(path)?;
    keep(path, &text, 1, last_step, |line| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64())
}

/// Those of `lines` whose step is at most `last_step`. `step_of` gives None for what is no line of
/// the file: it is cut where it is the last, since a kill or a full disk explains it, and an error elsewhere.
fn keep(
    path: &Path,
    lines: &str,
    first_line: usize,
    last_step: u64,
    step_of: impl Fn(&str) -> Option<u64>,
) -> Result<String> {
    let complete = complete_lines(lines);
    let count = complete.lines().count();
    let mut kept = String::with_capacity(complete.len());
    for (index, line) in complete.lines().enumerate() {
        match step_of(line) {
            Some(step) if step <= last_step => kept.extend([line, "\n"]),
            Some(_) => {}
            None if index + 1 == count => {}
            None => bail!(
                "{}, line {}: this is no line that synth wrote; mend it, or start anew with --overwrite or --run NAME",
                path.display(),
                first_line + index
            ),
        }
    }
    Ok(kept)
}

/// A power failure can leave bytes that are no text at the end, which must not keep a run from going on.
fn text_or_empty(path: &Path) -> Result<String> {
    match regular::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(anyhow!("cannot read {}: {error}", path.display())),
    }
}

/// A file that grows by whole lines.
#[derive(Debug)]
struct Appender {
    path: PathBuf,
    file: File,
    /// Bytes of the lines written whole.
    length: u64,
}

impl Appender {
    fn begin(path: PathBuf, text: &str) -> Result<Self> {
        atomic::write(&path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(&path);
        let file = file.map_err(|error| anyhow!("cannot write {}: {error}", path.display()))?;
        Ok(Self { path, file, length: text.len() as u64 })
    }

    fn line(&mut self, line: &str) -> Result<()> {
        let line = format!("{line}\n");
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            // A full disk takes part of a line: take that back. Should this fail too, resume cuts it.
            let _ = self.file.set_len(self.length);
            bail!("cannot write {}: {error}", self.path.display());
        }
        self.length += line.len() as u64;
        Ok(())
    }

    fn object(&mut self, object: Map<String, Value>) -> Result<()> {
        self.line(&Value::Object(object).to_string())
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| anyhow!("cannot write {}: {error}", self.path.display()))
    }
}

#[cfg(test)]
#[path = "metrics_writer_tests.rs"]
mod tests;
