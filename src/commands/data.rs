//! `synth data`.

mod lengths;
mod list;
mod show;

use super::output::{print, print_json, thousands};
use crate::cli::{DataArguments, DataCommand, EncodingChoice, FetchArguments, ImportArguments};
use crate::data::card::Card;
use crate::data::import::{self, ImportOptions, Keys};
use crate::data::source::Encoding;
use crate::data::{datasets, hub};
use anyhow::Result;

/// Runs a subcommand of `synth data`.
pub fn run(arguments: &DataArguments) -> Result<()> {
    let root = datasets::root();
    match &arguments.command {
        DataCommand::List { json } => list::run(&root, *json),
        DataCommand::Fetch(arguments) => {
            print_card(&datasets::fetch(&arguments.name, &part(arguments), &root)?, arguments.json)
        }
        DataCommand::Import(arguments) => {
            let card = import::import(&arguments.name, &arguments.paths, &options(arguments), &root)?;
            print_card(&card, arguments.json)
        }
        DataCommand::Show(arguments) => show::run(arguments, &root),
        DataCommand::Remove { name } => print(&format!("removed {}", datasets::remove(name, &root)?.display())),
    }
}

/// What of a set of the hub is wanted.
fn part(arguments: &FetchArguments) -> hub::Options {
    hub::Options {
        revision: arguments.revision.clone(),
        max_records: arguments.max_records,
        shards: arguments.shards.map(|shards| shards as usize),
        whole: arguments.whole,
    }
}

fn options(arguments: &ImportArguments) -> ImportOptions {
    ImportOptions {
        format: arguments.format,
        keys: Keys {
            source: arguments.source.clone(),
            target: arguments.target.clone(),
            text: arguments.text.clone(),
            text_b: arguments.text_b.clone(),
            label: arguments.label.clone(),
        },
        encoding: match arguments.encoding {
            EncodingChoice::Utf8 => Encoding::Utf8,
            EncodingChoice::Latin1 => Encoding::Latin1,
        },
        header: arguments.header,
        numeric_label: arguments.numeric_label,
        split: arguments.split.clone(),
        licence: arguments.licence.clone(),
    }
}

fn print_card(card: &Card, json: bool) -> Result<()> {
    if json {
        return print_json(card);
    }
    print(&format!("{} in {}", card.name, datasets::root().join(&card.name).display()))?;
    print(&splits(card))?;
    if let Some(labels) = &card.labels {
        print(&format!("  labels     {}", labels.join(", ")))?;
    }
    print(&format!("  list       sha256 {}", card.list_sha256))
}

/// One line a split.
fn splits(card: &Card) -> String {
    let width = card.splits.names().iter().map(|name| name.len()).max().unwrap_or_default().max(10);
    let unit = if card.shape.is_some() { "records" } else { "lines" };
    let line = |(name, split): (&str, &crate::data::card::SplitCard)| {
        let [files, records, bytes] = [split.files, split.records, split.bytes].map(thousands);
        let records = if split.records > 0 { format!("{records:>12} {unit}  ") } else { String::new() };
        format!("  {name:<width$} {files:>6} files  {records}{bytes:>14} bytes")
    };
    card.splits.iter().map(line).collect::<Vec<_>>().join("\n")
}
