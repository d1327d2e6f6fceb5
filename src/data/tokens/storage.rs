//! Bytes in memory, until they are many: then in a file.

use anyhow::{Context, Result};
use std::fs::{self, File, Permissions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempPath;

/// Bytes that stay in memory at most.
pub(super) const IN_MEMORY: usize = 64 << 20;

/// How unfinished files are called.
const PREFIX: &str = ".synth-";
const SUFFIX: &str = ".part";

/// An unfinished file that nobody wrote to for so long is that of a killed process.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Where bytes lie that are there to stay.
#[derive(Debug)]
pub(super) enum Storage {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file, from an offset on. It is read, not mapped: pages of a mapping would count as this process's memory, and
    /// a file that somebody cuts short is an error here, not the process's end.
    File { file: File, path: PathBuf, offset: u64 },
}

impl Storage {
    /// Fills `bytes` from a place on.
    pub fn read(&self, place: u64, bytes: &mut [u8]) -> Result<()> {
        match self {
            Self::Memory(all) => {
                let place = place as usize;
                bytes.copy_from_slice(&all[place..place + bytes.len()]);
                Ok(())
            }
            Self::File { file, path, offset } => {
                let read = file.read_exact_at(bytes, offset + place);
                read.with_context(|| format!("cannot read {}; remove it if it is damaged", path.display()))
            }
        }
    }

    /// What an error calls it.
    pub fn name(&self) -> String {
        match self {
            Self::Memory(_) => "the tokens in memory".into(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }
}

/// Takes bytes in.
pub(super) struct Sink {
    folder: PathBuf,
    header: usize,
    most: usize,
    memory: Vec<u8>,
    file: Option<(BufWriter<File>, Option<TempPath>)>,
}

/// What a sink took in.
pub(super) enum Filled {
    /// It stayed in memory.
    Memory(Vec<u8>),
    /// A file with room for a header before the bytes, and where it lies; it has no name where it cannot be kept.
    File(File, Option<TempPath>),
}

impl Sink {
    /// A sink whose file would lie in `folder` and begin with a header of so many bytes, beyond `most` bytes.
    pub fn new(folder: &Path, header: usize, most: usize) -> Self {
        Self { folder: folder.into(), header, most, memory: Vec::new(), file: None }
    }

    /// Takes more bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= self.most {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let cannot = || format!("cannot write to {}", self.folder.display());
        if self.file.is_none() {
            let (file, name) = unfinished(&self.folder).or_else(|error| unnamed(&self.folder, &error))?;
            let mut file = BufWriter::with_capacity(1 << 20, file);
            file.write_all(&vec![0; self.header]).and_then(|()| file.write_all(&self.memory)).with_context(cannot)?;
            (self.file, self.memory) = (Some((file, name)), Vec::new());
        }
        match &mut self.file {
            Some((file, _)) => file.write_all(bytes).with_context(cannot),
            None => Ok(()),
        }
    }

    /// Ends taking.
    pub fn finish(self) -> Result<Filled> {
        let Some((file, name)) = self.file else { return Ok(Filled::Memory(self.memory)) };
        let file = file.into_inner().map_err(|error| error.into_error());
        Ok(Filled::File(file.with_context(|| format!("cannot write to {}", self.folder.display()))?, name))
    }
}

/// A new file in the folder of token files, which is made where it is absent.
fn unfinished(folder: &Path) -> Result<(File, Option<TempPath>)> {
    fs::create_dir_all(folder)?;
    remove_abandoned(folder);
    // Tokens are no secrets: readable as the user's umask says, not by the owner alone.
    let mode = Permissions::from_mode(0o666);
    let file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).permissions(mode).tempfile_in(folder)?;
    let (file, name) = file.into_parts();
    Ok((file, Some(name)))
}

/// A file without a name, for this process alone, where `folder` cannot be written to.
fn unnamed(folder: &Path, error: &anyhow::Error) -> Result<(File, Option<TempPath>)> {
    let (shown, instead) = (folder.display(), std::env::temp_dir());
    tracing::warn!("cannot write to {shown} ({error:#}): the tokens are not kept for other runs");
    let file = tempfile::tempfile();
    let file = file.with_context(|| format!("cannot write to {shown} ({error:#}) nor to {}", instead.display()))?;
    Ok((file, None))
}

/// Removes what killed processes left. What cannot be removed harms nobody.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
