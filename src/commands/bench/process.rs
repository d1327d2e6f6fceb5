//! The process of a cell: started, waited for, heard.

use crate::bench::{Answer, Cell, Figures, Job, job};
use crate::relay::{Relay, let_waiting_threads_sleep};
use crate::runs::Status;
use crate::sweep::process::THREADS;
use crate::sweep::time;
use crate::terminal::beside_bars;
use crate::train::signals;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// Starts processes for one device, one after another.
pub struct Spawner {
    /// Passes signals on.
    pub relay: Relay,
    /// The device, as `--device` names it.
    pub device: String,
    /// The threads of a process's operations on the CPU, where they are not the library's own choice.
    pub threads: Option<u64>,
    /// What takes longer is ended.
    pub limit: Option<Duration>,
}

/// What came of a process.
pub enum Process {
    /// The device's limit, in 10¹² operations per second.
    Limit(f64),
    /// The figures of a cell.
    Figures(Figures),
    /// How it ended without any, and why.
    Ended(Status, String),
}

impl Spawner {
    /// Measures a cell, or the device's limit, in a process of its own. However that ends, it is an answer.
    ///
    /// # Errors
    /// Where no process can be started.
    pub fn run(&mut self, cell: Option<&Cell>) -> Result<Process> {
        let what = cell.map_or("the device's limit".to_string(), |cell| format!("cell {cell}"));
        let job = Job { started: job::now(), device: self.device.clone(), cell: cell.cloned().map(Box::new) };
        let program = std::env::current_exe().context("cannot find synth's own program")?;
        // Files, for a pipe that nobody reads would fill up.
        let mut stdout = tempfile::tempfile().context("cannot make a temporary file")?;
        let mut stderr = tempfile::tempfile().context("cannot make a temporary file")?;
        let mut command = Command::new(program);
        command.args(["--quiet", "bench-cell"]).arg(serde_json::to_string(&job)?);
        command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?).process_group(0);
        let_waiting_threads_sleep(&mut command);
        if let Some(threads) = self.threads {
            command.env(THREADS, threads.to_string());
        }
        let mut child = command.spawn().with_context(|| format!("cannot start the process of {what}"))?;
        let Some(status) = self.relay.wait_for(&mut child, self.limit)? else {
            let limit = self.limit.unwrap_or_default();
            return Ok(Process::Ended(Status::Stopped, format!("it took more than {}", time::tell(limit))));
        };
        let (said, complaints) = (text(&mut stdout)?, text(&mut stderr)?);
        let answer = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
        Ok(match (answer.filter(|_| status.success()), self.relay.stop()) {
            (None, Some(signal)) => Process::Ended(Status::Stopped, signals::name(signal)),
            (None, None) => Process::Ended(Status::Failed, reason(status, &complaints)),
            (Some(answer), _) => {
                // A reader that has gone away is no reason to stop.
                let _ = beside_bars(|| std::io::stderr().write_all(complaints.as_bytes()));
                match answer {
                    Answer::Limit(tflops) => Process::Limit(tflops),
                    Answer::Figures(figures) => Process::Figures(figures),
                    Answer::Ended(status, reason) => Process::Ended(status, reason),
                }
            }
        })
    }
}

/// What a process wrote.
fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).context("cannot read what a cell's process said")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Why a process ended without an answer: how it did, and its last words.
fn reason(status: ExitStatus, complaints: &str) -> String {
    let ending = match (status.code(), status.signal()) {
        (_, Some(libc::SIGKILL)) => "SIGKILL, with which the system ends a process where memory runs out".into(),
        (_, Some(signal)) => signals::name(signal),
        (code, None) => format!("exit code {}", code.unwrap_or_default()),
    };
    match complaints.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => format!("{ending}: {}", line.trim_start_matches("error: ")),
        None => ending,
    }
}
