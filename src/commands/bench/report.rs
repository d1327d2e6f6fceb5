//! What a benchmark prints: the cells, and beside them the others'.

use crate::bench::against::{Comparisons, Others};
use crate::bench::{Facts, Record};
use crate::commands::output::{print, thousands};
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};

/// Prints the cells, and the comparisons where there is something to compare with.
pub fn print_tables(records: &[Record], others: &[Others], comparisons: &Comparisons) -> Result<()> {
    let Some(first) = records.first() else { return Ok(()) };
    print(&circumstances(&first.facts, first.limit_tflops))?;
    print(&cells(records))?;
    if !others.is_empty() {
        print(&format!("\n{}", pairs(comparisons)))?;
        notes(others, comparisons).iter().try_for_each(|note| print(note))?;
    }
    Ok(())
}

/// `NVIDIA H100, driver 580.1, libtorch 2.11.0, 16 threads; matrix products reach 700 TFLOP/s`.
fn circumstances(facts: &Facts, limit: Option<f64>) -> String {
    let device = match (&facts.processor, facts.device.as_str()) {
        (Some(processor), "cpu") => processor.clone(),
        (_, device) => device.to_string(),
    };
    let driver = facts.driver.as_ref().filter(|_| facts.device != "cpu").map(|driver| format!("driver {driver}"));
    let libtorch = format!("libtorch {}", facts.libtorch);
    let threads = format!("{} threads", facts.threads);
    let limit = limit.map_or(String::new(), |limit| format!("; matrix products reach {} TFLOP/s", short(limit)));
    let parts: Vec<String> = [Some(device), driver, Some(libtorch), Some(threads)].into_iter().flatten().collect();
    parts.join(", ") + &limit
}

fn cells(records: &[Record]) -> String {
    let header = [
        "task", "kind", "batch", "model", "run", "ms/step", "spread", "tokens/s", "TFLOP/s", "of limit", "GiB",
        "status",
    ];
    let mut table = new_table(&header, 5..11);
    for record in records {
        let (shape, figures) = (&record.shape, &record.figures);
        table.add_row([
            shape.task.name().to_string(),
            shape.attention.clone(),
            format!("{}x{}", shape.batch, shape.seq_len),
            format!("{}x{}x{}x{} {}", shape.d_model, shape.layers, shape.heads, shape.d_ff, shape.precision),
            figures.run.clone().unwrap_or_default(),
            figure(figures.step_ms, short),
            figure(figures.spread, percent),
            figure(figures.tokens_per_s, |rate| thousands(rate.round() as u64)),
            figure(figures.tflops, short),
            figure(record.share_of_limit, percent),
            figure(figures.peak_gib, |gib| format!("{gib:.2}")),
            record.reason.as_ref().map_or(record.status.to_string(), |reason| format!("{}: {reason}", record.status)),
        ]);
    }
    table.to_string()
}

fn pairs(comparisons: &Comparisons) -> String {
    let header = ["against", "task", "kind", "batch", "ms there", "ms here", "times as fast", "memory there/here"];
    let mut table = new_table(&header, 4..8);
    for pair in &comparisons.pairs {
        table.add_row([
            pair.peer.clone(),
            pair.key.task.name().to_string(),
            pair.key.attention.clone(),
            format!("{}x{}", pair.key.batch, pair.key.seq_len),
            short(pair.peer_step_ms),
            short(pair.step_ms),
            pair.ratio.map_or("refused".into(), |ratio| {
                format!("{ratio:.2}{}", if pair.standing.counts { "" } else { " *" })
            }),
            figure(pair.memory_ratio, |ratio| format!("{ratio:.2}")),
        ]);
    }
    table.to_string()
}

/// What has to be said of the comparisons, each once.
fn notes(others: &[Others], comparisons: &Comparisons) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    let mut add = |note: String| {
        if !notes.contains(&note) {
            notes.push(note);
        }
    };
    for file in others {
        let against = file.path.display().to_string();
        let joined = comparisons.pairs.iter().filter(|pair| pair.against == against);
        if joined.count() == 0 {
            add(format!("{against}: no line is of a kind and shape that was measured here"));
        }
    }
    for pair in &comparisons.pairs {
        let mark = if pair.standing.counts { "" } else { "* does not count: " };
        if let Some(remark) = &pair.standing.remark {
            add(format!("{mark}{}: {remark}", pair.against));
        } else if !pair.standing.counts {
            add(format!("{mark}{}: it is not known where the figures were taken", pair.against));
        }
        if let Some(refused) = &pair.refused {
            add(format!("{}: {} {}: {refused}", pair.against, pair.peer, pair.key.attention));
        }
    }
    for line in &comparisons.without_figures {
        add(format!("{}: {}: {}", line.against, line.what, line.reason));
    }
    notes
}

/// A table that Markdown takes too, with some columns of numbers.
fn new_table(header: &[&str], numbers: std::ops::Range<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(numbers.start).take(numbers.len()) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn figure(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "–".into(), text)
}

/// Four digits, or all before the point.
fn short(value: f64) -> String {
    let before = value.abs().max(1e-9).log10().floor() as i32 + 1;
    format!("{value:.*}", (4 - before).max(0) as usize)
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0198461, 0.12345, 9.8765, 42.0, 123.45, 12345.6].map(short);
        assert_eq!(texts, ["0.01985", "0.1235", "9.877", "42.00", "123.5", "12346"]);
        assert_eq!(percent(0.0123), "1.2%");
    }
}
