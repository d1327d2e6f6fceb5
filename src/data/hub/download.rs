//! One file from the hub to the disk: resumed where it broke off, checked when it is whole.

use super::attempts::Attempts;
use super::headers::Facts;
use super::http::{Http, NotThere, Reply, Trouble};
use super::listing::{Sibling, download_path};
use super::settings::Settings;
use crate::data::hash::sha256_file;
use crate::terminal::Bar;
use anyhow::{Context, Result, anyhow};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

/// Bytes read at a time.
const CHUNK: usize = 1 << 18;

/// What a file may have of which nobody says the size.
const MAX_UNKNOWN_BYTES: u64 = 16 << 30;

/// Where on the hub a file is.
pub struct Place<'a> {
    /// The dataset.
    pub repository: &'a str,
    /// The branch, tag or commit that was asked for.
    pub revision: &'a str,
    /// The commit that this is.
    pub commit: &'a str,
}

impl Place<'_> {
    /// Downloads a file into `path`, whose bytes so far are kept where the server can continue them, and answers what
    /// headers said of it. When it returns, the file is whole: as long, and with the hash, as the listing said.
    ///
    /// # Errors
    /// What the server refuses; too many broken attempts; content of another size or hash than was said; a full disk.
    pub fn download(&self, http: &Http, settings: &Settings, sibling: &Sibling, path: &Path) -> Result<Facts> {
        let what = format!("{} of {}", sibling.path, self.repository);
        let download_from = |revision: &str| {
            let address = download_path(self.repository, revision, &sibling.path);
            let (bytes, sha256) = (sibling.bytes(), sibling.sha256());
            download(http, settings, &Wanted { address: &address, what: &what, bytes, sha256 }, path)
        };
        match download_from(self.commit) {
            // Mirrors may know branches only.
            Err(error) if error.is::<NotThere>() && self.revision != self.commit => download_from(self.revision),
            done => done,
        }
    }
}

/// What is to be downloaded.
struct Wanted<'a> {
    /// Its address after the endpoint.
    address: &'a str,
    /// What it is called in messages.
    what: &'a str,
    /// Its size, where the listing says it.
    bytes: Option<u64>,
    /// SHA-256 of its content, where the listing says it.
    sha256: Option<&'a str>,
}

/// A download on its way.
struct Download<'a> {
    wanted: &'a Wanted<'a>,
    file: File,
    path: &'a Path,
    /// Bytes on the disk.
    have: u64,
    /// How many it should have, once somebody said it.
    bytes: Option<u64>,
    /// What the last answer's content was tagged with: whether a later answer continues it.
    etag: Option<String>,
    facts: Facts,
    bar: Option<Bar>,
}

/// Downloads from one address until the file is whole.
fn download(http: &Http, settings: &Settings, wanted: &Wanted<'_>, path: &Path) -> Result<Facts> {
    let mut download = Download::open(wanted, path)?;
    let mut attempts = Attempts::new(settings.first_pause);
    loop {
        let before = download.have;
        match download.attempt(http) {
            Ok(()) => return Ok(download.facts),
            Err(trouble) => {
                if download.have > before {
                    attempts.gained();
                }
                attempts.failed(wanted.what, trouble)?;
            }
        }
    }
}

impl<'a> Download<'a> {
    fn open(wanted: &'a Wanted<'a>, path: &'a Path) -> Result<Self> {
        let open = || -> std::io::Result<(File, u64)> {
            let file = OpenOptions::new().append(true).read(true).create(true).open(path)?;
            let have = file.metadata()?.len();
            Ok((file, have))
        };
        let (file, have) = open().with_context(|| format!("cannot write {}", path.display()))?;
        let mut download =
            Self { wanted, file, path, have, bytes: wanted.bytes, etag: None, facts: Facts::default(), bar: None };
        if wanted.bytes.is_some_and(|bytes| have > bytes) {
            download.restart()?;
        }
        Ok(download)
    }

