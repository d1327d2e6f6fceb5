//! Leases: who works on what in a folder that machines may share.
//!
//! `NAME.1`, `NAME.2`, … are the leases of NAME, one after another; the last one counts, and none is ever removed. A
//! file comes into being whole and only where there is none of its name, so that of two that want the next lease one gets
//! it. Its holder writes the time into it every [`BEAT`]; the next lease may be taken when the last was given back, when
//! its holder is a process of this machine that has ended, or when its bytes have not changed for [`STALE`], by the
//! clock of who waits: clocks of different machines are never compared.

use super::create::make_folder;
use super::environment::now;
use super::host::Process;
use super::regular;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// How often a holder shows that it is alive.
pub const BEAT: Duration = Duration::from_secs(10);
/// After how long without a sign a holder counts as dead.
pub const STALE: Duration = Duration::from_secs(90);

/// Leases of one name: nobody sees more starts than that.
const MOST: u32 = 100_000;

/// The contents of a lease. All but `state` and `renewed` stay, and the length does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// `held` or `free`.
    state: String,
    /// When the holder last showed that it is alive.
    renewed: String,
    host: String,
    place: String,
    process: u32,
    begun: u64,
}

impl Record {
    fn of(process: &Process) -> Self {
        let Process { host, place, number, begun } = process.clone();
        Self { state: "held".into(), renewed: now(), host, place, process: number, begun }
    }

    fn holder(&self) -> Process {
        let Self { host, place, process, begun, .. } = self.clone();
        Process { host, place, number: process, begun }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        Ok(format!("{}\n", serde_json::to_string(self)?).into_bytes())
    }
}

/// What came of asking for a lease.
#[derive(Debug)]
pub enum Attempt {
    /// It is this process's.
    Taken(Lease),
    /// Somebody else has it: who, for people.
    Held(String),
}

/// The path of a lease, and its bytes.
type Found = (PathBuf, Vec<u8>);

/// The leases in a folder, as this process sees them.
#[derive(Debug)]
pub struct Leases {
    folder: PathBuf,
    this: Process,
    stale: Duration,
    /// The bytes of leases of other machines, and since when they are such.
    seen: HashMap<PathBuf, (Vec<u8>, Instant)>,
}

impl Leases {
    /// Those in `folder`, which is made where it is absent.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn new(folder: PathBuf) -> Result<Self> {
        make_folder(&folder)?;
        Ok(Self { folder, this: Process::this(), stale: STALE, seen: HashMap::new() })
    }

    /// Takes the lease of `name` unless somebody alive has it.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn take(&mut self, name: &str) -> Result<Attempt> {
        loop {
            let (number, last) = self.last(name)?;
            if let Some((path, bytes)) = last
                && let Some(who) = self.holder(&path, bytes)
            {
                return Ok(Attempt::Held(who));
            }
            if let Some(lease) = self.create(name, number + 1)? {
                return Ok(Attempt::Taken(lease));
            }
        }
    }

    /// The number of the last lease of `name`; 0 where there was none.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn number(&self, name: &str) -> Result<u32> {
        Ok(self.last(name)?.0)
    }

    /// How many leases of `name` have ended.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn ended(&mut self, name: &str) -> Result<u32> {
        let (number, last) = self.last(name)?;
        let held = last.is_some_and(|(path, bytes)| self.holder(&path, bytes).is_some());
        Ok(number - u32::from(held))
    }

    /// Whether a process had the lease of `name`, did not give it back, and is dead.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn was_left(&mut self, name: &str) -> Result<bool> {
        let (_, last) = self.last(name)?;
        Ok(last.is_some_and(|(path, bytes)| !is_free(&bytes) && self.holder(&path, bytes).is_none()))
    }

    /// The number of the last lease, 0 where there is none, with its path and bytes.
    fn last(&self, name: &str) -> Result<(u32, Option<Found>)> {
        let mut last = None;
        for number in 1..=MOST {
            let path = self.path(name, number);
            match regular::read(&path) {
                Ok(bytes) => last = Some((path, bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok((number - 1, last)),
                Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            }
        }
        bail!("{} holds more than {MOST} leases of {name}; remove them while no synth runs", self.folder.display())
    }

    fn path(&self, name: &str, number: u32) -> PathBuf {
        self.folder.join(format!("{name}.{number}"))
    }

    /// Who has the lease at `path`, unless it is free.
    fn holder(&mut self, path: &Path, bytes: Vec<u8>) -> Option<String> {
        let record = serde_json::from_slice::<Record>(&bytes).ok();
        let who =
            record.as_ref().map_or("another process".into(), |it| format!("process {} of {}", it.process, it.host));
        if is_free(&bytes) {
            return None;
        }
        match record.and_then(|record| record.holder().runs()) {
            Some(true) => Some(who),
            Some(false) => None,
            None => {
                let since = match self.seen.get(path) {
                    Some((before, since)) if *before == bytes => *since,
                    _ => Instant::now(),
                };
                self.seen.insert(path.to_owned(), (bytes, since));
                (since.elapsed() < self.stale).then_some(who)
            }
        }
    }

    /// A lease of that number, unless another process was faster.
    fn create(&self, name: &str, number: u32) -> Result<Option<Lease>> {
        let path = self.path(name, number);
        let record = Record::of(&self.this);
        let bytes = record.bytes()?;
        let made = NamedTempFile::new_in(&self.folder).and_then(|mut file| {
            file.write_all(&bytes).and_then(|()| file.as_file().sync_all())?;
            match file.persist_noclobber(&path) {
                Ok(file) => Ok(Some(file)),
                Err(error) if error.error.kind() == ErrorKind::AlreadyExists => Ok(None),
                Err(error) => Err(error.error),
            }
        });
        let file = made.with_context(|| format!("cannot write {}", path.display()))?;
        let next = self.path(name, number + 1);
        Ok(file.map(|file| Lease { file, path, next, number, record, renewed: Instant::now() }))
    }
}

fn is_free(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Record>(bytes).is_ok_and(|record| record.state == "free")
}

/// What this process alone works on, until it gives it back or dies.
#[derive(Debug)]
pub struct Lease {
    file: File,
    path: PathBuf,
    next: PathBuf,
    number: u32,
    record: Record,
    renewed: Instant,
}

impl Lease {
    /// Its place among those of its name, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Shows that this process is alive, where that is due. False where another process has taken over: what this one
    /// does must end at once.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn renew(&mut self) -> Result<bool> {
        if self.renewed.elapsed() < BEAT {
            return Ok(true);
        }
        self.renewed = Instant::now();
        self.record.renewed = now();
        self.write()?;
        Ok(!self.next.exists())
    }

    /// Gives it back.
    ///
    /// # Errors
    /// What the file system reports; the lease is free when this process has ended.
    pub fn give_back(mut self) -> Result<()> {
        self.record.state = "free".into();
        self.write()
    }

    /// In place, for the file keeps its name and its length: whoever has taken over has another file.
    fn write(&self) -> Result<()> {
        let bytes = self.record.bytes()?;
        let written = self.file.write_all_at(&bytes, 0).and_then(|()| self.file.sync_all());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
