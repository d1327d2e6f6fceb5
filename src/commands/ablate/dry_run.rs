//! `synth ablate --dry-run`: the cells, and what they cost by formula and by a timed step of each.

use super::report::control_lines;
use crate::bench::timing::Timing;
use crate::bench::{Cell as TimedCell, Measured};
use crate::cli::AblateArguments;
use crate::commands::bench::process::{Process, Spawner};
use crate::commands::output::{new_table, print, print_json, thousands};
use crate::commands::setup;
use crate::data::options::TokenizerKind;
use crate::model::size::forward_flops;
use crate::relay::Relay;
use crate::sweep::{Cell, Plan, Seat, need, process, time};
use anyhow::Result;
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;

/// One step to begin with, then three: the least that a step's time can be told from.
const TIMING: Timing = Timing { warmup: 1, repeats: 1, seconds: 0.3 };
/// A cell's process is given so long.
const LIMIT: Duration = Duration::from_secs(20);

/// What one cell costs.
#[derive(Debug, Serialize)]
struct Cost<'a> {
    run: &'a str,
    kind: String,
    seed: u64,
    sets: &'a [String],
    skip: Option<&'a str>,
    /// Without the vocabulary, where the text decides it.
    parameters: Option<u64>,
    /// Of an update, forward and backward.
    flops_per_step: f64,
    steps: Option<u64>,
    flops: Option<f64>,
    step_ms: Option<f64>,
    peak_mib: Option<f64>,
    /// Of all updates; evaluations are not counted.
    seconds: Option<f64>,
    /// Why no step was timed.
    not_timed: Option<String>,
}

/// Milliseconds of a step and its peak memory in MiB, or why there are none.
type Timed = (Option<f64>, Option<f64>, Option<String>);

/// Prints the cells of this call.
pub fn run(arguments: &AblateArguments, plan: &Plan, seats: &[Seat], jobs: usize) -> Result<()> {
    let mine = plan.cells.iter().enumerate().filter(|(index, _)| arguments.shard.is_none_or(|shard| shard.has(*index)));
    let cells: Vec<&Cell> = mine.map(|(_, cell)| cell).collect();
    let mut costs: Vec<Cost<'_>> = cells.iter().map(|cell| cost(cell)).collect();
    if !arguments.no_timing {
        time_each(&cells, &mut costs, seats, jobs)?;
    }
    let total = total(&costs, seats, jobs);
    if arguments.json {
        return print_json(&serde_json::json!({ "sweep": plan.name, "cells": costs, "total_s": total }));
    }
    print(&table(&cells, &costs, !arguments.no_timing))?;
    control_lines(plan).iter().try_for_each(|line| print(line))?;
    match total {
        Some(seconds) => print(&format!(
            "about {} in all with {jobs} at one time on {}; evaluations, saving and reading data are not counted",
            time::tell(Duration::from_secs_f64(seconds)),
            seats.iter().map(|seat| seat.device.as_str()).collect::<Vec<_>>().join(", ")
        )),
        None => Ok(()),
    }
}

/// What formulas tell.
fn cost(cell: &Cell) -> Cost<'_> {
    let experiment = &cell.experiment;
    let (rows, length) = (need::rows(experiment) as u64, experiment.model.max_length as u64);
    let (vocabularies, shape) = (need::vocabularies(experiment), (rows, length, length));
    let forward = forward_flops(&experiment.model, &experiment.attention, vocabularies, shape);
    let flops_per_step = 3.0 * forward as f64 * experiment.train.accumulate as f64;
    let steps = experiment.train.steps;
    Cost {
        run: &cell.run,
        kind: experiment.kind(),
        seed: cell.seed,
        sets: &cell.sets,
        skip: cell.skip.as_deref(),
        parameters: u64::try_from(setup::least_size(experiment).total).ok(),
        flops_per_step,
        steps,
        flops: steps.map(|steps| steps as f64 * flops_per_step),
        step_ms: None,
        peak_mib: None,
        seconds: None,
        not_timed: None,
    }
}

