//! Named datasets: what there is, preparing one, and opening a prepared one.
//!
//! A prepared set is a folder `<root>/<name>/` of one file per split and `card.json`.

mod catalogue;
mod workplace;

pub use catalogue::{Available, available, names};

use super::card::{CARD_FILE, Card, split_file};
use super::hub;
use super::record::RecordReader;
use crate::runs::check_name;
use crate::{refusal, refuse};
use anyhow::{Context, Result};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use tracing::{info, warn};
use workplace::Workplace;

/// The environment variable that says where prepared datasets lie.
pub const ROOT_VARIABLE: &str = "SYNTH_DATA";

/// A prepared dataset whose files have the sizes that its card says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    folder: PathBuf,
    card: Card,
}

/// The folder of prepared datasets: `SYNTH_DATA`, else `data` in the current folder.
pub fn root() -> PathBuf {
    env::var_os(ROOT_VARIABLE).filter(|path| !path.is_empty()).map_or_else(|| "data".into(), PathBuf::from)
}

/// Prepares a dataset in `<root>/<name>/`; one that is complete already stays as it is, and that is said. `options` say
/// what of a set of the hub is wanted.
///
/// # Errors
/// Refusals of names that are none or unknown, of options for another set than one of the hub, of another set that
/// has the name, or another part or revision of it than these ask for, and of what this machine lacks; damage in a set
/// that was prepared before; whatever goes wrong while reading and writing. Nothing half-made is left under the name.
pub fn fetch(name: &str, options: &hub::Options, root: &Path) -> Result<Card> {
    check_name("the dataset's name", name)?;
    if folder_of(name, root).exists() {
        let card = open(name, root)?.card;
        if !catalogue::is_asked_for(name, options, &card)? {
            refuse!(
                "{} holds something else: {}; use that as it is, or run `synth data remove {name}` first",
                folder_of(name, root).display(),
                card.source
            );
        }
        info!("{name} is complete in {}, prepared {}: nothing to do", folder_of(name, root).display(), card.created);
        return Ok(card);
    }
    let found = check_available(name, root)?;
    if found.research_only {
        warn!("{name} is for research only: {}", found.licence);
    }
    prepare(name, root, |folder| catalogue::prepare(name, options, folder))
}

/// Makes a dataset with `make`, which writes the files of the splits into the folder it is given and answers the card,
/// and publishes it as `<root>/<name>/` when it is whole.
///
/// # Errors
/// Those of `make`; a folder that cannot be written to; a set of that name that another process made meanwhile.
pub fn prepare(name: &str, root: &Path, make: impl FnOnce(&Path) -> Result<Card>) -> Result<Card> {
    let new_root = !root.exists();
    let made = prepare_in(name, root, make);
    if made.is_err() && new_root {
        // Only where nothing is in it.
        let _ = fs::remove_dir(root);
    }
    made
}

fn prepare_in(name: &str, root: &Path, make: impl FnOnce(&Path) -> Result<Card>) -> Result<Card> {
    let workplace = Workplace::create(root)?;
    let card = make(&workplace.set())?;
    card.write(&workplace.set())?;
    let target = folder_of(name, root);
    match workplace.publish(&target) {
        Ok(()) => Ok(card),
        // Another process was faster: a folder that is not empty is not renamed over.
        Err(_) if open(name, root).is_ok_and(|other| other.card.splits == card.splits) => Ok(card),
        Err(error) => Err(error).with_context(|| format!("cannot create {}", target.display())),
    }
}

/// Refuses a name that is none, or that a folder has already.
///
/// # Errors
/// These refusals.
pub fn check_free(name: &str, root: &Path) -> Result<()> {
    check_name("the dataset's name", name)?;
    let folder = folder_of(name, root);
    if folder.symlink_metadata().is_ok() {
        refuse!("{} is there already; choose another name, or run `synth data remove {name}` first", folder.display());
    }
    Ok(())
}

