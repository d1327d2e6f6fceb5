//! What a call is told to do, and what it answers.

use crate::runs::ledger::CellRecord;
use crate::sweep::{Plan, Seat, Shard, Totals};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// What is to be done, and with what.
#[derive(Debug)]
pub struct Orders<'a> {
    /// The sweep.
    pub plan: &'a Plan,
    /// The folder of all results.
    pub results: &'a Path,
    /// Where cells may run.
    pub seats: Vec<Seat>,
    /// How many may run at one time.
    pub jobs: usize,
    /// Which cells.
    pub shard: Option<Shard>,
    /// After how long all are stopped.
    pub time_limit: Option<Duration>,
    /// `--quiet`.
    pub quiet: bool,
    /// `--verbose`.
    pub verbose: u8,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// How each cell ended, by its number in the sweep; those that were never begun are missing.
    pub endings: BTreeMap<usize, CellRecord>,
    /// The cells that were this call's to do.
    pub cells: BTreeSet<usize>,
    /// Whether the time limit was reached before all was done.
    pub out_of_time: bool,
    /// What it took.
    pub totals: Totals,
}
