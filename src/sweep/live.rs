//! What a person sees of a sweep under way: on a terminal a line for each cell, else lines now and then.

use super::plan::Cell;
use super::progress::Progress;
use super::time;
use crate::runs::Status;
use crate::runs::ledger::CellRecord;
use crate::terminal::{Bar, MOST_BARS, draws};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often a cell's progress is told where there is no terminal.
const PATIENCE: Duration = Duration::from_secs(60);
/// Other lines beside those of cells.
const OTHERS: usize = 2;

/// The view of a sweep.
pub struct Live {
    total: Bar,
    cells: HashMap<usize, Line>,
    /// Waiting and ended cells have lines, too.
    all: bool,
    width: usize,
    ended: u64,
}

struct Line {
    bar: Bar,
    told: Instant,
}

impl Live {
    /// Of these cells, none of which has begun; with the number that it has in the sweep.
    pub fn new<'a>(sweep: &str, cells: impl Iterator<Item = (usize, &'a Cell)>) -> Self {
        let cells: Vec<(usize, &Cell)> = cells.collect();
        let width = cells.iter().map(|(_, cell)| cell.run.len()).max().unwrap_or(0);
        let all = cells.len() + OTHERS <= MOST_BARS as usize;
        let total = Bar::text(sweep);
        total.become_bar(sweep, cells.len() as u64, 0);
        let mut live = Self { total, cells: HashMap::new(), all, width, ended: 0 };
        if all {
            for (index, cell) in cells {
                live.line(index, cell).bar.say("waiting");
            }
        }
        live
    }

    fn line(&mut self, index: usize, cell: &Cell) -> &Line {
        let name = self.name(cell);
        self.cells.entry(index).or_insert_with(|| Line { bar: Bar::text(&name), told: Instant::now() })
    }

    fn name(&self, cell: &Cell) -> String {
        format!("{:<width$}", cell.run, width = self.width)
    }

    /// A cell has begun, or goes on.
    pub fn begun(&mut self, index: usize, cell: &Cell, device: &str) {
        let name = self.name(cell);
        let bar = &self.line(index, cell).bar;
        bar.become_bar(&name, cell.experiment.train.steps.unwrap_or(0), 0);
        bar.say(&format!("on {device}"));
    }

    /// Another process has a cell.
    pub fn held(&mut self, index: usize, cell: &Cell, who: &str) {
        if self.all {
            self.line(index, cell).bar.say(&format!("held by {who}"));
        }
    }

    /// How far a cell has come.
    pub fn progress(&mut self, index: usize, cell: &Cell, progress: Progress) {
        let text = told(progress, cell.experiment.train.steps);
        self.line(index, cell);
        let Some(line) = self.cells.get_mut(&index) else { return };
        line.bar.set(progress.step);
        line.bar.say(&text);
        if !draws() && line.told.elapsed() >= PATIENCE {
            line.told = Instant::now();
            let of = cell.experiment.train.steps.map_or(String::new(), |steps| format!(" of {steps}"));
            tracing::info!("{}: step {}{of}, {text}", cell.run, progress.step);
        }
    }

    /// A cell has ended, here or elsewhere.
    pub fn ended(&mut self, index: usize, cell: &Cell, record: &CellRecord) {
        match (record.status, &record.reason) {
            (Status::Done, None) => tracing::info!("{}: done", record.run),
            (Status::Done, Some(reason)) => tracing::info!("{}: done: {reason}", record.run),
            (status, reason) => {
                tracing::warn!("{}: {status}: {}", record.run, reason.as_deref().unwrap_or("no reason"))
            }
        }
        self.close(index, cell, record);
    }

    /// A cell had ended before this call began.
    pub fn settled(&mut self, index: usize, cell: &Cell, record: &CellRecord) {
        tracing::info!("{}: {}, nothing to do", record.run, record.status);
        self.close(index, cell, record);
    }

    fn close(&mut self, index: usize, cell: &Cell, record: &CellRecord) {
        let (name, all) = (self.name(cell), self.all);
        if all {
            let bar = &self.line(index, cell).bar;
            bar.become_text(&name);
            bar.say(
                &record
                    .reason
                    .as_ref()
                    .map_or(record.status.to_string(), |reason| format!("{}: {reason}", record.status)),
            );
        } else {
            self.cells.remove(&index);
        }
        self.ended += 1;
        self.total.set(self.ended);
    }

    /// How many cells run and wait.
    pub fn counts(&self, running: usize, waiting: usize) {
        self.total.say(&format!("ended, {running} running, {waiting} waiting"));
    }
}

/// Loss, rate and time left.
fn told(progress: Progress, steps: Option<u64>) -> String {
    let loss = progress.loss.map(|loss| format!("loss {loss:.4}"));
    let rate = progress.tokens_per_second.map(|rate| format!("{rate:.0} tokens/s"));
    let left = steps.and_then(|steps| progress.seconds_left(steps));
    let left = left.map(|seconds| format!("{} left", time::tell(Duration::from_secs_f64(seconds))));
    [loss, rate, left].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_loss_rate_and_time_left() {
        let progress = Progress {
            step: 100,
            loss: Some(2.5),
            tokens_per_second: Some(1234.5),
            step_ms: Some(100.0),
            peak_mib: None,
        };
        assert_eq!(told(progress, Some(400)), "loss 2.5000, 1234 tokens/s, 30s left");
        assert_eq!(told(Progress { loss: None, ..progress }, None), "1234 tokens/s");
        assert_eq!(told(Progress::default(), Some(3)), "");
    }
}
