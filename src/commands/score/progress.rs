//! A bar for what takes longer than a moment.

use crate::terminal::Bar;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a person waits without asking.
const MOMENT: Duration = Duration::from_secs(1);

/// Draws a bar once a moment has passed.
pub struct Progress {
    what: String,
    total: usize,
    started: Instant,
    bar: OnceLock<Bar>,
}

impl Progress {
    /// Of `total` steps, named `what`.
    pub fn new(what: &str, total: usize) -> Self {
        Self { what: what.to_string(), total, started: Instant::now(), bar: OnceLock::new() }
    }

    /// Moves to `done`.
    pub fn set(&self, done: usize) {
        if self.started.elapsed() >= MOMENT {
            self.bar.get_or_init(|| Bar::new(&self.what, self.total as u64, done as u64)).set(done as u64);
        }
    }
}
