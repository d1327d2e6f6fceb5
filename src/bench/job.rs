//! What a cell's process is told, what it does, and what it answers: each one line of JSON.

use super::cell::{Cell, Measured};
use super::record::Figures;
use super::timing::Timed;
use super::{decode, limit, train};
use crate::exit::Diverged;
use crate::kernels;
use crate::libtorch::context::Algorithms;
use crate::libtorch::memory;
use crate::memory::{available_bytes, peak_memory_mib};
use crate::panics;
use crate::runs::Status;
use crate::runs::cells::significant;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tch::Device;

/// Figures have so many digits.
const DIGITS: usize = 6;
const GIB: f64 = (1u64 << 30) as f64;

/// What a process is to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// When the process was started, in seconds since 1970.
    pub started: f64,
    /// Where to compute, as `--device` names it.
    pub device: String,
    /// The cell; the device's limit where there is none.
    pub cell: Option<Box<Cell>>,
}

/// What a process measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The device's limit, in 10¹² operations per second.
    Limit(f64),
    /// The figures of a cell.
    Figures(Figures),
    /// How else it ended, and why.
    Ended(Status, String),
}

/// Seconds since 1970, now.
pub fn now() -> f64 {
    seconds(SystemTime::now())
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// Measures on `device`, which is the job's. What goes wrong is an answer too.
pub fn run(job: &Job, device: Device) -> Answer {
    if let Some(why) = job.cell.as_ref().and_then(|cell| too_large(cell, device)) {
        return Answer::Ended(Status::OutOfMemory, why);
    }
    let measured = panics::catch(|| match &job.cell {
        Some(cell) => figures(cell, job.started, device).map(Answer::Figures),
        None => limit::measure(device).map(Answer::Limit),
    });
    measured.unwrap_or_else(|error| {
        let status = match error.is::<Diverged>() {
            true => Status::Diverged,
            false if panics::out_of_memory(&error) => Status::OutOfMemory,
            false => Status::Failed,
        };
        Answer::Ended(status, panics::one_line(&error))
    })
}

fn figures(cell: &Cell, started: f64, device: Device) -> Result<Figures> {
    if let Device::Cuda(index) = device {
        if cell.train.deterministic {
            Algorithms::of_this_process().fix()?;
        }
        memory::reset_cuda_peak(index)?;
    }
    kernels::switch(cell.train.kernels);
    let run = |captured| Some(String::from(if captured { "captured" } else { "eager" }));
    match cell.measured {
        Measured::Train => {
            let updates = train::measure(cell, device)?;
            let work = (train::tokens(cell), train::flops(cell));
            Ok(Figures {
                run: run(updates.captured),
                attention_path: updates.attention_path,
                loaded_step_ms: Some(significant(updates.loaded.step_s * 1e3, DIGITS)),
                params: Some(updates.parameters),
                ..timings(&updates.resident, started, work, device)
            })
        }
        Measured::Decode => {
            let tokens = decode::measure(cell, device)?;
            let figures = timings(&tokens.timed, started, (cell.batch as f64, decode::flops(cell)), device);
            Ok(Figures { run: run(tokens.captured), params: Some(tokens.parameters), ..figures })
        }
    }
}

/// What is missing where memory is sure to run out: on the CPU the system would end other processes too.
fn too_large(cell: &Cell, device: Device) -> Option<String> {
    let (needed, available) = (cell.least_bytes(), available_bytes(device)?);
    (needed > u128::from(available)).then(|| {
        let [needed, free] = [needed as f64, available as f64].map(|bytes| bytes / GIB);
        format!("{} parameters need at least {needed:.1} GiB, {free:.1} GiB are available", cell.size().total)
    })
}

/// The figures of steps of so many tokens and operations.
fn timings(timed: &Timed, started: f64, (tokens, flops): (f64, f64), device: Device) -> Figures {
    let figure = |value: f64| Some(significant(value, DIGITS));
    Figures {
        tokens_per_s: figure(tokens / timed.step_s),
        step_ms: figure(timed.step_s * 1e3),
        spread: figure(timed.spread),
        steps: Some(timed.steps),
        peak_gib: peak_memory_mib(device).and_then(|mib| figure(mib / 1024.0)),
        flops: Some(flops),
        tflops: figure(flops / timed.step_s / 1e12),
        start_s: figure(seconds(timed.first_ended) - started),
        warmup_s: figure(timed.warmup_s),
        ..Default::default()
    }
}
