//! The process of a cell: started, heard, signalled.

use super::plan::{Cell, Plan};
use crate::relay::{let_waiting_threads_sleep, pass, tell_parent};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How many threads a process's operations have.
pub const THREADS: &str = "OMP_NUM_THREADS";
/// How long the last lines of a process that has ended may take.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What is the same for all cells of a call.
#[derive(Debug)]
pub struct Spawner<'a> {
    /// The sweep.
    pub plan: &'a Plan,
    /// The folder of all results.
    pub results: &'a Path,
    /// `--quiet`.
    pub quiet: bool,
    /// `--verbose`.
    pub verbose: u8,
}

impl Spawner<'_> {
    /// Starts `synth train` on a cell, which goes on where it was.
    ///
    /// # Errors
    /// What the system reports.
    pub fn start(&self, cell: &Cell, device: &str, threads: Option<u64>) -> Result<Process> {
        let program = std::env::current_exe().context("cannot find synth's own program")?;
        let mut command = Command::new(program);
        command.arg("train").arg(&self.plan.base).arg("--resume");
        command.arg("--results").arg(self.results).arg("--run").arg(&cell.run).arg("--device").arg(device);
        cell.sets.iter().for_each(|set| {
            command.arg("--set").arg(set);
        });
        if self.quiet {
            command.arg("--quiet");
        }
        command.args((0..self.verbose).map(|_| "--verbose"));
        let_waiting_threads_sleep(&mut command);
        tell_parent(&mut command);
        if let Some(threads) = threads {
            command.env(THREADS, threads.to_string());
        }
        // Signals of the terminal reach a group of its own through here alone.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start the process of cell {}", cell.run))?;
        Process::hear(child)
    }
}

/// The threads of each of `jobs` processes that run at one time, so that all cores are used and none twice; `None`, the
/// library's own choice, for one process and where the user has chosen.
pub fn threads(jobs: usize) -> Option<u64> {
    let chosen = std::env::var_os(THREADS).is_some();
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    (jobs > 1 && !chosen).then(|| (cores / jobs).max(1) as u64)
}

/// A line of a process's stderr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// What a user wants to know.
    Info(String),
    /// What a user ought to know.
    Warning(String),
    /// Why it ends.
    Error(String),
}

impl Line {
    fn of(text: &str) -> Option<Self> {
        let text = text.trim();
        let after = |start: &str| text.strip_prefix(start).map(|rest| rest.trim_start().to_owned());
        if text.is_empty() {
            return None;
        }
        let warning = || after("WARN ").or_else(|| after("ERROR ")).map(Line::Warning);
        let known = after("error: ").map(Line::Error).or_else(warning).or_else(|| after("INFO ").map(Line::Info));
        Some(known.unwrap_or_else(|| Line::Info(text.to_owned())))
    }
}

/// A process under way.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Receiver<Line>,
    /// The error that it said last.
    last_error: Option<String>,
}

impl Process {
    fn hear(mut child: Child) -> Result<Self> {
        let stderr = child.stderr.take().context("a cell's process has no stderr")?;
        let (send, lines) = channel();
        let read = move || {
            // A line without an end stops being read, not being waited for.
            let mut reader = BufReader::new(stderr);
            let mut bytes = Vec::new();
            while reader.by_ref().take(1 << 16).read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
                let line = Line::of(&String::from_utf8_lossy(&bytes));
                if line.is_some_and(|line| send.send(line).is_err()) {
                    break;
                }
                bytes.clear();
            }
        };
        std::thread::Builder::new().name("stderr".into()).spawn(read).context("cannot listen to a cell's process")?;
        Ok(Self { child, lines, last_error: None })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said since the last call.
    pub fn said(&mut self) -> Vec<Line> {
        let lines: Vec<Line> = self.lines.try_iter().collect();
        self.keep_error(&lines);
        lines
    }

    /// How it ended, once it has, with what it said at last.
    ///
    /// # Errors
    /// What the system reports.
    pub fn ended(&mut self) -> Result<Option<(ExitStatus, Vec<Line>)>> {
        let Some(exit) = self.child.try_wait().context("cannot wait for a cell's process")? else { return Ok(None) };
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(LAST_LINES) {
            lines.push(line);
        }
        self.keep_error(&lines);
        Ok(Some((exit, lines)))
    }

    fn keep_error(&mut self, lines: &[Line]) {
        let error = lines.iter().rev().find_map(|line| match line {
            Line::Error(text) => Some(text.clone()),
            _ => None,
        });
        self.last_error = error.or(self.last_error.take());
    }

    /// The error that it said last.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        pass(&self.child, signal);
    }

    /// Ends it at once, and waits for its end.
    pub fn kill(&mut self) {
        // An error means that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_a_weight() {
        assert_eq!(Line::of(" INFO going on\n"), Some(Line::Info("going on".into())));
        assert_eq!(Line::of(" WARN slow"), Some(Line::Warning("slow".into())));
        assert_eq!(Line::of("error: disk full"), Some(Line::Error("disk full".into())));
        assert_eq!(Line::of("stopped by SIGTERM"), Some(Line::Info("stopped by SIGTERM".into())));
        assert_eq!(Line::of(" \n"), None);
    }

    #[test]
    fn a_process_is_heard_to_its_end() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo ' WARN one' >&2; echo 'error: two' >&2; exit 5"]).stderr(Stdio::piped());
        let mut process = Process::hear(command.spawn().unwrap()).unwrap();
        let (mut lines, mut exit) = (process.said(), None);
        while exit.is_none() {
            exit = process.ended().unwrap().map(|(exit, last)| {
                lines.extend(last);
                exit
            });
        }
        assert_eq!(lines, [Line::Warning("one".into()), Line::Error("two".into())]);
        assert_eq!((exit.unwrap().code(), process.last_error()), (Some(5), Some("two")));
    }

    #[test]
    fn one_process_has_the_librarys_own_threads() {
        assert_eq!(threads(1), None);
        assert!(threads(1000).is_none_or(|threads| threads == 1));
    }
}
