//! Which files of the hub a set is made of, and whether so much was asked for.

use super::attempts::Unreachable;
use super::cache::Completeness;
use super::catalogue::{HubSet, Layout};
use super::listing::Sibling;
use super::repository::Repository;
use super::settings::Settings;
use super::shards::SplitFiles;
use crate::data::card::Card;
use crate::{refusal, refuse};
use anyhow::{Result, anyhow};
use indicatif::DecimalBytes;
use tracing::{info, warn};

/// More than this is downloaded only where it is asked for.
const LARGE_BYTES: u64 = 20_000_000_000;

/// More files than this of which nobody says the size, likewise.
const MANY_FILES: usize = 100;

/// What a card's source says of a part begins so.
const PART: &str = "; the first ";

/// What a card's source ends with where nobody said which files there should be.
pub(super) const UNLISTED: &str = "; as found in a cache, without the hub's list of files";

/// What of a set is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Another branch, tag or commit than the set's own branch.
    pub revision: Option<String>,
    /// So many records of each split at most.
    pub max_records: Option<u64>,
    /// So many files of each split at most.
    pub shards: Option<usize>,
    /// All of a set however large it is.
    pub whole: bool,
}

impl Options {
    /// What a card says of the part that is in the set; nothing of a whole one.
    pub fn note(&self) -> String {
        let shards = self.shards.map(|shards| format!("{PART}{shards} files of each split at most"));
        let records = self.max_records.map(|records| format!("{PART}{records} records of each split at most"));
        [shards, records].into_iter().flatten().collect()
    }

    /// Whether the set with this card is what these ask for: that set of the hub and that part, the whole where none is
    /// asked for, and that revision, any where none is asked for.
    pub fn describe(&self, set: &HubSet, card: &Card) -> bool {
        let Some(found) = card.source.strip_prefix(&set.source()) else { return false };
        let found = found.strip_suffix(UNLISTED).unwrap_or(found);
        let (files, part) = found.split_at(found.find(PART).unwrap_or(found.len()));
        let revision = self.revision.as_deref();
        let revision_fits = revision.is_none_or(|revision| {
            card.revision.as_deref() == Some(revision) || files.starts_with(&format!("{revision}: "))
        });
        revision_fits && part == self.note()
    }
}

impl HubSet {
    /// What the source in a card of the set begins with; the revision follows.
    pub(super) fn source(&self) -> String {
        format!("Hugging Face hub, dataset {}, revision ", self.repository)
    }
}

/// A set's files at a commit.
pub struct Plan<'a> {
    /// The set.
    pub set: &'a HubSet,
    /// What of it is wanted.
    pub options: &'a Options,
    /// Where its files are.
    pub layout: &'a Layout,
    /// The branch, tag or commit that was looked up.
    pub revision: &'a str,
    /// The repository at the commit that this is.
    pub repository: Repository,
    /// The files of each split.
    pub splits: Vec<(&'static str, Vec<Sibling>)>,
}

impl<'a> Plan<'a> {
    /// Looks up what a set is made of.
    ///
    /// # Errors
    /// Those of [`Repository::open`]; a split without files or with a part missing; a refusal of a great deal to be
    /// downloaded that was not asked for.
    pub fn make(settings: &Settings, set: &'a HubSet, options: &'a Options) -> Result<Self> {
        let mut plan = Self::choose(settings, set, options)?;
        if plan.repository.completeness == Completeness::Found {
            warn!("{}: the files in the cache are taken to be all; nobody says how many there should be", set.name);
        }
        for files in plan.layout.splits {
            let mut found = plan.find(settings, files)?;
            found.truncate(options.shards.unwrap_or(usize::MAX));
            plan.splits.push((files.split, found));
        }
        plan.check_size(settings)?;
        Ok(plan)
    }

    /// The first of the set's layouts that the repository has.
    fn choose(settings: &Settings, set: &'a HubSet, options: &'a Options) -> Result<Self> {
        let mut first_error = None;
        for layout in set.layouts {
            let revision = options.revision.as_deref().unwrap_or(layout.revision);
            let error = match Repository::open(settings, set.repository, revision) {
                Ok(repository) => {
                    let plan = Self { set, options, layout, revision, repository, splits: Vec::new() };
                    let wanted = plan.wanted();
                    match plan.has_files() {
                        true => return Ok(plan),
                        false => plan.lacking(settings, &format!("there is no {wanted}")),
                    }
                }
                Err(error) if error.is::<Unreachable>() => return Err(error),
                Err(error) => error,
            };
            first_error.get_or_insert(error);
        }
        Err(first_error.unwrap_or_else(|| anyhow!("dataset {} has no files", set.name)))
    }

