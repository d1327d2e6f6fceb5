//! The folder that downloads are kept in, laid out as Python's `huggingface_hub` lays it out, so that both find each
//! other's files:
//!
//! ```text
//! datasets--<owner>--<name>/
//!   refs/<revision>              the commit that a branch was at
//!   blobs/<hash>                 contents; <hash>.incomplete on its way
//!   snapshots/<commit>/<path>    links into blobs
//!   .listings/<commit>.json      ours: what the repository held, for use without network
//! .locks/datasets--<owner>--<name>/<hash>.lock
//! ```

use super::download::Place;
use super::http::Http;
use super::listing::{Listing, Sibling, is_commit, names_a_commit};
use super::settings::Settings;
use crate::data::hash::{sha256_file, sha256_hex};
use anyhow::{Context, Result};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use tracing::{info, warn};

/// The part of the cache that belongs to one repository.
pub struct RepositoryCache {
    root: PathBuf,
    name: String,
}

impl RepositoryCache {
    /// That of the dataset `repository`, `owner/name`.
    pub fn new(settings: &Settings, repository: &str) -> Self {
        Self { root: settings.cache.clone(), name: format!("datasets--{}", repository.replace('/', "--")) }
    }

    /// Where it lies.
    pub fn folder(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// The commit that `revision` was at when it was looked up last; none where it never was.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_string());
        }
        let text = fs::read_to_string(self.folder().join("refs").join(revision)).ok()?;
        Some(text.trim().to_string()).filter(|commit| names_a_commit(commit))
    }

    /// What the repository held at a commit: as it was listed, else the files that are here. Tells which.
    pub fn listing(&self, commit: &str) -> Option<(Listing, Completeness)> {
        let stored = fs::read(self.listing_file(commit)).ok().and_then(|json| Listing::from_json(&json).ok());
        if let Some(listing) = stored.filter(|listing| listing.commit == commit) {
            return Some((listing, Completeness::Listed));
        }
        let snapshot = self.folder().join("snapshots").join(commit);
        let mut siblings = Vec::new();
        collect(&snapshot, "", &mut siblings).ok()?;
        siblings.sort_by(|a, b| a.path.cmp(&b.path));
        Some((Listing { commit: commit.to_string(), siblings }, Completeness::Found))
    }

    /// Keeps what a revision was at, and what the repository held there.
    ///
    /// # Errors
    /// A folder that cannot be written to.
    pub fn keep(&self, revision: &str, listing: &Listing) -> Result<()> {
        if !is_commit(revision) {
            write_whole(&self.folder().join("refs").join(revision), listing.commit.as_bytes())?;
        }
        write_whole(&self.listing_file(&listing.commit), &serde_json::to_vec(listing)?)
    }

    fn listing_file(&self, commit: &str) -> PathBuf {
        self.folder().join(".listings").join(format!("{commit}.json"))
    }

    /// Where a file of a commit lies or would lie.
    pub fn pointer(&self, commit: &str, path: &str) -> PathBuf {
        self.folder().join("snapshots").join(commit).join(path)
    }

    /// The file where it is here already, with the size that the listing says.
    pub fn find(&self, commit: &str, sibling: &Sibling) -> Option<PathBuf> {
        let pointer = self.pointer(commit, &sibling.path);
        let metadata = fs::metadata(&pointer).ok().filter(|metadata| metadata.is_file())?;
        if sibling.bytes().is_none_or(|bytes| bytes == metadata.len()) {
            return Some(pointer);
        }
        warn!("{} has {} bytes, and another size on the hub: it is not used", pointer.display(), metadata.len());
        None
    }

    /// Downloads a file, or what is missing of it, and answers where it lies.
    ///
    /// # Errors
    /// Those of [`Place::download`]; a folder that cannot be written to.
    pub fn fetch(&self, http: &Http, settings: &Settings, place: &Place<'_>, sibling: &Sibling) -> Result<PathBuf> {
        let commit = place.commit;
        // Where nobody says the blob's name before, what is on its way needs one that a later process finds again.
        let unnamed = || format!("{}-unnamed", &sha256_hex(format!("{commit}/{}", sibling.path).as_bytes())[..40]);
        let name = sibling.blob().map_or_else(unnamed, str::to_string);
        let _lock = self.lock(&name, &sibling.path)?;
        if let Some(path) = self.find(commit, sibling) {
            return Ok(path);
        }
        let blobs = self.folder().join("blobs");
        fs::create_dir_all(&blobs).with_context(|| format!("cannot create {}", blobs.display()))?;
        let blob = match sibling.blob().map(|name| blobs.join(name)).filter(|blob| is_whole(blob, sibling)) {
            Some(blob) => blob,
            None => {
                let incomplete = blobs.join(format!("{name}.incomplete"));
                let facts = place.download(http, settings, sibling, &incomplete)?;
                let name = sibling.blob().map(str::to_string).or(facts.blob);
                let name = name.map_or_else(|| sha256_file(&incomplete), Ok)?;
                let blob = blobs.join(name);
                fs::rename(&incomplete, &blob).with_context(|| format!("cannot create {}", blob.display()))?;
                blob
            }
        };
        let pointer = self.pointer(commit, &sibling.path);
        link(&blob, &pointer, &sibling.path).with_context(|| format!("cannot create {}", pointer.display()))?;
        Ok(pointer)
    }

    /// Waits until no other process downloads the same file. Python's programs take the same lock.
    fn lock(&self, name: &str, what: &str) -> Result<File> {
        let path = self.root.join(".locks").join(&self.name).join(format!("{name}.lock"));
        let lock = || -> std::io::Result<File> {
            fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    info!("another process downloads {what}: waiting for it");
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            Ok(file)
        };
        lock().with_context(|| format!("cannot lock {}", path.display()))
    }
}

