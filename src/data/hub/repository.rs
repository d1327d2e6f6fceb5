//! A dataset's repository at one commit: what it holds, and its files, from the cache or the hub.

use super::attempts::Unreachable;
use super::cache::{Completeness, RepositoryCache};
use super::download::Place;
use super::headers::is_sha256;
use super::http::Http;
use super::listing::{self, Listing, Sibling, check_revision, is_commit};
use super::settings::Settings;
use crate::data::hash::sha256_file;
use crate::refuse;
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// A repository at a commit.
pub struct Repository {
    name: String,
    revision: String,
    http: Http,
    settings: Settings,
    cache: RepositoryCache,
    /// What it holds.
    pub listing: Listing,
    /// Whether that is all.
    pub completeness: Completeness,
}

impl Repository {
    /// Looks up what `revision` of the dataset `name` is, and what it holds: at the hub, or in the cache where that
    /// is asked for, knows the commit, or is all that can be reached.
    ///
    /// # Errors
    /// A refusal offline, where the cache does not know the revision; what the hub refuses; a hub that cannot be
    /// reached.
    pub fn open(settings: &Settings, name: &str, revision: &str) -> Result<Self> {
        check_revision(revision)?;
        let http = Http::new(settings);
        let cache = RepositoryCache::new(settings, name);
        let known = cache.commit(revision).and_then(|commit| cache.listing(&commit));
        let (listing, completeness) = match known {
            Some(known) if settings.offline || is_commit(revision) && known.1 == Completeness::Listed => known,
            None if settings.offline => refuse!(
                "HF_HUB_OFFLINE is set, and the cache {} holds nothing of dataset {name} at revision {revision}",
                settings.cache.display()
            ),
            known => match listing::fetch(&http, settings, name, revision) {
                Ok(listing) => {
                    cache.keep(revision, &listing)?;
                    (listing, Completeness::Listed)
                }
                Err(error) if error.is::<Unreachable>() && known.is_some() => {
                    warn!("{error}; taking revision {revision} as the cache has it");
                    known.ok_or(error)?
                }
                Err(error) => return Err(error),
            },
        };
        info!("dataset {name} at commit {}", listing.commit);
        Ok(Self {
            name: name.into(),
            revision: revision.into(),
            http,
            settings: settings.clone(),
            cache,
            listing,
            completeness,
        })
    }

    /// The file in the cache, if it is there.
    pub fn find(&self, sibling: &Sibling) -> Option<PathBuf> {
        self.cache.find(&self.listing.commit, sibling)
    }

    /// The file: out of the cache, else downloaded into it. Answers its SHA-256, too, which is as the hub says.
    ///
    /// # Errors
    /// A refusal offline, where it is not in the cache; those of a download; a file in the cache that is damaged.
    pub fn obtain(&self, sibling: &Sibling) -> Result<(PathBuf, String)> {
        let path = match self.find(sibling) {
            Some(path) => path,
            None if self.settings.offline => refuse!(
                "HF_HUB_OFFLINE is set, and {} of dataset {} is not in the cache: {} is missing",
                sibling.path,
                self.name,
                self.cache.pointer(&self.listing.commit, &sibling.path).display()
            ),
            None => {
                let (repository, revision, commit) = (&self.name, &self.revision, &self.listing.commit);
                let place = Place { repository, revision, commit };
                self.cache.fetch(&self.http, &self.settings, &place, sibling)?
            }
        };
        let found = sha256_file(&path)?;
        let expected = sibling.sha256().map(str::to_string).or_else(|| blob_of(&path));
        match expected.filter(|expected| is_sha256(expected) && *expected != found) {
            None => Ok((path, found)),
            Some(_) => {
                let file = fs::canonicalize(&path).unwrap_or(path);
                bail!("{} in the cache is damaged: its SHA-256 is {found}; remove it and fetch again", file.display())
            }
        }
    }

    /// Where the cache keeps the repository.
    pub fn folder(&self) -> PathBuf {
        self.cache.folder()
    }
}

/// The name of the blob that a link in a snapshot leads to.
fn blob_of(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_str()?.to_string())
}
