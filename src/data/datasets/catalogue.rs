//! The datasets that can be fetched, and who prepares them.

use crate::data::card::Card;
use crate::data::{debian_descriptions, hub, import, rust_sources};
use crate::refuse;
use anyhow::{Result, bail};
use serde::Serialize;
use std::env;
use std::path::Path;

/// A dataset that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Available {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a few words.
    pub description: &'static str,
    /// Under which terms it stands.
    pub licence: &'static str,
    /// Whether those terms allow research only.
    pub research_only: bool,
}

const OWN: [Available; 4] = [
    Available {
        name: rust_sources::NAME,
        description: "Rust files of the crates that synth is built from; running text",
        licence: rust_sources::LICENCE,
        research_only: false,
    },
    descriptions(debian_descriptions::EN_DE, "package descriptions, English and German sentences; pairs, through apt"),
    descriptions(debian_descriptions::EN_FR, "package descriptions, English and French sentences; pairs, through apt"),
    descriptions(debian_descriptions::SUMMARIES, "package descriptions and their synopses; pairs, through apt"),
];

const fn descriptions(name: &'static str, description: &'static str) -> Available {
    Available { name, description, licence: debian_descriptions::LICENCE, research_only: false }
}

/// All that can be fetched.
pub fn available() -> Vec<Available> {
    let of_hub = |set: &hub::catalogue::HubSet| Available {
        name: set.name,
        description: set.description,
        licence: set.licence,
        research_only: set.research_only,
    };
    OWN.into_iter().chain(hub::catalogue::all().map(of_hub)).collect()
}

/// The names of all that can be fetched.
pub fn names() -> Vec<&'static str> {
    available().into_iter().map(|found| found.name).collect()
}

/// The dataset of that name.
pub(super) fn find(name: &str) -> Option<Available> {
    available().into_iter().find(|found| found.name == name)
}

/// Whether a prepared set with this card is what is asked for by its name: files of the user's own may bear the name.
///
/// # Errors
/// A refusal of options for another set than one of the hub.
pub(super) fn is_asked_for(name: &str, options: &hub::Options, card: &Card) -> Result<bool> {
    match hub::catalogue::find(name) {
        Some(set) => Ok(options.describe(set, card)),
        None => check_no_options(name, options).map(|()| !card.source.starts_with(import::SOURCE)),
    }
}

fn check_no_options(name: &str, options: &hub::Options) -> Result<()> {
    if *options != hub::Options::default() {
        refuse!("--revision, --max-records, --shards and --whole are for sets of the hub; {name} is none");
    }
    Ok(())
}

/// Writes the splits of a dataset into `folder`, and answers its card, which is not written yet.
pub(super) fn prepare(name: &str, options: &hub::Options, folder: &Path) -> Result<Card> {
    if let Some(set) = hub::catalogue::find(name) {
        return hub::prepare(&hub::Settings::from_environment()?, set, options, folder);
    }
    check_no_options(name, options)?;
    match name {
        rust_sources::NAME => rust_sources::prepare(folder, &env::current_dir()?),
        debian_descriptions::EN_DE | debian_descriptions::EN_FR | debian_descriptions::SUMMARIES => {
            debian_descriptions::prepare(name, folder)
        }
        _ => bail!("there is no dataset {name}"),
    }
}
