//! Signals: the first INT or TERM saves and stops, the second stops at once, USR1 saves and goes on.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
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
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, the second finds it up.
            flag::register_conditional_shutdown(signal, 128 + signal, stopping.clone())
                .and_then(|_| flag::register(signal, stopping.clone()))
                .and_then(|_| flag::register_usize(signal, signals.stop.clone(), signal as usize))
                .context("cannot listen to signals")?;
        }
        flag::register(SIGUSR1, signals.save.clone()).context("cannot listen to signals")?;
        Ok(signals)
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
