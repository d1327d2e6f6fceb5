//! The cells of a sweep, each in a process of its own: which begins when and where, and what becomes of it.

mod begin;
mod end;
mod orders;

use super::books::Books;
use super::live::Live;
use super::need::Needs;
use super::packing::Packing;
use super::plan::{Cell, Plan};
use super::process::{Process, Spawner};
use super::progress::Progress;
use super::shard::Shard;
use super::totals::Totals;
use crate::relay::Relay;
use crate::runs::Status;
use crate::runs::lease::{Attempt, BEAT, Lease, Leases};
use crate::runs::ledger::CellRecord;
use anyhow::Result;
pub use orders::{Orders, Outcome};
use rustix::process::Signal;
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long nothing is looked at.
const TURN: Duration = Duration::from_millis(50);
/// How often progress is read, and cells of other processes are asked for.
const LOOK: Duration = Duration::from_secs(2);
/// How long a cell may take to save when the time is over.
const GRACE: Duration = Duration::from_secs(45);
/// Leases of cells lie here, beside the cells.
const LEASES: &str = ".leases";

/// A cell that waits.
#[derive(Debug, Clone)]
struct Task {
    index: usize,
    retries: u64,
    /// It needs a device for itself: beside others its memory ran out.
    alone: bool,
    /// Not to be looked at before.
    after: Option<Instant>,
    /// How many of its leases had ended when this call began, or the number of the last that was ours.
    lease: u32,
}

/// A cell that runs.
struct Running {
    task: Task,
    seat: usize,
    process: Process,
    lease: Lease,
    /// The bytes of its summary before it began.
    before: Option<Vec<u8>>,
    /// It was never alone on its device.
    shared: bool,
    looked: Instant,
}

/// A sweep under way.
pub struct Conductor<'a> {
    plan: &'a Plan,
    spawner: Spawner<'a>,
    folder: PathBuf,
    threads: Option<u64>,
    shard: Option<Shard>,
    deadline: Option<Instant>,
    relay: &'a mut Relay,
    books: Books,
    leases: Leases,
    /// Held while this shard is under way, so that others see when it dies.
    own: Option<Lease>,
    packing: Packing,
    needs: Needs,
    live: Live,
    totals: Totals,
    queue: VecDeque<Task>,
    running: Vec<Running>,
    cells: BTreeSet<usize>,
    left: BTreeSet<usize>,
    looked: Instant,
    turned: Instant,
    /// How often all cells were told that the time is over.
    terms: u8,
}

impl<'a> Conductor<'a> {
    /// Looks at every cell; nothing runs yet.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn new(orders: Orders<'a>, relay: &'a mut Relay) -> Result<Self> {
        let Orders { plan, results, seats, jobs, shard, time_limit, quiet, verbose } = orders;
        let folder = results.join(&plan.name);
        let books = Books::open(&folder)?;
        let leases = Leases::new(folder.join(LEASES))?;
        let cells: BTreeSet<usize> =
            (0..plan.cells.len()).filter(|index| shard.is_none_or(|shard| shard.has(*index))).collect();
        let live = Live::new(&plan.name, cells.iter().map(|index| (*index, &plan.cells[*index])));
        let totals = Totals::new(seats.iter().map(|seat| seat.device.clone()));
        let now = Instant::now();
        let mut conductor = Self {
            plan,
            spawner: Spawner { plan, results, quiet, verbose },
            folder,
            threads: super::process::threads(jobs),
            shard,
            deadline: time_limit.map(|limit| now + limit),
            relay,
            books,
            leases,
            own: None,
            packing: Packing::new(seats, jobs),
            needs: Needs::default(),
            live,
            totals,
            queue: VecDeque::new(),
            running: Vec::new(),
            cells: BTreeSet::new(),
            left: BTreeSet::new(),
            looked: now,
            turned: now,
            terms: 0,
        };
        if let Some(shard) = shard
            && let Attempt::Taken(lease) = conductor.leases.take(&shard.lease())?
        {
            conductor.own = Some(lease);
        }
        conductor.enqueue(cells)?;
        Ok(conductor)
    }

    /// Runs cells until none is left, or this process is told to stop.
    ///
    /// # Errors
    /// Where processes cannot be waited for.
    pub fn run(mut self) -> Result<Outcome> {
        loop {
            self.pass_signals();
            self.reap()?;
            let stopping = self.stopping();
            if !stopping {
                self.begin_what_fits();
            }
            self.look();
            self.count_time();
            if self.running.is_empty() && (stopping || self.queue.is_empty() && !self.adopt()?) {
                break;
            }
            std::thread::sleep(TURN);
        }
        let out_of_time = self.out_of_time();
        self.note_what_waits();
        self.books.index();
        if let Some(lease) = self.own.take() {
            given_back(lease);
        }
        Ok(Outcome { endings: self.books.endings().clone(), cells: self.cells, out_of_time, totals: self.totals })
    }

    fn cell(&self, index: usize) -> &'a Cell {
        &self.plan.cells[index]
    }

    fn cell_folder(&self, index: usize) -> PathBuf {
        self.folder.join(&self.cell(index).run)
    }

    /// Whether no further cell is to begin.
    fn stopping(&self) -> bool {
        self.relay.asked().is_some() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Whether that is so because the time is over.
    fn out_of_time(&self) -> bool {
        self.relay.asked().is_none() && self.stopping()
    }

    /// Signals of this process go to all cells; the end of the time is a TERM, and another one after a while.
    fn pass_signals(&mut self) {
        for signal in self.relay.take() {
            self.running.iter().for_each(|running| running.process.signal(signal));
        }
        let Some(over) = self.deadline.and_then(|deadline| Instant::now().checked_duration_since(deadline)) else {
            return;
        };
        // Once each: a second TERM ends a cell that is saving.
        if self.terms == 0 || self.terms == 1 && over >= GRACE {
            self.terms += 1;
            self.running.iter().for_each(|running| running.process.signal(Signal::TERM));
        }
        if over > 2 * GRACE {
            self.running.iter_mut().for_each(|running| running.process.kill());
        }
    }

    /// Shows that this process is alive, reads what cells have written, and sees whether other shards are.
    fn look(&mut self) {
        for running in &mut self.running {
            if running.looked.elapsed() < LOOK {
                continue;
            }
            running.looked = Instant::now();
            let index = running.task.index;
            let cell = &self.plan.cells[index];
            if let Some(progress) = Progress::of(&self.folder.join(&cell.run)) {
                self.live.progress(index, cell, progress);
                if let Some(peak) = progress.peak_mib {
                    self.needs.saw(cell, peak);
                    self.packing.take(index, running.seat, self.needs.of(cell));
                }
            }
        }
        self.renew();
        self.live.counts(self.running.len(), self.queue.len());
        if self.looked.elapsed() >= BEAT / 2 {
            self.looked = Instant::now();
            self.look_at_shards();
        }
    }

    fn count_time(&mut self) {
        let (cells, passed) = (0..self.packing.seats().len(), self.turned.elapsed());
        self.totals.pass(passed, cells.map(|seat| self.packing.cells(seat)));
        self.turned = Instant::now();
    }
}

fn given_back(lease: Lease) {
    if let Err(error) = lease.give_back() {
        tracing::debug!("{error:#}");
    }
}

/// A record of a cell of which nothing is known yet but that it waits.
fn record(cell: &Cell, status: Status, reason: Option<String>) -> CellRecord {
    CellRecord { run: cell.run.clone(), kind: cell.experiment.kind(), seed: cell.seed, status, reason }
}
