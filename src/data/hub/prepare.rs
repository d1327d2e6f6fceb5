//! A named set, from the hub's files to the files of its splits.

use super::cache::Completeness;
use super::catalogue::{Content, HubSet};
use super::listing::Sibling;
use super::plan::{Options, Plan, UNLISTED};
use super::rows;
use super::settings::Settings;
use crate::data::card::{Card, Layout, SplitCard};
use crate::data::hash::hex;
use crate::data::record::{RecordWriter, TextWriter};
use crate::terminal::Bar;
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::path::Path;

/// How often a bar tells how far it is, in records.
const SAY_EVERY: u64 = 1000;

/// Writes the splits of a set into `folder` and answers its card, which is not written yet.
///
/// # Errors
/// Refusals of what is too large to be downloaded unasked, and offline of what is not in the cache; what the hub
/// refuses, and a hub that cannot be reached; files that are incomplete or damaged; a full disk.
pub fn prepare(settings: &Settings, set: &HubSet, options: &Options, folder: &Path) -> Result<Card> {
    let plan = Plan::make(settings, set, options)?;
    let mut card = card(&plan);
    let mut list = Sha256::new();
    for (split, files) in &plan.splits {
        card.splits.insert(split, write_split(&plan, split, files, folder, &mut list)?);
    }
    card.list_sha256 = hex(&list.finalize());
    Ok(card)
}

/// The card without its splits.
fn card(plan: &Plan<'_>) -> Card {
    let Plan { set, options, revision, repository, .. } = plan;
    let shape = set.content.shape();
    let layout = if shape.is_some() { Layout::Records } else { Layout::Text };
    let mut card = Card::new(set.name, layout, shape);
    card.source = format!("{}{revision}: {}{}", set.source(), plan.wanted(), options.note());
    if repository.completeness == Completeness::Found {
        card.source.push_str(UNLISTED);
    }
    card.description = set.description.into();
    card.labels = set.content.classes();
    if let Content::Pairs { languages: Some((source, target)), .. } = set.content {
        card.source_language = Some(source.into());
        card.target_language = Some(target.into());
    }
    card.revision = Some(repository.listing.commit.clone());
    card.licence = set.licence.into();
    card.research_only = set.research_only;
    card
}

/// Writes one split, and adds its source files to the list that is hashed: lines `<path> <SHA-256>`. A file is
/// downloaded when it is its turn: where few records are wanted, most are not.
fn write_split(plan: &Plan<'_>, split: &str, files: &[Sibling], folder: &Path, list: &mut Sha256) -> Result<SplitCard> {
    let content = &plan.set.content;
    let mut sink = Sink::create(content, plan.options.max_records, split, folder)?;
    let bar = Bar::new(&format!("preparing {split}"), files.len() as u64, 0);
    let mut used = 0;
    for file in files {
        if sink.is_full() {
            break;
        }
        let (path, sha256) = plan.repository.obtain(file)?;
        list.update(format!("{} {sha256}\n", file.path));
        rows::for_each(&path, plan.layout.format, &content.columns(), |row| {
            sink.write(row, content)?;
            if sink.count % SAY_EVERY == 0 {
                bar.say(&format!("{} records", sink.count));
            }
            Ok(!sink.is_full())
        })
        .with_context(|| format!("dataset {}, {}", plan.set.name, file.path))?;
        used += 1;
        bar.set(used);
    }
    ensure!(sink.count > 0, "dataset {}: split {split} has no rows", plan.set.name);
    sink.finish(used)
}

/// Where the rows of a split go.
struct Sink {
    writer: Writer,
    /// Records so far, or lines.
    count: u64,
    max: u64,
}

enum Writer {
    Text(TextWriter),
    Records(RecordWriter),
}

impl Sink {
    fn create(content: &Content, max: Option<u64>, split: &str, folder: &Path) -> Result<Self> {
        let writer = match content.shape() {
            None => Writer::Text(TextWriter::create(folder, split)?),
            Some(shape) => Writer::Records(RecordWriter::create(folder, split, shape)?),
        };
        Ok(Self { writer, count: 0, max: max.unwrap_or(u64::MAX) })
    }

    fn is_full(&self) -> bool {
        self.count >= self.max
    }

    /// Writes what a row holds, up to the number of records wanted.
    fn write(&mut self, row: &rows::Row, content: &Content) -> Result<()> {
        match (&mut self.writer, content) {
            (Writer::Text(writer), Content::Lines { column, blank }) => {
                writer.write(&rows::line(row, column, blank)?)?;
                self.count += 1;
            }
            (Writer::Records(writer), content) => {
                let room = usize::try_from(self.max - self.count).unwrap_or(usize::MAX);
                for record in rows::records(row, content)?.iter().take(room) {
                    writer.write(record)?;
                    self.count += 1;
                }
            }
            (Writer::Text(_), _) => bail!("records are no running text"),
        }
        Ok(())
    }

    fn finish(self, files: u64) -> Result<SplitCard> {
        match self.writer {
            Writer::Text(writer) => writer.finish(files),
            Writer::Records(writer) => writer.finish(files),
        }
    }
}
