//! What TensorBoard shows of a run: `tensorboard/events.out.tfevents.*`.

mod messages;
mod records;

use super::metrics::Row;
use super::sample::Sample;
use super::split::Split;
use anyhow::{Result, anyhow};
use messages::{Event, SessionLog, Summary, Value};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the names of event files begin with; seconds since 1970 follow, and TensorBoard reads files in the order of names.
const PREFIX: &str = "events.out.tfevents.";

/// Writes an event file of its own for each process of a run.
#[derive(Debug)]
pub struct TensorBoard {
    path: PathBuf,
    file: BufWriter<File>,
}

impl TensorBoard {
    /// Begins anew in `folder`, or goes on after `cut_after_step`: TensorBoard forgets the points past that.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn open(folder: &Path, cut_after_step: Option<u64>) -> Result<Self> {
        let cannot = |error| cannot_write(folder, &error);
        fs::create_dir_all(folder).map_err(cannot)?;
        let earlier = event_files(folder).map_err(cannot)?;
        if cut_after_step.is_none() {
            earlier.iter().try_for_each(|(path, _)| fs::remove_file(path)).map_err(cannot)?;
        }
        // Later than every other file, whatever the clock says.
        let newest = earlier.iter().filter(|_| cut_after_step.is_some()).map(|(_, second)| second + 1).max();
        let second = (now() as u64).max(newest.unwrap_or(0));
        let path = folder.join(format!("{PREFIX}{second:010}.synth"));
        let file = File::create_new(&path).map_err(|error| cannot_write(&path, &error))?;
        let mut board = Self { path, file: BufWriter::new(file) };
        board.event(0, Event { file_version: Some("brain.Event:2".into()), ..Default::default() })?;
        // Points of earlier files at this step and later ones go: the checkpoint's own stay. The first of a run has one as
        // well, or the next would be taken for the first.
        let from = cut_after_step.map_or(0, |step| step + 1);
        board.event(from, Event { session_log: Some(SessionLog::start()), ..Default::default() })?;
        board.flush()?;
        Ok(board)
    }

    /// The points of a row.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn row(&mut self, row: &Row) -> Result<()> {
        let value = scalars(row).into_iter().map(|(tag, value)| Value::scalar(tag, value as f32)).collect();
        self.summary(row.step, value)
    }

    /// A text of many lines, shown as it is.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn text(&mut self, tag: &str, step: u64, text: &str) -> Result<()> {
        self.summary(step, vec![Value::text(tag.into(), verbatim(text))])
    }

    /// A prompt and how the model went on.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn sample(&mut self, step: u64, number: usize, sample: &Sample) -> Result<()> {
        let text = format!("{}\n\n**went on:**\n\n{}", verbatim(&sample.prompt), verbatim(&sample.continuation));
        self.summary(step, vec![Value::text(format!("samples/{number}"), text)])
    }

    /// Brings all to the disk.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn sync(&self) -> Result<()> {
        self.file.get_ref().sync_data().map_err(|error| cannot_write(&self.path, &error))
    }

    fn summary(&mut self, step: u64, value: Vec<Value>) -> Result<()> {
        self.event(step, Event { summary: Some(Summary { value }), ..Default::default() })?;
        self.flush()
    }

    fn event(&mut self, step: u64, event: Event) -> Result<()> {
        let event = Event { wall_time: now(), step: step as i64, ..event };
        records::write(&mut self.file, &event).map_err(|error| cannot_write(&self.path, &error))
    }

    fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|error| cannot_write(&self.path, &error))
    }
}

/// Tags and values of what a row measured.
fn scalars(row: &Row) -> Vec<(String, f64)> {
    let split = row.split.name();
    let of_split = ["loss", "perplexity"].into_iter().chain(row.extra.iter().map(|(name, _)| name.as_str()));
    let mut tagged: Vec<(String, &str)> = of_split.map(|name| (format!("{split}/{name}"), name)).collect();
    if row.split == Split::Train {
        tagged.extend(["lr", "grad_norm"].map(|name| (name.to_owned(), name)));
        let performance = ["tokens_per_second", "step_ms", "peak_memory_mib"];
        tagged.extend(performance.map(|name| (format!("performance/{name}"), name)));
    }
    tagged.into_iter().filter_map(|(tag, name)| Some((tag, row.value(name)?))).collect()
}

/// Markdown of a text as it is.
fn verbatim(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
    lines.join("\n")
}

/// The event files in a folder, with the seconds in their names.
fn event_files(folder: &Path) -> std::io::Result<Vec<(PathBuf, u64)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let second = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next()?.parse().ok());
        files.extend(second.map(|second| (entry.path(), second)));
    }
    Ok(files)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow!("cannot write {}: {error}", path.display())
}

#[cfg(test)]
mod tests;
