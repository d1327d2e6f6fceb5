//! Files that are there whole or not at all, whatever is killed or full.

use anyhow::{Result, anyhow};
use serde::Serialize;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::NamedTempFile;

const PREFIX: &str = ".synth-";
const SUFFIX: &str = ".part";

/// Writes `bytes` beside `path`, synced, and renames that to `path`. On failure `path` is as it
/// was, and the error names it.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|error| anyhow!("cannot write {}: {}", path.display(), cause(&error)))
}

/// [`write`](fn@write)s where there is nothing; what another process was faster to write stays.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = unfinished(path, bytes).and_then(|file| match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => sync_folder(folder_of(path)),
    });
    written.map_err(|error| anyhow!("cannot write {}: {}", path.display(), cause(&error)))
}

/// [`write`](fn@write)s `value` as indented JSON that ends with a newline.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|error| anyhow!("cannot write {}: {error}", path.display()))?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// Removes what a killed [`write`](fn@write) left in `folder`. Only for a folder that no other process writes.
pub fn remove_leftovers(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    unfinished(path, bytes)?.persist(path).map_err(|error| error.error)?;
    sync_folder(folder_of(path))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A synced file of these bytes beside `path`.
fn unfinished(path: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    // Results are no secrets: readable as the user's umask says, not by the owner alone.
    let mode = Permissions::from_mode(0o666);
    let mut builder = tempfile::Builder::new();
    let mut file = builder.prefix(PREFIX).suffix(SUFFIX).permissions(mode).tempfile_in(folder_of(path))?;
    file.as_file_mut().write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Makes a rename last. Some network file systems cannot sync a folder; there is no more to do there.
fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

/// The error's text without the temporary file's name, which tells a user nothing.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" at path ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_whole_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write(&path, b"a longer first text").unwrap();
        write_json(&path, &serde_json::json!({"b": 1})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\n  \"b\": 1\n}\n");
        assert_eq!(names(folder.path()), ["a.json"]);
        // The same mode as a file made in the ordinary way.
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions(), fs::metadata(&plain).unwrap().permissions());
    }

    #[test]
    fn what_is_new_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for text in ["first", "second"] {
            write_new(&path, text.as_bytes()).unwrap();
            assert_eq!((fs::read_to_string(&path).unwrap().as_str(), names(folder.path()).len()), ("first", 1));
        }
        assert!(write_new(&folder.path().join("none/a.json"), b"x").is_err());
    }

    #[test]
    fn a_failure_names_the_final_path_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("a.json");
        let message = write(&path, b"x").unwrap_err().to_string();
        assert!(message.starts_with(&format!("cannot write {}: No such file", path.display())), "{message}");
        assert!(!message.contains(SUFFIX), "{message}");

        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        assert!(write(&taken, b"x").is_err());
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    fn leftovers_go_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".synth-a1B2.part", ".synth-run", "weights.part"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(folder.path()).unwrap();
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [".synth-run", "weights.part"]);
    }
}
