//! The marker of a run folder: what shows that synth made it, and the lock of who writes it.

use super::lock;
use anyhow::{Result, anyhow};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file that makes a folder a run's: what may be overwritten, and what is locked.
pub(super) const MARKER: &str = ".synth-run";

const MARKER_TEXT: &[u8] = b"Written by synth. A folder with this file may be replaced by `synth train --overwrite`.\n";

/// Whether `folder` bears synth's own marker: a regular file, not a link to one.
pub(super) fn has_marker(folder: &Path) -> bool {
    fs::symlink_metadata(folder.join(MARKER)).is_ok_and(|found| found.is_file())
}

/// What lies in `folder` besides the marker. A folder with nothing but a marker counts as empty:
/// the run that made it ended before it wrote anything.
pub(super) fn contents(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries: io::Result<Vec<PathBuf>> =
        fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut entries = entries.map_err(|error| anyhow!("cannot read {}: {error}", folder.display()))?;
    if has_marker(folder) {
        entries.retain(|entry| !entry.ends_with(MARKER));
    }
    Ok(entries)
}

/// Takes the marker's lock, and writes the marker where it is absent.
pub(super) fn claim(folder: &Path) -> Result<File> {
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(folder.join(MARKER));
    let mut marker = open().map_err(|error| unwritable(folder, &error))?;
    if !lock::try_lock(&marker).map_err(|error| unwritable(folder, &error))? {
        crate::refuse!(
            "{} is being written by another synth process: wait for it, or choose another name with --run NAME",
            folder.display()
        );
    }
    let length = marker.metadata().map_err(|error| unwritable(folder, &error))?.len();
    if length == 0 {
        marker.write_all(MARKER_TEXT).map_err(|error| unwritable(folder, &error))?;
    }
    Ok(marker)
}

/// Removes all but the marker, whose lock is held throughout. Links in the folder go, not what they point to.
pub(super) fn empty(folder: &Path) -> Result<()> {
    for entry in contents(folder)? {
        let is_folder = fs::symlink_metadata(&entry).is_ok_and(|found| found.is_dir());
        let removed = if is_folder { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
        removed.map_err(|error| anyhow!("cannot remove {}: {error}", entry.display()))?;
    }
    Ok(())
}

/// The error of a run folder in which nothing can be written.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("cannot write in {}: {error}; --results names another place", path.display())
}