/// Times a step of each cell, once for all seeds, on the first device.
fn time_each(cells: &[&Cell], costs: &mut [Cost<'_>], seats: &[Seat], jobs: usize) -> Result<()> {
    let device = seats[0].device.clone();
    let mut spawner = Spawner { relay: Relay::listen()?, device, threads: process::threads(jobs), limit: Some(LIMIT) };
    let mut known: HashMap<&str, Timed> = HashMap::new();
    for (cell, cost) in cells.iter().zip(costs) {
        if cell.skip.is_some() || spawner.relay.stop().is_some() {
            continue;
        }
        if !known.contains_key(cell.name.as_str()) {
            tracing::info!("timing a step of {}", cell.name);
            let timed = match spawner.run(Some(&timed_cell(cell)))? {
                Process::Figures(figures) => {
                    let peak = figures.peak_gib.map(|gib| gib * 1024.0);
                    (figures.loaded_step_ms.or(figures.step_ms), peak, None)
                }
                Process::Ended(status, reason) => (None, None, Some(format!("{status}: {reason}"))),
                Process::Limit(_) => (None, None, Some("the process measured something else".into())),
            };
            known.insert(&cell.name, timed);
        }
        if let Some((step_ms, peak_mib, not_timed)) = known.get(cell.name.as_str()).cloned() {
            (cost.step_ms, cost.peak_mib, cost.not_timed) = (step_ms, peak_mib, not_timed);
            cost.seconds = cost.steps.zip(step_ms).map(|(steps, ms)| steps as f64 * ms / 1000.0);
        }
    }
    Ok(())
}

fn timed_cell(cell: &Cell) -> TimedCell {
    let experiment = cell.experiment.clone();
    TimedCell {
        measured: Measured::Train,
        batch: need::rows(&experiment),
        vocabulary: need::vocabularies(&experiment).target,
        new: 1,
        model: experiment.model,
        attention: experiment.attention,
        optimizer: experiment.optimizer,
        train: experiment.train,
        set: Vec::new(),
        eager: false,
        timing: TIMING,
    }
}

/// Seconds until all are done, where all were timed: cells on the CPU share its cores, those on a GPU its time.
fn total(costs: &[Cost<'_>], seats: &[Seat], jobs: usize) -> Option<f64> {
    let seconds: Option<Vec<f64>> = costs.iter().filter(|cost| cost.skip.is_none()).map(|cost| cost.seconds).collect();
    let seconds = seconds?;
    let at_once = if seats.iter().all(|seat| seat.device == "cpu") { jobs } else { seats.len().min(jobs) };
    let longest = seconds.iter().copied().fold(0.0, f64::max);
    Some((seconds.iter().sum::<f64>() / at_once as f64).max(longest))
}

fn table(cells: &[&Cell], costs: &[Cost<'_>], timed: bool) -> String {
    let mut header = vec!["run", "kind", "seed", "parameters", "steps", "FLOP/step", "FLOP"];
    if timed {
        header.extend(["ms/step", "time"]);
    }
    header.push("status");
    let mut table = new_table(&header);
    for (cell, cost) in cells.iter().zip(costs) {
        let count = cost.parameters.map_or_else(|| "too many".to_string(), thousands);
        // Without the vocabulary, which the text decides.
        let least = if cell.experiment.tokenizer.kind == TokenizerKind::Byte { "" } else { "over " };
        let dash = || "–".to_string();
        let mut row = vec![cost.run.to_owned(), cost.kind.clone(), cost.seed.to_string(), format!("{least}{count}")];
        row.push(cost.steps.map_or_else(dash, thousands));
        row.push(format!("{:.2e}", cost.flops_per_step));
        row.push(cost.flops.map_or_else(dash, |flops| format!("{flops:.2e}")));
        if timed {
            row.push(cost.step_ms.map_or_else(dash, |ms| format!("{ms:.2}")));
            row.push(cost.seconds.map_or_else(dash, |seconds| time::tell(Duration::from_secs_f64(seconds))));
        }
        row.push(match (cost.skip, &cost.not_timed) {
            (Some(reason), _) => format!("skipped: {reason}"),
            (None, Some(reason)) => reason.clone(),
            _ => String::new(),
        });
        table.add_row(row);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs(seconds: &[Option<f64>]) -> Vec<Cost<'static>> {
        let cost = |seconds: &Option<f64>| Cost {
            run: "a-s1",
            kind: "vanilla".into(),
            seed: 1,
            sets: &[],
            skip: None,
            parameters: None,
            flops_per_step: 0.0,
            steps: None,
            flops: None,
            step_ms: None,
            peak_mib: None,
            seconds: *seconds,
            not_timed: None,
        };
        seconds.iter().map(cost).collect()
    }

    #[test]
    fn cells_share_the_time_of_devices() {
        let seats = |names: &[&str]| {
            names.iter().map(|name| Seat { device: (*name).into(), capacity: None }).collect::<Vec<_>>()
        };
        let four = costs(&[Some(10.0); 4]);
        assert_eq!(total(&four, &seats(&["cpu"]), 2), Some(20.0));
        assert_eq!(total(&four, &seats(&["cuda:0", "cuda:1"]), 4), Some(20.0));
        assert_eq!(total(&four, &seats(&["cuda:0"]), 4), Some(40.0));
        assert_eq!(total(&costs(&[Some(10.0), Some(90.0)]), &seats(&["cpu"]), 2), Some(90.0));
        assert_eq!(total(&costs(&[Some(10.0), None]), &seats(&["cpu"]), 2), None);
    }
}