    /// One request and what comes of it; done when the file is whole and right.
    fn attempt(&mut self, http: &Http) -> Result<(), Trouble> {
        if self.bytes.is_none() || self.bytes != Some(self.have) {
            let range = (self.have > 0).then_some((self.have, self.etag.as_deref()));
            let mut reply = http.get(self.wanted.address, self.wanted.what, range)?;
            self.begin(&reply)?;
            self.receive(&mut reply)?;
        }
        self.check()
    }

    /// Takes what the headers say, and starts over where the answer does not continue what is there.
    fn begin(&mut self, reply: &Reply) -> Result<(), Trouble> {
        self.facts = reply.facts.clone();
        self.etag = reply.etag.clone();
        match (reply.status, reply.range) {
            (206, Some((start, total))) if start == self.have => {
                self.bytes = self.bytes.or(reply.facts.size).or(total);
            }
            (200, _) => {
                // The whole is sent: this server knows no ranges, or its file is another by now.
                self.restart().map_err(Trouble::Stop)?;
                self.bytes = self.wanted.bytes.or(reply.facts.size).or(reply.length);
            }
            (status, _) => {
                self.restart().map_err(Trouble::Stop)?;
                return Err(Trouble::Again(format!("the server cannot continue the file (status {status})"), None));
            }
        }
        if self.bar.is_none() {
            self.bar = self.bytes.map(|bytes| Bar::of_bytes(self.wanted.what, bytes, self.have));
        }
        self.compare_length(reply)
    }

    /// Finds an answer that will be shorter or longer than the file. Where a hash is known, that tells it better.
    fn compare_length(&self, reply: &Reply) -> Result<(), Trouble> {
        let whole = reply.length.map(|length| self.have + length);
        match (self.bytes, whole) {
            (Some(bytes), Some(whole)) if bytes != whole && self.sha256().is_none() => {
                Err(Trouble::Again(format!("the server announces {whole} bytes; expected {bytes}"), None))
            }
            _ => Ok(()),
        }
    }

    fn sha256(&self) -> Option<&str> {
        self.wanted.sha256.or(self.facts.sha256.as_deref())
    }

    /// Appends what arrives, up to the file's size: whatever a server sends beyond it is not waited for.
    fn receive(&mut self, reply: &mut Reply) -> Result<(), Trouble> {
        let mut chunk = vec![0; CHUNK];
        let limit = self.bytes.unwrap_or(MAX_UNKNOWN_BYTES);
        while self.have < limit {
            let room = CHUNK.min(usize::try_from(limit - self.have).unwrap_or(CHUNK));
            let read = reply.body.read(&mut chunk[..room]);
            let count = read.map_err(|error| Trouble::Again(format!("the connection broke ({error})"), None))?;
            if count == 0 {
                break;
            }
            self.append(&chunk[..count])?;
        }
        match self.bytes {
            Some(bytes) if self.have < bytes => {
                let have = self.have;
                Err(Trouble::Again(format!("the connection ended after {have} bytes of {bytes}"), None))
            }
            None if self.have == limit => Err(Trouble::Stop(anyhow!("{}: {limit} bytes and more", self.wanted.what))),
            _ => Ok(()),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let written = self.file.write_all(bytes);
        written.with_context(|| format!("cannot write {}", self.path.display())).map_err(Trouble::Stop)?;
        self.have += bytes.len() as u64;
        if let Some(bar) = &self.bar {
            bar.set(self.have);
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).with_context(|| format!("cannot write {}", self.path.display()))?;
        self.have = 0;
        Ok(())
    }

    /// Compares the whole with what the listing, or else the headers, said.
    fn check(&mut self) -> Result<(), Trouble> {
        let synced = self.file.sync_all().with_context(|| format!("cannot write {}", self.path.display()));
        synced.map_err(Trouble::Stop)?;
        let Some(expected) = self.sha256().map(str::to_string) else { return Ok(()) };
        let found = sha256_file(self.path).map_err(Trouble::Stop)?;
        if found == expected {
            return Ok(());
        }
        let have = self.have;
        self.restart().map_err(Trouble::Stop)?;
        Err(Trouble::Again(format!("{have} bytes came with SHA-256 {found}; expected {expected}"), None))
    }
}
