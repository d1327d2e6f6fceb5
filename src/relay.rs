//! A process that works through another: what that one is given, and the signals that are passed on to it.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// How OpenMP's threads wait.
const WAIT_POLICY: &str = "OMP_WAIT_POLICY";
/// Names, to a process that works for another, that other one.
const PARENT: &str = "SYNTH_WORKS_FOR";
/// How long a signal may wait before it is passed on.
const TURN: Duration = Duration::from_millis(50);

/// Threads of `command` that wait for one another sleep instead of spinning, unless the user says otherwise: as fast on
/// idle cores, and many times as fast where other processes want them. The library reads this when it is loaded, too late
/// for our own process.
pub fn let_waiting_threads_sleep(command: &mut Command) {
    if std::env::var_os(WAIT_POLICY).is_none() {
        command.env(WAIT_POLICY, "PASSIVE");
    }
}

/// `command` ends with this process, saving first, whatever ends that one; where the command calls
/// [`end_with_parent`].
pub fn tell_parent(command: &mut Command) {
    command.env(PARENT, std::process::id().to_string());
}

/// Asks the system for a TERM when the process that this one works for ends. Where there is none, nothing happens.
///
/// # Errors
/// What the system reports; a parent that has ended already.
pub fn end_with_parent() -> Result<()> {
    let Some(parent) = std::env::var(PARENT).ok().and_then(|text| text.parse().ok()) else { return Ok(()) };
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot follow the process that started this one")?;
    // It may have ended before the line above.
    let now = getppid().map(|process| process.as_raw_nonzero().get());
    ensure!(now == Some(parent), "the process {parent} that started this one has ended");
    Ok(())
}

/// Catches this process's signals and passes them on to the child that it waits for: the first INT or TERM lets
/// that one save and stop, the second stops it at once, USR1 lets it save. A terminal that goes away (HUP) is a TERM.
pub struct Relay {
    incoming: Signals,
    stop: Option<i32>,
}

impl Relay {
    /// Catches signals from now on.
    ///
    /// # Errors
    /// What the system reports.
    pub fn listen() -> Result<Self> {
        let incoming = Signals::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1]).context("cannot listen to signals")?;
        Ok(Self { incoming, stop: None })
    }

    /// The signal that asked to stop, if one did.
    pub fn stop(&mut self) -> Option<i32> {
        self.take();
        self.stop
    }

    /// The signal that asked to stop, among those that were taken.
    pub fn asked(&self) -> Option<i32> {
        self.stop
    }

    /// Waits for `child`, which must be in a process group of its own: signals of the terminal reach it through
    /// here alone. What takes longer than `limit` is ended, and has no exit.
    ///
    /// # Errors
    /// What the system reports.
    pub fn wait_for(&mut self, child: &mut Child, limit: Option<Duration>) -> Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().context("cannot wait for a cell's process")? {
                return Ok(Some(status));
            }
            if limit.is_some_and(|limit| begun.elapsed() >= limit) {
                child.kill().and_then(|()| child.wait()).context("cannot end a cell's process")?;
                return Ok(None);
            }
            for signal in self.take() {
                pass(child, signal);
            }
            std::thread::sleep(TURN);
        }
    }

    /// What came in since the last call, as it is passed on.
    pub fn take(&mut self) -> Vec<Signal> {
        let incoming: Vec<i32> = self.incoming.pending().collect();
        let asked = incoming.iter().copied().find(|&signal| signal != SIGUSR1);
        self.stop = self.stop.or(asked);
        let passed = incoming.into_iter().map(|signal| match signal {
            SIGINT => Signal::INT,
            SIGUSR1 => Signal::USR1,
            _ => Signal::TERM,
        });
        passed.collect()
    }
}

/// Sends `child` a signal.
pub fn pass(child: &Child, signal: Signal) {
    // An error means that the process has ended, which whoever waits for it sees.
    let _ = kill_process(Pid::from_child(child), signal);
}
