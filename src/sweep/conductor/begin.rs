//! How cells begin: which one is next, whether it is this process's to do, and where it runs.

use super::{Conductor, LOOK, Running, Task, given_back, record};
use crate::runs::lease::Attempt;
use crate::runs::{Status, aside};
use crate::sweep::need;
use crate::sweep::process::Process;
use crate::sweep::standing::Standing;
use anyhow::Result;
use std::collections::BTreeSet;
use std::fs;
use std::time::Instant;

impl Conductor<'_> {
    /// Cells to be done: those that are settled, and those that cannot be, are closed at once.
    pub(super) fn enqueue(&mut self, cells: BTreeSet<usize>) -> Result<()> {
        for index in cells {
            if !self.cells.insert(index) {
                continue;
            }
            let lease = self.leases.ended(&self.cell(index).run)?;
            if !self.is_closed(index) {
                let retries = self.plan.retries;
                self.queue.push_back(Task { index, retries, alone: false, after: None, lease });
            }
        }
        Ok(())
    }

    /// Whether a cell needs no process, which is then written down.
    fn is_closed(&mut self, index: usize) -> bool {
        let cell = self.cell(index);
        if let Some(reason) = &cell.skip {
            self.close(index, Status::Skipped, Some(reason.clone()));
            return true;
        }
        let seats = self.packing.seats().iter();
        let largest = seats.map(|seat| seat.capacity.unwrap_or(u64::MAX)).max().unwrap_or(u64::MAX);
        let least = need::least(&cell.experiment);
        match Standing::of(&self.cell_folder(index), &cell.experiment) {
            Ok(standing @ Standing::Settled(..)) => {
                let Some(ending) = standing.ending(&cell.run, &cell.experiment) else { return false };
                self.live.settled(index, cell, &ending);
                self.books.close(index, ending);
                true
            }
            Ok(_) if least > u128::from(largest) => {
                let gib = |bytes: f64| bytes / f64::from(1 << 30);
                let (needed, there) = (gib(least as f64), gib(largest as f64));
                let reason = format!("training needs at least {needed:.1} GiB, there are {there:.1} GiB; not begun");
                self.close(index, Status::OutOfMemory, Some(reason));
                true
            }
            Ok(_) => false,
            Err(error) => {
                self.close(index, Status::Failed, Some(format!("{error:#}")));
                true
            }
        }
    }

    /// Writes down how a cell ended that no process ran.
    pub(super) fn close(&mut self, index: usize, status: Status, reason: Option<String>) {
        let ending = record(self.cell(index), status, reason);
        self.books.note(index, ending.clone());
        self.live.ended(index, self.cell(index), &ending);
    }

    /// Begins cells, in order, as long as there is room; a small one may pass a large one that has to wait.
    pub(super) fn begin_what_fits(&mut self) {
        let mut place = 0;
        while place < self.queue.len() && !self.packing.is_full() {
            let task = self.queue[place].clone();
            let waits = task.after.is_some_and(|after| Instant::now() < after);
            let need = self.needs.of(self.cell(task.index));
            let seat = if waits { None } else { self.packing.place(need, task.alone) };
            let Some(seat) = seat else {
                place += 1;
                continue;
            };
            self.queue.remove(place);
            let index = task.index;
            match self.begin(task, seat, need) {
                Ok(None) => {}
                Ok(Some(later)) => {
                    self.queue.insert(place, later);
                    place += 1;
                }
                Err(error) => self.close(index, Status::Failed, Some(crate::panics::one_line(&error))),
            }
        }
    }

    /// Starts a cell's process unless another has done so; answers the task where it has to wait for that one.
    fn begin(&mut self, task: Task, seat: usize, need: u64) -> Result<Option<Task>> {
        let (index, cell, folder) = (task.index, self.cell(task.index), self.cell_folder(task.index));
        if self.is_done_elsewhere(&task, false)? {
            return Ok(None);
        }
        let later = |task: Task| Ok(Some(Task { after: Some(Instant::now() + LOOK), ..task }));
        if aside::is_busy(&folder) {
            self.live.held(index, cell, "another process");
            return later(task);
        }
        let lease = match self.leases.take(&cell.run)? {
            Attempt::Taken(lease) => lease,
            Attempt::Held(who) => {
                self.live.held(index, cell, &who);
                return later(task);
            }
        };
        // What another process did before this one got the lease.
        if self.is_done_elsewhere(&task, true)? {
            given_back(lease);
            return Ok(None);
        }
        let device = self.packing.seats()[seat].device.clone();
        let before = fs::read(folder.join("summary.json")).ok();
        let process = match self.start(index, &device) {
            Ok(process) => process,
            Err(error) => {
                given_back(lease);
                return Err(error);
            }
        };
        self.live.begun(index, cell, &device);
        self.packing.take(index, seat, need);
        self.totals.devices[seat].processes += 1;
        let task = Task { lease: lease.number(), ..task };
        let shared = self.packing.cells(seat) > 1;
        self.running.iter_mut().filter(|other| other.seat == seat).for_each(|other| other.shared = true);
        self.running.push(Running { task, seat, process, lease, before, shared, looked: Instant::now() });
        Ok(None)
    }

    /// Makes the cell's place free of other configurations, and starts its process with the threads that its checkpoint
    /// was computed with.
    fn start(&mut self, index: usize, device: &str) -> Result<Process> {
        let (cell, folder) = (self.cell(index), self.cell_folder(index));
        let threads = match Standing::of(&folder, &cell.experiment)? {
            Standing::Open(threads) => threads.or(self.threads),
            Standing::Other(what) => {
                let place = aside::set_aside(&folder)?;
                tracing::warn!("{}: what was there is now {}: {what}", cell.run, place.display());
                self.threads
            }
            Standing::Settled(..) => self.threads,
        };
        self.books.begin(&record(cell, Status::Stopped, None));
        let process = self.spawner.start(cell, device, threads)?;
        tracing::info!("{}: begun on {device}, process {}", cell.run, process.id());
        Ok(process)
    }

    /// Whether a cell is settled by now, or, as whoever has its lease can tell, was tried by another process since this
    /// call looked first and failed there; that is written down.
    fn is_done_elsewhere(&mut self, task: &Task, leased: bool) -> Result<bool> {
        let (index, cell) = (task.index, self.cell(task.index));
        let standing = Standing::of(&self.cell_folder(index), &cell.experiment)?;
        let settled = standing.ending(&cell.run, &cell.experiment);
        let elsewhere = || {
            let newest = self.books.newest(&cell.run)?;
            matches!(newest.status, Status::Failed | Status::OutOfMemory).then_some(newest)
        };
        let tried = leased && self.leases.number(&cell.run)? > task.lease + 1;
        let ending = settled.or_else(|| if tried { elsewhere() } else { None });
        if let Some(ending) = ending {
            self.books.close(index, ending.clone());
            self.live.ended(index, cell, &ending);
            return Ok(true);
        }
        Ok(false)
    }
}
