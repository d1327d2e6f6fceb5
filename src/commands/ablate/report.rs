//! What `synth ablate` prints at its end: the comparison, and what it took.

use crate::cli::AblateArguments;
use crate::commands::output::{new_table, number, print, print_json, whole};
use crate::runs::index::{self, IndexRow};
use crate::runs::{Status, cells::decimals};
use crate::sweep::control::TOLERANCE;
use crate::sweep::{Cell, Control, Outcome, Plan, time};
use anyhow::{Result, bail};
use comfy_table::CellAlignment;
use std::path::Path;

/// Prints the table; an error where a cell is neither done nor skipped.
pub fn print_outcome(arguments: &AblateArguments, plan: &Plan, outcome: &Outcome) -> Result<()> {
    let folder = arguments.results.join(&plan.name);
    let rows = rows(&folder, plan, outcome)?;
    match arguments.json {
        true => print_json(&object(&folder, plan, outcome, &rows))?,
        false => print_tables(&folder, plan, outcome, &rows)?,
    }
    let bad = rows.iter().filter(|row| !matches!(row.status, Status::Done | Status::Skipped)).count();
    match (bad, arguments.time_limit) {
        (0, _) => Ok(()),
        (_, Some(limit)) if outcome.out_of_time => {
            bail!(
                "stopped by --time-limit {}, all is saved: {bad} of {} cells are left; the same command goes on",
                time::tell(limit),
                rows.len()
            )
        }
        _ => bail!("{bad} of {} cells did not end well; the table and runs.csv say how", rows.len()),
    }
}

/// A row for each cell of this call, in the sweep's order.
fn rows(folder: &Path, plan: &Plan, outcome: &Outcome) -> Result<Vec<IndexRow>> {
    let all = index::rows(folder)?;
    let row = |number: &usize| {
        let cell = &plan.cells[*number];
        let mut row = all.iter().find(|row| row.run == cell.run).cloned().unwrap_or_else(|| unknown(cell));
        // How it ended here stands above what is written: a full disk takes nothing.
        if let Some(ending) = outcome.endings.get(number) {
            (row.status, row.reason) = (ending.status, ending.reason.clone());
        }
        row
    };
    Ok(outcome.cells.iter().map(row).collect())
}

/// The row of a cell of which nothing is written.
fn unknown(cell: &Cell) -> IndexRow {
    let bare = index::bare(cell.run.clone(), Status::Stopped, Some("not begun".into()));
    IndexRow { kind: Some(cell.experiment.kind()), seed: Some(cell.seed), ..bare }
}

fn object(folder: &Path, plan: &Plan, outcome: &Outcome, rows: &[IndexRow]) -> serde_json::Value {
    let mut object = serde_json::json!({
        "sweep": plan.name,
        "results": folder.display().to_string(),
        "runs": rows,
        "controls": controls(plan),
        "out_of_time": outcome.out_of_time,
    });
    if let (Some(object), Ok(serde_json::Value::Object(totals))) =
        (object.as_object_mut(), serde_json::to_value(&outcome.totals))
    {
        object.extend(totals);
    }
    object
}

fn print_tables(folder: &Path, plan: &Plan, outcome: &Outcome, rows: &[IndexRow]) -> Result<()> {
    print(&table(rows, &output_metrics(plan)))?;
    for line in control_lines(plan) {
        print(&line)?;
    }
    print(&format!("rows in {}", folder.join("runs.csv").display()))?;
    print(&outcome.totals.line())
}

/// The baselines of `match_parameters`, each once for all seeds.
fn matched(plan: &Plan) -> impl Iterator<Item = &Cell> {
    let first =
        |cell: &&Cell| plan.cells.iter().find(|other| other.name == cell.name).is_some_and(|it| it.run == cell.run);
    plan.cells.iter().filter(|cell| cell.control.is_some()).filter(first)
}

fn controls(plan: &Plan) -> Vec<serde_json::Value> {
    let cells = matched(plan).filter_map(|cell| Some((cell, cell.control.as_ref()?)));
    let object = cells.map(|(cell, control)| {
        let (more, share) = (control.more as i64, decimals(control.share, 6));
        serde_json::json!({ "cell": cell.name, "of": control.of, "d_ff": control.d_ff, "more": more, "share": share })
    });
    object.collect()
}

/// How near each baseline comes to its cell.
pub fn control_lines(plan: &Plan) -> Vec<String> {
    let cells = matched(plan).filter_map(|cell| Some((cell, cell.control.as_ref()?)));
    let line = |(cell, control): (&Cell, &Control)| {
        let far = if control.share.abs() < TOLERANCE { "" } else { ": no width comes nearer than 1%" };
        let (more, share) = (control.more, 100.0 * control.share);
        format!("{}: d_ff {}, {more:+} parameters ({share:+.3}%) against {}{far}", cell.name, control.d_ff, control.of)
    };
    cells.map(line).collect()
}

/// What the sweep's tasks measure of outputs, each once.
fn output_metrics(plan: &Plan) -> Vec<&'static str> {
    let mut names = Vec::new();
    for metrics in plan.cells.iter().filter_map(|cell| cell.experiment.task.generation_metrics()) {
        names.extend(metrics.set.names().iter().filter(|name| !names.contains(*name)).collect::<Vec<_>>());
    }
    names
}

/// The comparison, as a table that Markdown takes too.
fn table(rows: &[IndexRow], metrics: &[&str]) -> String {
    let header = [&["run", "kind", "parameters", "loss", "perplexity"], metrics, &["tokens/s", "peak MiB", "status"]];
    let mut table = new_table(&header.concat());
    for row in rows {
        let status = row.reason.as_ref().map_or(row.status.to_string(), |reason| format!("{}: {reason}", row.status));
        let mut cells = vec![
            row.run.clone(),
            row.kind.clone().unwrap_or_default(),
            whole(row.parameters),
            number(row.loss, 4),
            number(row.perplexity, 3),
        ];
        cells.extend(metrics.iter().map(|name| number(row.metrics.get(*name).copied(), 2)));
        cells.extend([whole(row.tokens_per_second.map(|rate| rate as u64)), number(row.peak_memory_mib, 0), status]);
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(2).take(5 + metrics.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}
