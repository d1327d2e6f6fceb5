//! `synth data import`: local files in the layouts that data sets come in, to a prepared set.

mod columns;
mod convai2;
mod converter;
mod format;
mod glue;
mod inputs;
mod keys;
mod lines;
mod parallel;
mod progress;
mod roles;
mod scitldr;
mod splits;
mod superglue;
mod text;
mod textgcn;
mod writers;

pub use format::Format;
pub use roles::Keys;

use super::card::{Card, Layout, SPLITS};
use super::datasets;
use super::hash::hex;
use super::record::Record;
use super::source::{Encoding, ReadOptions};
use super::splits::check_shares;
use anyhow::{Context, Result};
use converter::Plan;
use progress::Progress;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tracing::info;
use writers::Writers;

/// What the source in a card of an import begins with.
pub(super) const SOURCE: &str = "Imported from ";
/// Names of source files that a card lists.
const NAMES_LISTED: usize = 20;

/// What a format makes of a file is given to one of these, record by record.
type Take<'a> = &'a mut dyn FnMut(Record) -> Result<()>;

/// What the user says of the files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportOptions {
    /// Their format; found where absent.
    pub format: Option<Format>,
    /// Which keys or columns to take.
    pub keys: Keys,
    /// Their encoding.
    pub encoding: Encoding,
    /// Whether tables have a header; found where absent.
    pub header: Option<bool>,
    /// Labels are numbers, not classes.
    pub numeric_label: bool,
    /// Shares of train, validation and, if a third is given, test, to cut files that name no split.
    pub split: Option<Vec<f64>>,
    /// The terms that they stand under.
    pub licence: Option<String>,
}

/// The files of a set: each one's split, and all that records are made of together.
struct Source {
    split: String,
    files: Vec<PathBuf>,
}

/// Prepares the files that `paths` name (files, folders, globs, `LABEL=PATH`, `test=PATH`) as `<root>/<name>/`.
///
/// # Errors
/// Refusals of a name that is taken or none, of paths with nothing behind them, and of files whose format, splits or
/// columns cannot be told; contents that are damaged, with file and line. Nothing half-made is left under the name.
pub fn import(name: &str, paths: &[String], options: &ImportOptions, root: &Path) -> Result<Card> {
    datasets::check_free(name, root)?;
    if let Some(shares) = &options.split {
        check_shares("--split", shares)?;
    }
    let mut read = ReadOptions { encoding: options.encoding, ..ReadOptions::default() };
    let inputs = inputs::collect(paths)?;
    let format = match options.format {
        Some(format) => format,
        None => {
            let (format, why) = format::detect(&inputs, &read)?;
            info!("format: {format}, {why}");
            format
        }
    };
    let plan = Plan::new(format, &inputs, options, &read)?;
    let sources = plan.sources.iter().flat_map(|source| source.files.iter());
    let progress = Progress::new(name, sources)?;
    read.progress = progress.bytes();
    say_splits(&plan, options);
    datasets::prepare(name, root, |folder| prepare(name, folder, &plan, options, &read, &progress))
}

fn say_splits(plan: &Plan, options: &ImportOptions) {
    if let Some(shares) = &options.split {
        return info!("splits: {shares:?} of all, as --split says");
    }
    let said = plan.sources.iter().map(|source| {
        let names: Vec<String> = source.files.iter().map(|file| file_name(file)).collect();
        format!("{} from {}", source.split, names.join(" and "))
    });
    let said: Vec<String> = said.take(NAMES_LISTED).collect();
    info!("splits: {}", said.join("; "));
}

fn prepare(
    name: &str,
    folder: &Path,
    plan: &Plan,
    options: &ImportOptions,
    read: &ReadOptions,
    progress: &Progress,
) -> Result<Card> {
    let list_sha256 = hash_list(plan, progress)?;
    let mut card = match plan.shape() {
        None => text_card(name, folder, plan, options, read, progress)?,
        Some(_) => record_card(name, folder, plan, options, read, progress)?,
    };
    let stated = || "Not stated: that of the imported files.".to_string();
    card.licence = options.licence.clone().unwrap_or_else(stated);
    card.description = plan.description(options.split.as_deref());
    card.source = list_names(plan);
    (card.source_language, card.target_language) = plan.languages();
    card.list_sha256 = list_sha256;
    Ok(card)
}

fn text_card(
    name: &str,
    folder: &Path,
    plan: &Plan,
    options: &ImportOptions,
    read: &ReadOptions,
    progress: &Progress,
) -> Result<Card> {
    let mut card = Card::new(name, Layout::Text, None);
    card.splits = match &options.split {
        Some(shares) => text::cut(plan.only_file()?, shares, folder, read, || progress.show())?,
        None => {
            let file = |source: &Source| source.files.iter().map(|file| (source.split.clone(), file.clone())).collect();
            let files: Vec<(String, PathBuf)> = plan.sources.iter().flat_map::<Vec<_>, _>(file).collect();
            text::join(&files, folder, read, || progress.show())?
        }
    };
    Ok(card)
}

fn record_card(
    name: &str,
    folder: &Path,
    plan: &Plan,
    options: &ImportOptions,
    read: &ReadOptions,
    progress: &Progress,
) -> Result<Card> {
    let shape = plan.shape().context("running text has no records")?;
    let mut writers = Writers::new(folder, shape);
    let mut files: BTreeMap<String, u64> = BTreeMap::new();
    let shares = options.split.as_deref().map(|shares| (shares, &SPLITS[..shares.len()]));
    for source in &plan.sources {
        plan.convert(source, read, &mut |record| {
            progress.show();
            match shares {
                Some((shares, splits)) => writers.write(writers::share_of(&record, shares, splits)?, &record),
                None => writers.write(&source.split, &record),
            }
        })?;
        let splits: Vec<&str> = shares.map_or_else(|| vec![source.split.as_str()], |(_, splits)| splits.to_vec());
        for split in splits {
            *files.entry(split.to_string()).or_default() += source.files.len() as u64;
        }
    }
    let mut card = Card::new(name, Layout::Records, Some(shape));
    let (splits, classes) = writers.finish(&files)?;
    card.splits = splits;
    card.labels = plan.classes().or(classes);
    Ok(card)
}

/// The SHA-256 over lines `<split> <file name> <SHA-256 of the file>`, in the order of splits and names.
fn hash_list(plan: &Plan, progress: &Progress) -> Result<String> {
    let mut list = Sha256::new();
    for source in &plan.sources {
        for file in &source.files {
            list.update(format!("{} {} {}\n", source.split, file_name(file), progress.hash(file)?));
        }
    }
    Ok(hex(&list.finalize()))
}

fn list_names(plan: &Plan) -> String {
    let names: Vec<String> = plan.sources.iter().flat_map(|source| &source.files).map(|file| file_name(file)).collect();
    let rest = names.len().saturating_sub(NAMES_LISTED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{SOURCE}{}{more}.", names.iter().take(NAMES_LISTED).cloned().collect::<Vec<_>>().join(", "))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