/// Opens a prepared dataset and checks its card and the sizes of its files.
///
/// # Errors
/// Refusals of names that are none or unknown, and of a dataset that is not prepared yet; damage.
pub fn open(name: &str, root: &Path) -> Result<Prepared> {
    check_name("the dataset's name", name)?;
    let folder = folder_of(name, root);
    if !folder.exists() {
        check_available(name, root)?;
        refuse!("dataset {name} is not prepared in {}; run `synth data fetch {name}`", root.display());
    }
    let card = Card::read(&folder, name).with_context(|| damaged(name, &folder))?;
    Ok(Prepared { folder, card })
}

/// What is prepared in `root`, by name: each set, or what is wrong with it.
///
/// # Errors
/// A root that is there and cannot be listed.
pub fn prepared(root: &Path) -> Result<Vec<(String, Result<Prepared>)>> {
    if !root.exists() {
        return Ok(Vec::new());
    }
    let cannot = || format!("cannot list {}", root.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(root).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        if entry.path().join(CARD_FILE).is_file() {
            names.extend(entry.file_name().into_string().ok().filter(|name| crate::runs::is_name(name)));
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| (name.clone(), open(&name, root))).collect())
}

/// Removes a prepared dataset: a real folder that bears a card of that name, and nothing else. Answers where it lay.
///
/// # Errors
/// Refusals of names that are none, of what is not there, is a link or bears no card of ours; what the system reports.
pub fn remove(name: &str, root: &Path) -> Result<PathBuf> {
    check_name("the dataset's name", name)?;
    let folder = folder_of(name, root);
    match folder.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            refuse!("{} is a link or a file; expected the folder of a dataset: remove it yourself", folder.display())
        }
        Err(_) => refuse!("no dataset {name} is prepared in {}", root.display()),
    }
    if let Err(error) = Card::read_alone(&folder, name) {
        refuse!("{} bears no card of a dataset ({error:#}); remove it yourself if it is one", folder.display());
    }
    // The card goes first out of sight with the whole folder: what is half removed must not be taken for a set.
    let grave = tempfile::Builder::new().prefix(workplace::PREFIX).tempdir_in(root);
    let grave = grave.with_context(|| format!("cannot write to {}", root.display()))?;
    let removed = fs::rename(&folder, grave.path().join(name)).and_then(|()| fs::remove_dir_all(grave.path()));
    removed.with_context(|| format!("cannot remove {}", folder.display()))?;
    Ok(folder)
}

impl Prepared {
    /// What the dataset is.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a split.
    ///
    /// # Errors
    /// A refusal of a split that it has not, with those it has.
    pub fn path(&self, split: &str) -> Result<PathBuf> {
        match self.card.splits.get(split) {
            Some(_) => Ok(self.folder.join(split_file(split, self.card.layout))),
            None => Err(refusal!(
                "dataset {} has no split {split:?}; it has {}",
                self.card.name,
                self.card.splits.names().join(", ")
            )),
        }
    }

    /// Compares a split's file with the card's hash, streaming.
    ///
    /// # Errors
    /// Another split, a file that cannot be read, or one changed since the preparation.
    pub fn verify(&self, split: &str) -> Result<()> {
        self.path(split)?;
        self.card.verify(&self.folder, split).with_context(|| damaged(&self.card.name, &self.folder))
    }

    /// The records of a split, streamed.
    ///
    /// # Errors
    /// Another split; a set of running text, which has none; a file that cannot be read.
    pub fn records(&self, split: &str) -> Result<RecordReader> {
        match self.card.shape {
            Some(shape) => RecordReader::open(&self.path(split)?, shape),
            None => refuse!("dataset {} is running text; expected a set of records", self.card.name),
        }
    }
}

fn folder_of(name: &str, root: &Path) -> PathBuf {
    root.join(name)
}

fn damaged(name: &str, folder: &Path) -> String {
    let remedy = match catalogue::find(name) {
        Some(_) => format!("run `synth data fetch {name}`"),
        None => "import it again".to_string(),
    };
    format!("dataset {name} is damaged (remove {} and {remedy})", folder.display())
}

fn check_available(name: &str, root: &Path) -> Result<Available> {
    catalogue::find(name).ok_or_else(|| {
        refusal!(
            "there is no dataset {name} in {}, and none of that name can be fetched: {}; `synth data import {name} PATH` \
             prepares your own files",
            root.display(),
            names().join(", ")
        )
    })
}

#[cfg(test)]
mod tests;
