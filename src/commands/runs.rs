//! `synth runs`: the runs of all experiments.

use super::output::{new_table, number, print, print_json, whole};
use crate::attention::Kind;
use crate::cli::{RunsArguments, SortChoice};
use crate::refuse;
use crate::runs::index::{COLUMNS, IndexRow, csv_cells, rows};
use crate::runs::{cells, is_name};
use anyhow::{Context, Result};
use comfy_table::CellAlignment;
use serde::Serialize;
use std::cmp::Ordering;
use std::fs;
use std::path::Path;

/// A run with the experiment that it belongs to.
#[derive(Debug, Serialize)]
struct Listed {
    experiment: String,
    #[serde(flatten)]
    row: IndexRow,
}

/// Lists runs.
pub fn run(arguments: &RunsArguments) -> Result<()> {
    let mut listed = listed(&arguments.results)?;
    if let Some(name) = arguments.experiment.iter().find(|name| !listed.iter().any(|run| run.experiment == **name)) {
        refuse!("--experiment {name}: {} has no runs of that name", arguments.results.display());
    }
    listed.retain(|run| is_wanted(run, arguments));
    if let Some(column) = arguments.sort {
        listed.sort_by(|one, other| compare(&one.row, &other.row, column));
    }
    match (arguments.json, arguments.csv) {
        (true, _) => print_json(&serde_json::json!({ "runs": listed })),
        (_, true) => print(&table_csv(&listed)?),
        _ => print(&table(&listed)),
    }
}

/// The runs of every experiment, by experiment and run.
fn listed(results: &Path) -> Result<Vec<Listed>> {
    let entries = match fs::read_dir(results) {
        Ok(entries) => entries,
        Err(error) => refuse!("{}: {error}; expected the folder of all results", results.display()),
    };
    let mut experiments = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", results.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_name(&name) && entry.path().is_dir() {
            experiments.push((name, entry.path()));
        }
    }
    experiments.sort();
    let mut listed = Vec::new();
    for (experiment, folder) in experiments {
        listed.extend(rows(&folder)?.into_iter().map(|row| Listed { experiment: experiment.clone(), row }));
    }
    Ok(listed)
}

fn is_wanted(run: &Listed, arguments: &RunsArguments) -> bool {
    let RunsArguments { experiment, status, kind, .. } = arguments;
    (experiment.is_empty() || experiment.contains(&run.experiment))
        && (status.is_empty() || status.iter().any(|status| status.status() == run.row.status))
        && (kind.is_empty()
            || run.row.kind.as_ref().is_some_and(|known| kind.iter().any(|kind| canonical(kind) == *known)))
}

/// A kind's name with its parts in the order of results; a hybrid's as it is.
fn canonical(kind: &str) -> String {
    kind.parse::<Kind>().map_or_else(|_| kind.to_owned(), |kind| kind.to_string())
}

/// Ascending; what is not known comes last.
fn compare(one: &IndexRow, other: &IndexRow, column: SortChoice) -> Ordering {
    fn known<T>(one: Option<T>, other: Option<T>, order: impl Fn(&T, &T) -> Ordering) -> Ordering {
        match (&one, &other) {
            (Some(one), Some(other)) => order(one, other),
            _ => other.is_some().cmp(&one.is_some()),
        }
    }
    let count = |of: fn(&IndexRow) -> Option<u64>| known(of(one), of(other), Ord::cmp);
    let figure = |of: fn(&IndexRow) -> Option<f64>| known(of(one), of(other), f64::total_cmp);
    match column {
        SortChoice::Run => one.run.cmp(&other.run),
        SortChoice::Kind => known(one.kind.as_ref(), other.kind.as_ref(), Ord::cmp),
        SortChoice::Seed => count(|row| row.seed),
        SortChoice::Status => one.status.name().cmp(other.status.name()),
        SortChoice::Step => count(|row| row.step),
        SortChoice::Parameters => count(|row| row.parameters),
        SortChoice::Loss => figure(|row| row.loss),
        SortChoice::Perplexity => figure(|row| row.perplexity),
        SortChoice::TokensPerSecond => figure(|row| row.tokens_per_second),
        SortChoice::PeakMemoryMib => figure(|row| row.peak_memory_mib),
        SortChoice::ElapsedS => figure(|row| row.elapsed_s),
    }
}

fn table_csv(listed: &[Listed]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["experiment"].iter().chain(&COLUMNS))?;
    for run in listed {
        let experiment = cells::text(&run.experiment).into_owned();
        writer.write_record([experiment].into_iter().chain(csv_cells(&run.row)))?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

fn table(listed: &[Listed]) -> String {
    let header = ["experiment", "run", "kind", "seed", "step", "parameters", "loss", "perplexity", "seconds", "status"];
    let mut table = new_table(&header);
    for Listed { experiment, row } in listed {
        let status = row.reason.as_ref().map_or(row.status.to_string(), |reason| format!("{}: {reason}", row.status));
        table.add_row([
            experiment.clone(),
            row.run.clone(),
            row.kind.clone().unwrap_or_default(),
            row.seed.map_or_else(|| "–".into(), |seed| seed.to_string()),
            whole(row.step),
            whole(row.parameters),
            number(row.loss, 4),
            number(row.perplexity, 3),
            number(row.elapsed_s, 0),
            status,
        ]);
    }
    for column in table.column_iter_mut().skip(3).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
