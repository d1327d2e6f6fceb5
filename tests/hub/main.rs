//! The loaders of the dataset hub against a stand-in of it on this machine.

mod command;
mod downloads;
mod miniature_tasks;
mod miniatures;
mod offline;
// One kind of column is for the reader's own tests.
#[allow(dead_code)]
mod parquet_file;
mod sets;
mod stand_in;

use stand_in::StandIn;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;
use synth::data::card::{Card, split_file};
use synth::data::hub::{Options, Settings, catalogue, prepare};

/// What the loaders take from an environment with these variables; waits are short.
fn settings(variables: &[(&str, &str)]) -> Settings {
    let variables: HashMap<&str, OsString> = variables.iter().map(|(name, value)| (*name, value.into())).collect();
    let mut settings = Settings::from_variables(|name| variables.get(name).cloned()).unwrap();
    settings.first_pause = Duration::from_millis(5);
    settings.patience = Duration::from_millis(500);
    settings
}

/// Settings for a stand-in, with a cache in `home`.
fn online(server: &StandIn, home: &Path) -> Settings {
    settings(&[("HF_ENDPOINT", &server.endpoint), ("HF_HOME", home.to_str().unwrap())])
}

/// Prepares a set in `folder`.
fn fetch(settings: &Settings, name: &str, options: &Options, folder: &Path) -> anyhow::Result<Card> {
    fs::create_dir_all(folder).unwrap();
    prepare(settings, catalogue::find(name).unwrap(), options, folder)
}

/// The lines of a split.
fn lines(folder: &Path, card: &Card, split: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(split_file(split, card.layout))).unwrap();
    text.lines().map(str::to_string).collect()
}

/// The one line that a user is shown.
fn message(result: anyhow::Result<Card>) -> String {
    format!("{:#}", result.unwrap_err())
}