/// Whether a listing of files is the repository's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// The hub said it.
    Listed,
    /// It is what happened to be here.
    Found,
}

fn is_whole(blob: &Path, sibling: &Sibling) -> bool {
    fs::metadata(blob)
        .is_ok_and(|metadata| metadata.is_file() && sibling.bytes().is_some_and(|bytes| bytes == metadata.len()))
}

/// Adds the files below a folder, by their paths in it.
fn collect(folder: &Path, prefix: &str, siblings: &mut Vec<Sibling>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        // Files are links; folders are not.
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), siblings)?;
        } else if let Some(metadata) = fs::metadata(entry.path()).ok().filter(|metadata| metadata.is_file()) {
            siblings.push(Sibling { path, size: Some(metadata.len()), ..Sibling::default() });
        }
    }
    Ok(())
}

/// Writes a file at once or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// A link at `pointer`, relative so that the cache can be moved, in place of whatever is there.
fn link(blob: &Path, pointer: &Path, path: &str) -> std::io::Result<()> {
    let folder = pointer.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let up = "../".repeat(2 + path.matches('/').count());
    let target = Path::new(&up).join("blobs").join(blob.file_name().unwrap_or_default());
    let place = tempfile::Builder::new().prefix(".link-").tempdir_in(folder)?;
    let made = place.path().join("link");
    // The link is read from where it ends up, one folder higher.
    std::os::unix::fs::symlink(&target, &made)?;
    fs::rename(&made, pointer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cache(folder: &Path) -> RepositoryCache {
        let root = folder.to_path_buf();
        RepositoryCache { root, name: "datasets--wmt--wmt14".into() }
    }

    #[test]
    fn a_cache_that_python_made_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("datasets--wmt--wmt14");
        for folder in ["refs/refs/convert", "blobs", &format!("snapshots/{COMMIT}/de-en")] {
            fs::create_dir_all(repository.join(folder)).unwrap();
        }
        fs::write(repository.join("refs/refs/convert/parquet"), COMMIT).unwrap();
        fs::write(repository.join("blobs/abc"), "12345").unwrap();
        let pointer = repository.join(format!("snapshots/{COMMIT}/de-en/test.parquet"));
        std::os::unix::fs::symlink("../../../blobs/abc", &pointer).unwrap();
        std::os::unix::fs::symlink("../../blobs/none", repository.join(format!("snapshots/{COMMIT}/gone"))).unwrap();

        let cache = cache(folder.path());
        assert_eq!(cache.commit("refs/convert/parquet").as_deref(), Some(COMMIT));
        assert_eq!(cache.commit("main"), None);
        let (listing, completeness) = cache.listing(COMMIT).unwrap();
        assert_eq!(completeness, Completeness::Found);
        let found = &listing.siblings[..];
        assert!(found.len() == 1 && found[0].path == "de-en/test.parquet" && found[0].size == Some(5), "{found:?}");
        assert_eq!(cache.find(COMMIT, &found[0]).unwrap(), pointer);
        let other = Sibling { size: Some(6), ..found[0].clone() };
        assert_eq!(cache.find(COMMIT, &other), None);
    }

    #[test]
    fn a_listing_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        assert_eq!(cache.listing(COMMIT), None);
        let siblings = vec![Sibling { path: "train.parquet".into(), size: Some(3), ..Sibling::default() }];
        let listing = Listing { commit: COMMIT.into(), siblings };
        cache.keep("main", &listing).unwrap();
        assert_eq!(cache.commit("main").as_deref(), Some(COMMIT));
        assert_eq!(cache.listing(COMMIT), Some((listing, Completeness::Listed)));
    }

    #[test]
    fn links_are_relative_and_replace() {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        let blob = cache.folder().join("blobs/abc");
        fs::create_dir_all(blob.parent().unwrap()).unwrap();
        fs::write(&blob, "12345").unwrap();
        let pointer = cache.pointer(COMMIT, "a/b/train.parquet");
        fs::create_dir_all(pointer.parent().unwrap()).unwrap();
        fs::write(&pointer, "old").unwrap();
        link(&blob, &pointer, "a/b/train.parquet").unwrap();
        assert_eq!(fs::read_link(&pointer).unwrap(), Path::new("../../../../blobs/abc"));
        assert_eq!(fs::read_to_string(&pointer).unwrap(), "12345");
        assert_eq!(fs::read_dir(pointer.parent().unwrap()).unwrap().count(), 1);
    }
}