    /// Whether there is any file of the set.
    fn has_files(&self) -> bool {
        let fits = |file: &Sibling, prefix: &str| {
            file.path.starts_with(prefix) && file.path.ends_with(self.layout.format.extension())
        };
        let prefixes = self.layout.splits.iter().map(|files| files.prefix);
        prefixes.into_iter().any(|prefix| self.repository.listing.siblings.iter().any(|file| fits(file, prefix)))
    }

    /// The files wanted, in words: `de-en/train….parquet, de-en/test….parquet`.
    pub fn wanted(&self) -> String {
        let extension = self.layout.format.extension();
        let names = self.layout.splits.iter().map(|files| format!("{}….{extension}", files.prefix));
        names.collect::<Vec<_>>().join(", ")
    }

    fn find(&self, settings: &Settings, files: &SplitFiles) -> Result<Vec<Sibling>> {
        let extension = self.layout.format.extension();
        match files.find(&self.repository.listing, extension) {
            Ok(found) if found.is_empty() => {
                Err(self.lacking(settings, &format!("there is no {}….{extension}", files.prefix)))
            }
            Ok(found) => Ok(found.into_iter().cloned().collect()),
            Err(error) => Err(self.lacking(settings, &error.to_string())),
        }
    }

    /// An error about files that are not there: offline a refusal, as the cache is what lacks them.
    fn lacking(&self, settings: &Settings, what: &str) -> anyhow::Error {
        let (name, commit) = (self.set.repository, &self.repository.listing.commit);
        let folder = self.repository.folder();
        if settings.offline && self.repository.completeness == Completeness::Found {
            return refusal!("HF_HUB_OFFLINE is set, and the cache {} is incomplete: {what}", folder.display());
        }
        anyhow!("dataset {name} at commit {commit}: {what}")
    }

    /// Says what is to be downloaded, and refuses a great deal of it that was not asked for.
    fn check_size(&self, settings: &Settings) -> Result<()> {
        let (set, options) = (self.set, self.options);
        let files = self.splits.iter().flat_map(|(_, files)| files);
        let missing: Vec<&Sibling> = files.filter(|file| self.repository.find(file).is_none()).collect();
        if missing.is_empty() || settings.offline {
            return Ok(());
        }
        let bytes: u64 = missing.iter().filter_map(|file| file.bytes()).sum();
        let unknown = missing.iter().filter(|file| file.bytes().is_none()).count();
        let size = match unknown {
            0 => DecimalBytes(bytes).to_string(),
            _ => format!("{} and {unknown} files of unknown size", DecimalBytes(bytes)),
        };
        let (name, count) = (set.name, missing.len());
        let asked = options.whole || options.shards.is_some() || options.max_records.is_some();
        if !asked && (bytes > LARGE_BYTES || unknown > MANY_FILES) {
            refuse!(
                "{name} is large: {count} files to download, {size}; ask for a part with --shards N or --max-records N, \
                 or for all of it with --whole"
            );
        }
        let at_most = if options.max_records.is_some() { "at most " } else { "" };
        info!("{name}: downloading {at_most}{count} files, {size}, from {}", settings.endpoint);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue;
    use super::*;
    use crate::data::card::Layout;

    #[test]
    fn a_card_is_compared_with_what_is_asked_for() {
        let set = catalogue::find("c4").unwrap();
        let asked = |revision: Option<&str>, shards, max_records, whole| Options {
            revision: revision.map(str::to_string),
            shards,
            max_records,
            whole,
        };
        let describes = |options: &Options, source: &str, part: &Options, end: &str| {
            let mut card = Card::new("c4", Layout::Records, None);
            card.revision = Some("0123".into());
            card.source = format!("{source}main: en/c4-train….json.gz{}{end}", part.note());
            options.describe(set, &card)
        };
        let parts = [
            asked(None, None, None, false),
            asked(None, Some(1), None, false),
            asked(None, Some(1), Some(5), false),
            asked(None, None, Some(5), false),
            asked(None, None, Some(50), false),
        ];
        for (one, options) in parts.iter().enumerate() {
            for (other, part) in parts.iter().enumerate() {
                for end in ["", UNLISTED] {
                    assert_eq!(describes(options, &set.source(), part, end), one == other, "{options:?}, {part:?}");
                }
            }
        }
        let whole = &parts[0];
        for (revision, expected) in [("main", true), ("0123", true), ("v1", false)] {
            assert_eq!(describes(&asked(Some(revision), None, None, true), &set.source(), whole, ""), expected);
        }
        assert!(!describes(&asked(None, None, None, true), &set.source(), &parts[1], ""));
        for source in ["Imported from ", "Hugging Face hub, dataset stanfordnlp/imdb, revision "] {
            assert!(!describes(whole, source, whole, ""), "{source}");
        }
    }
}
