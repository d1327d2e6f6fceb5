//! What was compiled or measured for a card, in the user's cache folder: `$XDG_CACHE_HOME/synth/kernels`, else
//! `~/.cache/synth/kernels`, which nobody else may read or write. What goes wrong here costs doing it again, never the run.

use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes of a hash in hexadecimal, which stands before what is kept.
const HASH: usize = 64;

/// The file of what follows from these texts; `ending` says what that is.
pub fn file(parts: &[&str], ending: &str) -> String {
    let hashes: Vec<String> = parts.iter().map(|part| sha256_hex(part.as_bytes())).collect();
    format!("{}.{ending}", sha256_hex(hashes.join(" ").as_bytes()))
}

/// What the file holds, if it is there and whole.
pub fn read(file: &str) -> Option<Vec<u8>> {
    read_in(&folder()?, file)
}

/// Keeps it.
pub fn write(file: &str, bytes: &[u8]) {
    if folder().and_then(|folder| write_in(&folder, file, bytes)).is_none() {
        tracing::debug!("{file} is not kept: there is no private cache folder");
    }
}

fn read_in(folder: &Path, file: &str) -> Option<Vec<u8>> {
    let all = fs::read(folder.join(file)).ok()?;
    let (hash, bytes) = all.split_at_checked(HASH)?;
    (sha256_hex(bytes).as_bytes() == hash).then(|| bytes.to_vec())
}

fn write_in(folder: &Path, file: &str, bytes: &[u8]) -> Option<()> {
    let mut temporary = tempfile::NamedTempFile::new_in(folder).ok()?;
    temporary.write_all(sha256_hex(bytes).as_bytes()).and_then(|()| temporary.write_all(bytes)).ok()?;
    temporary.persist(folder.join(file)).ok().map(drop)
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder, made where it is missing; `None` where it is not this user's alone: code that others can write is not run.
fn folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")))?;
    let folder = caches.join("synth").join("kernels");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
    let metadata = fs::symlink_metadata(&folder).ok()?;
    let own = metadata.uid() == rustix::process::getuid().as_raw();
    (metadata.is_dir() && own && metadata.permissions().mode() & 0o077 == 0).then_some(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let name = file(&["a card", "a product"], "product");
        assert_eq!(read_in(folder.path(), &name), None);
        write_in(folder.path(), &name, b"sixty-four bytes").unwrap();
        assert_eq!(read_in(folder.path(), &name).unwrap(), b"sixty-four bytes");
        let path = folder.path().join(&name);
        let whole = fs::read(&path).unwrap();
        for damaged in [&whole[..whole.len() - 1], &whole[..HASH - 1], b"", &[&whole[..], b"x"].concat()] {
            fs::write(&path, damaged).unwrap();
            assert_eq!(read_in(folder.path(), &name), None);
        }
    }

    #[test]
    fn files_differ_by_each_part_and_where_it_ends() {
        let names = [file(&["a", "b"], "x"), file(&["ab", ""], "x"), file(&["b", "a"], "x"), file(&["a", "b"], "y")];
        for (i, name) in names.iter().enumerate() {
            assert!(!names[..i].contains(name), "{name}");
        }
        assert_eq!(names[0], file(&["a", "b"], "x"));
    }
}
