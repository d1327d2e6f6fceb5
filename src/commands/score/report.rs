//! How scores are shown.

use super::measure::Score;
use crate::commands::output::{print, print_json, print_whole};
use crate::metrics::significance::Interval;
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value, json};

/// Prints all scores.
pub fn scores(scores: &[Score], as_json: bool) -> Result<()> {
    if as_json {
        return print_json(&object(scores));
    }
    let compared = scores.iter().any(|score| score.compared.is_some());
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for score in scores {
        let mut row = vec![score.name.clone(), with_interval(score.value, score.interval)];
        if compared {
            let (baseline, comparison) = score.compared.map_or((None, None), |(baseline, c)| (Some(baseline), Some(c)));
            row.push(format!("baseline {}", with_interval(baseline, comparison.and_then(|c| c.baseline))));
            row.push(comparison.map_or(String::new(), |c| format!("p = {:.4}", c.p_value)));
        }
        row.push(score.signature.clone());
        table.add_row(row);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines = table.lines().map(|line| line.trim().to_string()).collect::<Vec<_>>();
    print(&lines.join("\n"))
}

fn with_interval(value: Option<f64>, interval: Option<Interval>) -> String {
    let value = value.map_or("undefined".to_string(), |value| format!("{value:.4}"));
    match interval {
        Some(interval) => format!("{value} (μ = {:.4} ± {:.4})", interval.mean, interval.half_width()),
        None => value,
    }
}

/// One object: the scores by name, their signatures, and what else was asked for.
fn object(scores: &[Score]) -> Value {
    let mut object: Map<String, Value> = scores.iter().map(|score| (score.name.clone(), score.value.into())).collect();
    let mut add = |key: &str, of: &dyn Fn(&Score) -> Option<Value>| {
        let part: Map<String, Value> =
            scores.iter().filter_map(|score| Some((score.name.clone(), of(score)?))).collect();
        if !part.is_empty() {
            object.insert(key.to_string(), part.into());
        }
    };
    add("signature", &|score| Some(score.signature.clone().into()));
    add("confidence", &|score| score.interval.map(interval));
    add("baseline", &|score| score.compared.map(|(baseline, _)| baseline.into()));
    add("baseline_confidence", &|score| score.compared.and_then(|(_, comparison)| comparison.baseline).map(interval));
    add("p_value", &|score| score.compared.map(|(_, comparison)| comparison.p_value.into()));
    object.into()
}

fn interval(interval: Interval) -> Value {
    let Interval { mean, low, high } = interval;
    json!({ "mean": mean, "low": low, "high": high, "half_width": interval.half_width() })
}

/// Prints the scores of every segment, a line each. By metric: its name and the scores.
pub fn sentences(columns: &[(String, Vec<f64>)], as_json: bool) -> Result<()> {
    let segments = columns.first().map_or(0, |(_, scores)| scores.len());
    let line = |i: usize| {
        if as_json {
            let object: Map<String, Value> =
                columns.iter().map(|(name, scores)| (name.clone(), scores[i].into())).collect();
            Value::from(object).to_string()
        } else {
            columns.iter().map(|(_, scores)| format!("{:.4}", scores[i])).collect::<Vec<_>>().join("\t")
        }
    };
    print_whole(&(0..segments).map(line).collect::<Vec<_>>().join("\n")).map(drop)
}
