//! `synth data list`.

use super::super::output::{print, print_json, thousands};
use crate::data::card::{Card, Layout};
use crate::data::datasets::{self, Available, Prepared};
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};
use std::path::Path;

type Found = (String, Result<Prepared>);

/// Prints what is prepared in `root`, and what can be fetched.
pub fn run(root: &Path, json: bool) -> Result<()> {
    let prepared = datasets::prepared(root)?;
    let available = datasets::available();
    if json {
        let sets: Vec<Value> = prepared.iter().map(set_as_json).collect();
        return print_json(&json!({ "root": root, "prepared": sets, "available": available }));
    }
    match prepared.is_empty() {
        true => print(&format!("nothing is prepared in {}", root.display()))?,
        false => print(&format!("prepared in {}\n{}", root.display(), prepared_table(&prepared)))?,
    }
    print(&format!("\ncan be fetched: synth data fetch NAME\n{}", available_table(&available, &prepared)))
}

fn set_as_json((name, set): &Found) -> Value {
    match set {
        Ok(set) => {
            json!({ "name": name, "bytes": bytes(set.card()), "records": records(set.card()), "card": set.card() })
        }
        Err(error) => json!({ "name": name, "damaged": format!("{error:#}") }),
    }
}

fn prepared_table(sets: &[Found]) -> String {
    let mut table = new_table(&["name", "holds", "records", "bytes", "splits"], 2..4);
    for (name, set) in sets {
        match set {
            Ok(set) => {
                let card = set.card();
                let mark = if card.research_only { " (research only)" } else { "" };
                let counts = [records(card), bytes(card)].map(thousands);
                let [records, bytes] = counts;
                table.add_row([
                    name.clone(),
                    format!("{}{mark}", holds(card)),
                    records,
                    bytes,
                    card.splits.names().join(", "),
                ]);
            }
            Err(error) => {
                table.add_row([name.clone(), format!("damaged: {}", error.root_cause())]);
            }
        }
    }
    table.to_string()
}

fn available_table(available: &[Available], prepared: &[Found]) -> String {
    let mut table = new_table(&["name", "what", "licence"], 3..3);
    for set in available {
        let there = prepared.iter().any(|(name, _)| name == set.name);
        let name = if there { format!("{} (prepared)", set.name) } else { set.name.to_string() };
        let mark = if set.research_only { "research only: " } else { "" };
        table.add_row([name, set.description.to_string(), format!("{mark}{}", set.licence)]);
    }
    table.to_string()
}

/// What the files hold, in a word or two.
pub(super) fn holds(card: &Card) -> String {
    match (card.layout, card.shape) {
        (Layout::Records, Some(shape)) => match (&card.source_language, &card.target_language) {
            (Some(source), Some(target)) => format!("{} {source}-{target}", shape.name()),
            _ => shape.name().to_string(),
        },
        _ => "running text".to_string(),
    }
}

fn records(card: &Card) -> u64 {
    card.splits.iter().map(|(_, split)| split.records).sum()
}

fn bytes(card: &Card) -> u64 {
    card.splits.iter().map(|(_, split)| split.bytes).sum()
}

fn new_table(header: &[&str], right: std::ops::Range<usize>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in right {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}
