//! `synth data`.

use super::output::{print, print_json, thousands};
use crate::cli::{DataArguments, DataCommand};
use crate::data::datasets;
use anyhow::Result;

/// Runs a subcommand of `synth data`.
pub fn run(arguments: &DataArguments) -> Result<()> {
    match &arguments.command {
        DataCommand::Fetch { name, json } => fetch(name, *json),
    }
}

fn fetch(name: &str, json: bool) -> Result<()> {
    let root = datasets::root();
    let card = datasets::fetch(name, &root)?;
    if json {
        return print_json(&card);
    }
    print(&format!("{} in {}", card.name, root.join(name).display()))?;
    for (split, facts) in card.splits.iter() {
        print(&format!("  {split:<10} {:>6} files  {:>12} bytes", thousands(facts.files), thousands(facts.bytes)))?;
    }
    print(&format!("  list       sha256 {}", card.list_sha256))
}
