//! Compiled kernels in the user's cache folder: `$XDG_CACHE_HOME/synth/kernels`, else `~/.cache/synth/kernels`, which
//! nobody else may read or write. What goes wrong here costs a compilation, never the run.

use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// Bytes of a hash in hexadecimal, which stands before the code.
const HASH: usize = 64;

/// The name of what follows from these texts.
pub fn key(parts: &[&str]) -> String {
    let hashes: Vec<String> = parts.iter().map(|part| sha256_hex(part.as_bytes())).collect();
    sha256_hex(hashes.join(" ").as_bytes())
}

/// The code of this name, if it is there and whole.
pub fn read(key: &str) -> Option<Vec<u8>> {
    let bytes = fs::read(folder()?.join(file(key))).ok()?;
    let (hash, code) = bytes.split_at_checked(HASH)?;
    (sha256_hex(code).as_bytes() == hash).then(|| code.to_vec())
}

/// Keeps it.
pub fn write(key: &str, code: &[u8]) {
    let kept = || -> Option<()> {
        let folder = folder()?;
        let mut file = tempfile::NamedTempFile::new_in(&folder).ok()?;
        file.write_all(sha256_hex(code).as_bytes()).and_then(|()| file.write_all(code)).ok()?;
        file.persist(folder.join(self::file(key))).ok().map(drop)
    };
    if kept().is_none() {
        tracing::debug!("compiled kernels are not kept: there is no private cache folder");
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(key: &str) -> String {
    format!("{key}.cubin")
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
