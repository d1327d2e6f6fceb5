//! Signals: the first INT or TERM saves and stops, the second stops at once, USR1 saves and goes on.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals as Incoming;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What the signals of this process ask for.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    stop: Arc<AtomicUsize>,
    save: Arc<AtomicBool>,
}

impl Signals {
    /// Listens to this process's signals from now on.
    ///
    /// # Errors
    /// What the system reports.
    pub fn listen() -> Result<Self> {
        let signals = Self::default();
        let mut incoming = Incoming::new([SIGINT, SIGTERM, SIGUSR1]).context("cannot listen to signals")?;
        let asked = signals.clone();
        // One thread takes them all, one after another: two that come at once, on two threads, are a first and a second.
        let take = move || incoming.forever().for_each(|signal| asked.take(signal));
        std::thread::Builder::new().name("signals".into()).spawn(take).context("cannot listen to signals")?;
        Ok(signals)
    }

    fn take(&self, signal: i32) {
        if signal == SIGUSR1 {
            self.save.store(true, Ordering::Relaxed);
        } else if self.stop.swap(signal as usize, Ordering::Relaxed) != 0 {
            // Without the destructors of libraries whose threads are at work.
            signal_hook::low_level::exit(128 + signal);
        }
    }

    /// The signal that asked to stop, if one did.
    pub fn stop(&self) -> Option<i32> {
        match self.stop.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(signal as i32),
        }
    }

    /// Whether a checkpoint was asked for since the last call.
    pub fn take_save(&self) -> bool {
        self.save.swap(false, Ordering::Relaxed)
    }
}

/// `SIGINT` for 2, and so on.
pub fn name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_string)
}
