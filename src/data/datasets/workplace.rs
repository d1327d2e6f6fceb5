//! Where a dataset is made before it gets its name: a hidden folder beside it, which only its owner touches.

use anyhow::{Context, Result, bail};
use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tracing::{debug, warn};

/// How the folders' names begin.
pub(super) const PREFIX: &str = ".synth-data-";
/// The file that the owner keeps locked for as long as it works.
const LOCK_FILE: &str = "lock";
/// The folder that becomes the dataset.
const SET_FOLDER: &str = "set";
/// A folder whose owner cannot be asked is left alone for so long.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a new place is tried where another process cleans up.
const ATTEMPTS: usize = 8;

/// A folder to make a dataset in; it goes with everything in it unless it is published.
pub(super) struct Workplace {
    folder: TempDir,
    /// Locked while this lives.
    _lock: File,
}

impl Workplace {
    /// Makes a workplace in `root`, which is made where it is missing, and removes what killed processes left there.
    pub fn create(root: &Path) -> Result<Self> {
        fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
        remove_leftovers(root);
        for _ in 0..ATTEMPTS {
            if let Some(workplace) =
                Self::try_create(root).with_context(|| format!("cannot write to {}", root.display()))?
            {
                return Ok(workplace);
            }
        }
        bail!("cannot keep a place to work in {}: other processes remove it", root.display())
    }

    /// None where another process, cleaning up, was faster than the lock.
    fn try_create(root: &Path) -> std::io::Result<Option<Self>> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(root)?;
        let lock = match File::create(folder.path().join(LOCK_FILE)) {
            Ok(lock) => lock,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // A file system without locks: the folder's age guards it.
            Err(TryLockError::Error(error)) => debug!("no lock on {}: {error}", folder.path().display()),
        }
        fs::create_dir(folder.path().join(SET_FOLDER))?;
        // Data is no secret: as other folders, not for the owner alone.
        fs::set_permissions(folder.path().join(SET_FOLDER), Permissions::from_mode(0o755))?;
        Ok(Some(Self { folder, _lock: lock }))
    }

    /// The folder that becomes the dataset.
    pub fn set(&self) -> PathBuf {
        self.folder.path().join(SET_FOLDER)
    }

    /// Gives the finished folder its name. A folder that is there and not empty stays, which is an error.
    pub fn publish(self, target: &Path) -> std::io::Result<()> {
        File::open(self.set())?.sync_all()?;
        fs::rename(self.set(), target)?;
        match target.parent().map(File::open) {
            // Makes the rename last; some network file systems cannot, and there is no more to do there.
            Some(Ok(parent)) => drop(parent.sync_all()),
            _ => debug!("cannot sync the folder around {}", target.display()),
        }
        Ok(())
    }
}

/// Removes the workplaces in `root` whose owner is gone. What cannot be removed is said and left.
fn remove_leftovers(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // The lock is held until the folder is gone.
        if let Some(_lock) = abandoned(&entry.path())
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            warn!("cannot remove {}, left by a process that was killed: {error}", entry.path().display());
        }
    }
}

/// The lock of a workplace that nobody owns, or none without an owner to ask that is old.
fn abandoned(folder: &Path) -> Option<Option<File>> {
    let old = || {
        let changed = fs::metadata(folder).and_then(|metadata| metadata.modified()).ok()?;
        changed.elapsed().is_ok_and(|age| age > GRACE).then_some(None)
    };
    let Ok(lock) = File::open(folder.join(LOCK_FILE)) else { return old() };
    match lock.try_lock() {
        Ok(()) => Some(Some(lock)),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Error(_)) => old(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_published_is_all_that_stays() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().join("data");
        let workplace = Workplace::create(&root).unwrap();
        fs::write(workplace.set().join("train.txt"), "a").unwrap();
        workplace.publish(&root.join("letters")).unwrap();
        assert_eq!(names(&root), ["letters"]);
        assert_eq!(names(&root.join("letters")), ["train.txt"]);

        let second = Workplace::create(&root).unwrap();
        fs::write(second.set().join("test.txt"), "b").unwrap();
        assert!(second.publish(&root.join("letters")).is_err());
        assert_eq!(names(&root), ["letters"]);
        assert_eq!(names(&root.join("letters")), ["train.txt"]);
    }

    #[test]
    fn only_places_without_an_owner_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let living = Workplace::create(root.path()).unwrap();
        let killed = root.path().join(format!("{PREFIX}killed"));
        let young = root.path().join(format!("{PREFIX}young"));
        fs::create_dir_all(killed.join(SET_FOLDER)).unwrap();
        fs::write(killed.join(LOCK_FILE), "").unwrap();
        // Its owner has not locked it yet.
        fs::create_dir(&young).unwrap();
        fs::create_dir(root.path().join(".other")).unwrap();
        let second = Workplace::create(root.path()).unwrap();
        assert!(living.set().exists() && young.exists() && !killed.exists() && root.path().join(".other").exists());
        drop(second);
        let past = std::time::SystemTime::now() - 2 * GRACE;
        File::open(&young).unwrap().set_modified(past).unwrap();
        drop(Workplace::create(root.path()).unwrap());
        assert!(living.set().exists() && !young.exists());
    }
}
