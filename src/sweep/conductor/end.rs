//! How cells end: what is written down, what is tried again, and what becomes of cells whose process lost them.

use super::{Conductor, Running, Task, given_back, record};
use crate::runs::{Status, Summary};
use crate::sweep::process::Line;
use crate::sweep::shard::Shard;
use crate::sweep::verdict::verdict;
use crate::terminal::draws;
use crate::train::signals;
use anyhow::Result;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitStatus;

impl Conductor<'_> {
    /// Hears what cells say, and sees which have ended.
    pub(super) fn reap(&mut self) -> Result<()> {
        let mut place = 0;
        while place < self.running.len() {
            let run = &self.plan.cells[self.running[place].task.index].run;
            let process = &mut self.running[place].process;
            process.said().iter().for_each(|line| pass_on(run, line));
            match process.ended()? {
                None => place += 1,
                Some((exit, lines)) => {
                    lines.iter().for_each(|line| pass_on(run, line));
                    let running = self.running.remove(place);
                    self.end(running, exit);
                }
            }
        }
        Ok(())
    }

    /// Writes down how a process ended; a cell that failed may be tried again.
    fn end(&mut self, running: Running, exit: ExitStatus) {
        let Running { task, process, lease, before, shared, .. } = running;
        let (index, cell) = (task.index, self.cell(task.index));
        self.packing.leave(index);
        let path = self.cell_folder(index).join("summary.json");
        let now = fs::read(&path).ok();
        // That of an earlier process tells nothing of this one, unless there was nothing to do.
        let told = now.is_some() && (now != before || exit.success());
        let mut summary = if told { Summary::read(&path).ok() } else { None };
        self.tell_time_limit(&mut summary, &path);
        if let Some(peak) = summary.as_ref().and_then(|summary| summary.peak_memory_mib) {
            self.needs.saw(cell, peak);
        }
        let (status, reason) = verdict(exit, summary, process.last_error());
        let ending = record(cell, status, reason);
        self.books.end(&ending, told);
        given_back(lease);
        match self.again(task, status, shared) {
            Some(task) => {
                let (reason, left) = (ending.reason.unwrap_or_default(), task.retries);
                tracing::warn!("{}: {status}: {reason}; it is tried again, {left} retries are left", cell.run);
                self.queue.push_front(task);
            }
            None => {
                self.live.ended(index, cell, &ending);
                self.books.close(index, ending);
            }
        }
    }

    /// What a cell knows as a signal was the end of the sweep's time: its summary says so.
    fn tell_time_limit(&self, summary: &mut Option<Summary>, path: &Path) {
        let term = signals::name(Signal::TERM.as_raw());
        let by_term =
            |summary: &&mut Summary| summary.status == Status::Stopped && summary.reason.as_deref() == Some(&term);
        let Some(summary) = summary.as_mut().filter(by_term).filter(|_| self.out_of_time()) else { return };
        summary.reason = Some("the sweep's --time-limit is over".into());
        if let Err(error) = summary.write(path) {
            tracing::debug!("{error:#}");
        }
    }

    /// The task of a cell that is to be tried once more: it failed and has retries left, or its memory ran out beside
    /// others.
    fn again(&mut self, task: Task, status: Status, shared: bool) -> Option<Task> {
        if self.stopping() || !matches!(status, Status::Failed | Status::OutOfMemory) {
            return None;
        }
        if status == Status::OutOfMemory && shared && !task.alone {
            return Some(Task { alone: true, ..task });
        }
        let retries = task.retries.checked_sub(1)?;
        Some(Task { retries, alone: task.alone || status == Status::OutOfMemory, ..task })
    }

    /// Shows that this process is alive. Cells of which another process believes that their holder is dead end at once.
    pub(super) fn renew(&mut self) {
        if let Some(Err(error)) = self.own.as_mut().map(|lease| lease.renew()) {
            tracing::warn!("{error:#}");
        }
        let mut place = 0;
        while place < self.running.len() {
            match self.running[place].lease.renew() {
                Ok(true) => place += 1,
                Err(error) => {
                    tracing::warn!("{error:#}");
                    place += 1;
                }
                Ok(false) => {
                    let mut running = self.running.remove(place);
                    running.process.kill();
                    self.packing.leave(running.task.index);
                    let run = &self.cell(running.task.index).run;
                    tracing::warn!("{run}: another process has taken it over, since this one gave no sign for long");
                    self.queue.push_back(running.task);
                }
            }
        }
    }

    /// Sees which of the other shards have died.
    pub(super) fn look_at_shards(&mut self) {
        let Some(shard) = self.shard else { return };
        for other in shard.all().filter(|other| *other != shard) {
            match self.leases.was_left(&other.lease()) {
                Ok(true) => drop(self.left.insert(other.number)),
                Ok(false) => drop(self.left.remove(&other.number)),
                Err(error) => tracing::debug!("{error:#}"),
            }
        }
    }

    /// Takes over the cells of shards that have died, once this one's are done; whether there are any.
    pub(super) fn adopt(&mut self) -> Result<bool> {
        let Some(shard) = self.shard else { return Ok(false) };
        self.look_at_shards();
        let left: Vec<Shard> = self.left.iter().map(|number| Shard { number: *number, ..shard }).collect();
        for other in left {
            let cells: BTreeSet<usize> = (0..self.plan.cells.len()).filter(|index| other.has(*index)).collect();
            if !cells.is_subset(&self.cells) {
                tracing::warn!("shard {other} has died: its cells are done here");
                self.enqueue(cells)?;
            }
        }
        Ok(!self.queue.is_empty())
    }

    /// Gives cells that were never begun a record, unless they have one.
    pub(super) fn note_what_waits(&mut self) {
        for task in std::mem::take(&mut self.queue) {
            let cell = self.cell(task.index);
            if self.books.newest(&cell.run).is_none() && !self.cell_folder(task.index).exists() {
                let ending = record(cell, Status::Stopped, Some("not begun".into()));
                self.books.note(task.index, ending);
            }
        }
    }
}

/// Says what a cell's process said, with its name. Its error is told with its ending.
fn pass_on(run: &str, line: &Line) {
    match line {
        // The table says as much.
        Line::Info(text) if draws() => tracing::debug!("{run}: {text}"),
        Line::Info(text) => tracing::info!("{run}: {text}"),
        Line::Warning(text) => tracing::warn!("{run}: {text}"),
        Line::Error(text) => tracing::debug!("{run}: {text}"),
    }
}
