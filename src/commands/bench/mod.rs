//! `synth bench`: cells timed one after another, each in its own process.

mod plan;
pub(super) mod process;
mod report;

use super::Build;
use super::output::{print, print_json};
use crate::bench::against::{self, Comparisons, Others};
use crate::bench::saved::{self, Bench};
use crate::bench::{Cell, Facts, Figures, Record, job};
use crate::cli::{BenchArguments, DeviceChoice};
use crate::exit::Interrupted;
use crate::refuse;
use crate::relay::Relay;
use crate::runs::{Status, environment};
use crate::terminal::Bar;
use crate::train::signals;
use anyhow::{Context, Result, bail};
use process::{Process, Spawner};
use std::path::Path;
use tch::Device;

/// Times every cell.
pub fn run(arguments: &BenchArguments, build: Build) -> Result<()> {
    let device = crate::device::resolve(arguments.device)?;
    let cells = plan::cells(arguments, device)?;
    let others = arguments.against.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let control = arguments.control.as_deref().map(read).transpose()?;
    if let Some(stem) = &arguments.save {
        check_place(stem)?;
    }
    let spawner = Spawner { relay: Relay::listen()?, device: crate::device::label(device), threads: None, limit: None };
    let (start_time, argv) = (environment::now(), environment::redact(std::env::args()));
    let records = Vec::new();
    let mut session = Session { arguments, build, device, spawner, others, control, start_time, argv, records };
    session.measure(&cells)?;
    session.report(cells.len())
}

/// Measures what a line of JSON says, and answers with another.
pub fn run_cell(text: &str) -> Result<()> {
    let job: job::Job = serde_json::from_str(text).context("expected what bench hands to the process of a cell")?;
    let device: DeviceChoice = job.device.parse().map_err(anyhow::Error::msg)?;
    let answer = job::run(&job, crate::device::resolve(device)?);
    print(&serde_json::to_string(&answer)?)
}

/// A benchmark under way.
struct Session<'a> {
    arguments: &'a BenchArguments,
    build: Build,
    device: Device,
    spawner: Spawner,
    others: Vec<Others>,
    control: Option<Others>,
    start_time: String,
    argv: Vec<String>,
    records: Vec<Record>,
}

impl Session<'_> {
    /// Measures the device's limit, then the cells; all of them, or those before a signal.
    fn measure(&mut self, cells: &[Cell]) -> Result<()> {
        let bar = Bar::new("cells", cells.len() as u64, 0);
        bar.say("matrix products");
        let limit = self.limit()?;
        let facts = Facts::of(self.device, self.build.commit);
        for (done, cell) in cells.iter().enumerate() {
            if self.spawner.relay.stop().is_some() {
                break;
            }
            bar.set(done as u64);
            bar.say(&cell.to_string());
            let (ending, figures) = match self.spawner.run(Some(cell))? {
                Process::Figures(figures) => ((Status::Done, None), figures),
                Process::Ended(status, reason) => ((status, Some(reason)), Figures::default()),
                Process::Limit(_) => bail!("the process of cell {cell} measured something else"),
            };
            self.records.push(Record::new(cell, ending, figures, limit, &facts));
            self.save()?;
        }
        Ok(())
    }

    fn limit(&mut self) -> Result<Option<f64>> {
        match self.spawner.run(None)? {
            Process::Limit(tflops) => Ok(Some(tflops)),
            Process::Ended(status, reason) => {
                if status != Status::Stopped {
                    tracing::warn!("the device's limit was not measured: {status}: {reason}");
                }
                Ok(None)
            }
            Process::Figures(_) => bail!("the process that measures the limit measured something else"),
        }
    }

    /// Writes what there is so far.
    fn save(&self) -> Result<()> {
        let Some(stem) = &self.arguments.save else { return Ok(()) };
        let comparisons = against::compare(&self.records, &self.others, self.control.as_ref());
        self.whole(&comparisons).save(stem)
    }

    fn whole<'a>(&'a self, comparisons: &'a Comparisons) -> Bench<'a> {
        Bench { start_time: &self.start_time, argv: &self.argv, cells: &self.records, comparisons }
    }

    /// Prints what came out; an error where not all went well.
    fn report(&mut self, cells: usize) -> Result<()> {
        let comparisons = against::compare(&self.records, &self.others, self.control.as_ref());
        match self.arguments.json {
            true => print_json(&self.whole(&comparisons))?,
            false => report::print_tables(&self.records, &self.others, &comparisons)?,
        }
        if let Some(signal) = self.spawner.relay.stop() {
            let done = self.records.iter().filter(|record| record.status == Status::Done).count();
            let message = format!("stopped by {}; {done} of {cells} cells were measured", signals::name(signal));
            return Err(Interrupted { signal, message }.into());
        }
        let refused = comparisons.pairs.iter().find_map(|pair| Some((pair, pair.refused.as_ref()?)));
        if let Some((pair, why)) = refused {
            bail!("{}, {}: {} is {why}", pair.against, pair.peer, pair.key.attention);
        }
        let bad = self.records.iter().filter(|record| record.status != Status::Done).count();
        if bad > 0 {
            bail!("{bad} of {cells} cells did not end well; the table says how");
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Others> {
    Ok(Others { path: path.to_path_buf(), lines: against::read(path)? })
}

/// Refuses a place that cannot be written, before anything is measured.
fn check_place(stem: &Path) -> Result<()> {
    if stem.file_name().is_none() {
        refuse!("--save {}: expected a file's name without its ending", stem.display());
    }
    let folder = stem.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        refuse!("--save {}: there is no folder {}; make it first", stem.display(), folder.display());
    }
    if let Err(error) = tempfile::tempfile_in(folder) {
        refuse!("--save {}: cannot write in {}: {error}", stem.display(), folder.display());
    }
    match saved::paths(stem).into_iter().find(|path| path.exists() && !path.is_file()) {
        Some(path) => refuse!("--save {}: {} is no regular file", stem.display(), path.display()),
        None => Ok(()),
    }
}
