//! `synth ablate`: the cells of a sweep one after another, each in its own process.

use super::output::{print, print_json, thousands};
use super::relay::{Relay, let_waiting_threads_sleep};
use super::setup;
use crate::cli::AblateArguments;
use crate::data::options::TokenizerKind;
use crate::exit::Interrupted;
use crate::runs::Status;
use crate::runs::index::{self, IndexRow};
use crate::runs::ledger::{self, CellRecord};
use crate::sweep::{self, Cell, Plan};
use crate::train::signals;
use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Trains every cell of a sweep.
pub fn run(arguments: &AblateArguments, quiet: bool, verbose: u8) -> Result<()> {
    let plan = sweep::plan(&arguments.sweep, &arguments.set)?;
    crate::device::resolve(arguments.device)?;
    if arguments.dry_run {
        return dry_run(arguments, &plan);
    }
    let mut relay = Relay::listen()?;
    let sweep = Sweep { arguments, plan: &plan, quiet, verbose };
    ledger::begin(&sweep.folder())?;
    let mut endings = Vec::new();
    for (number, cell) in plan.cells.iter().enumerate() {
        if relay.stop().is_none() {
            tracing::info!("cell {} of {}: {}", number + 1, plan.cells.len(), cell.run);
            endings.push(sweep.train(cell, &mut relay)?);
        }
    }
    if let Some(signal) = relay.stop() {
        let message = format!("stopped by {}; the same command goes on", signals::name(signal));
        return Err(Interrupted { signal, message }.into());
    }
    sweep.report(&endings)
}

/// A sweep under way.
struct Sweep<'a> {
    arguments: &'a AblateArguments,
    plan: &'a Plan,
    quiet: bool,
    verbose: u8,
}

impl Sweep<'_> {
    /// The sweep's folder of results.
    fn folder(&self) -> PathBuf {
        self.arguments.results.join(&self.plan.name)
    }

    /// Trains a cell, again where it failed and `retries` allows; answers how its last process ended.
    fn train(&self, cell: &Cell, relay: &mut Relay) -> Result<CellRecord> {
        let mut left = self.plan.retries;
        loop {
            let (status, reason) = verdict(relay.wait(&mut self.start(cell)?)?);
            let kind = cell.experiment.kind();
            let record = CellRecord { run: cell.run.clone(), kind, seed: cell.seed, status, reason };
            ledger::append(&self.folder(), &record)?;
            if status != Status::Failed || left == 0 || relay.stop().is_some() {
                index::rebuild(&self.folder())?;
                return Ok(record);
            }
            tracing::warn!("cell {} failed ({}), {left} retries left", record.run, record.reason.unwrap_or_default());
            left -= 1;
        }
    }

    fn start(&self, cell: &Cell) -> Result<Child> {
        let program = std::env::current_exe().context("cannot find synth's own program")?;
        let mut command = Command::new(program);
        command.arg("train").arg(&self.plan.base).arg("--resume");
        command.arg("--results").arg(&self.arguments.results).arg("--run").arg(&cell.run);
        command.arg("--device").arg(self.arguments.device.to_string());
        for set in &cell.sets {
            command.arg("--set").arg(set);
        }
        if self.quiet {
            command.arg("--quiet");
        }
        command.args((0..self.verbose).map(|_| "--verbose"));
        let_waiting_threads_sleep(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command.spawn().with_context(|| format!("cannot start the process of cell {}", cell.run))
    }

    /// Prints the table; an error where a cell is neither done nor skipped.
    fn report(&self, endings: &[CellRecord]) -> Result<()> {
        let all = index::rows(&self.folder())?;
        let row = |ending: &CellRecord| {
            let mut row = all.iter().find(|row| row.run == ending.run)?.clone();
            // A run that an earlier process finished, and this one could not go on with.
            if ending.status == Status::Failed && row.status == Status::Done {
                (row.status, row.reason) = (ending.status, ending.reason.clone());
            }
            Some(row)
        };
        let rows: Vec<IndexRow> = endings.iter().filter_map(row).collect();
        if self.arguments.json {
            let folder = self.folder().display().to_string();
            print_json(&serde_json::json!({ "sweep": self.plan.name, "results": folder, "runs": rows }))?;
        } else {
            print(&table(&rows))?;
            print(&format!("rows in {}", self.folder().join("runs.csv").display()))?;
        }
        let bad = rows.iter().filter(|row| !matches!(row.status, Status::Done | Status::Skipped)).count();
        if bad > 0 {
            bail!("{bad} of {} cells did not end well; the table and runs.csv say how", self.plan.cells.len());
        }
        Ok(())
    }
}

/// What the exit of a cell's process says, where it left no summary.
fn verdict(status: ExitStatus) -> (Status, Option<String>) {
    match (status.code(), status.signal()) {
        (Some(0), _) => (Status::Done, None),
        (Some(3), _) => (Status::Diverged, None),
        (Some(code @ (130 | 143)), _) => (Status::Stopped, Some(signals::name(code - 128))),
        (Some(code), _) => (Status::Failed, Some(format!("exit code {code}"))),
        (None, signal) => (Status::Failed, Some(format!("signal {}", signal.unwrap_or_default()))),
    }
}

fn dry_run(arguments: &AblateArguments, plan: &Plan) -> Result<()> {
    let parameters = |cell: &Cell| u64::try_from(setup::least_size(&cell.experiment).total).ok();
    if arguments.json {
        let cells = plan.cells.iter().map(|cell| {
            let (run, seed, sets) = (&cell.run, cell.seed, &cell.sets);
            serde_json::json!({ "run": run, "seed": seed, "sets": sets, "parameters": parameters(cell) })
        });
        return print_json(&serde_json::json!({ "sweep": plan.name, "cells": cells.collect::<Vec<_>>() }));
    }
    let mut table = new_table(&["run", "kind", "seed", "parameters"]);
    for cell in &plan.cells {
        let kind = cell.experiment.kind();
        let count = parameters(cell).map_or_else(|| "too many".to_string(), thousands);
        // Without the vocabulary, which the text decides.
        let least = if cell.experiment.tokenizer.kind == TokenizerKind::Byte { "" } else { "over " };
        table.add_row([cell.run.clone(), kind, cell.seed.to_string(), format!("{least}{count}")]);
    }
    print(&table.to_string())
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table
}

/// The comparison, as a table that Markdown takes too.
fn table(rows: &[IndexRow]) -> String {
    let mut table = new_table(&["run", "kind", "parameters", "loss", "perplexity", "tokens/s", "peak MiB", "status"]);
    let number =
        |value: Option<f64>, digits: usize| value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"));
    let whole = |value: Option<u64>| value.map_or_else(|| "–".into(), thousands);
    for row in rows {
        let status = row.reason.as_ref().map_or(row.status.to_string(), |reason| format!("{}: {reason}", row.status));
        table.add_row([
            row.run.clone(),
            row.kind.clone().unwrap_or_default(),
            whole(row.parameters),
            number(row.loss, 4),
            number(row.perplexity, 3),
            whole(row.tokens_per_second.map(|rate| rate as u64)),
            number(row.peak_memory_mib, 0),
            status,
        ]);
    }
    for column in table.column_iter_mut().skip(2).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
