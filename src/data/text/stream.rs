//! Files joined to one text, in UTF-8, read some at a time.

use crate::data::source::{self, Bytes};
use anyhow::{Context, Result, anyhow, bail};
use std::io::Read;
use std::ops::Range;
use std::path::PathBuf;
use std::str;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::vec::IntoIter;

/// Bytes read at a time.
const CHUNK: usize = 1 << 18;

/// A range of the joined files. A byte order mark at the start of a file is left out.
pub(super) struct Stream {
    files: IntoIter<PathBuf>, // that are still to come
    file: Option<OpenFile>,
    range: Range<u64>,
    position: u64,
    progress: Arc<AtomicU64>,
}

/// A file that is being read.
struct OpenFile {
    path: PathBuf,
    bytes: Bytes,
    /// What was read and is no text yet: less than a character.
    rest: Vec<u8>,
    /// Bytes of text so far.
    offset: u64,
    /// Line feeds so far.
    lines: u64,
}

impl Stream {
    pub fn new(files: &[PathBuf], range: Range<u64>, progress: &Arc<AtomicU64>) -> Self {
        let files = Vec::from(files);
        Self { files: files.into_iter(), file: None, range, position: 0, progress: progress.clone() }
    }

    /// Appends some more text; false at the end.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, binary or not UTF-8, or damaged gzip.
    pub fn append(&mut self, text: &mut String) -> Result<bool> {
        while self.position < self.range.end {
            let Some(file) = &mut self.file else {
                let Some(path) = self.files.next() else { return Ok(false) };
                self.file = Some(OpenFile::new(path, &self.progress)?);
                continue;
            };
            let before = text.len();
            if !file.append(text)? {
                self.file = None;
                continue;
            }
            let begin = self.position;
            self.position += (text.len() - before) as u64;
            if self.position > self.range.end {
                text.truncate(text.len() - (self.position - self.range.end) as usize);
            }
            if begin < self.range.start {
                let skipped = (self.range.start - begin).min((text.len() - before) as u64) as usize;
                text.drain(before..before + skipped);
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Where reading stands: `PATH, line N`.
    pub fn place(&self) -> String {
        self.file.as_ref().map_or_else(String::new, OpenFile::place)
    }
}

impl OpenFile {
    fn new(path: PathBuf, progress: &Arc<AtomicU64>) -> Result<Self> {
        let bytes = source::open(&path, progress)?;
        Ok(Self { path, bytes, rest: Vec::new(), offset: 0, lines: 0 })
    }

    fn append(&mut self, text: &mut String) -> Result<bool> {
        let known = self.rest.len();
        let read = (&mut self.bytes).take(CHUNK as u64).read_to_end(&mut self.rest);
        let read = read.with_context(|| format!("{}: cannot read on", self.place()))?;
        if let Some(nul) = self.rest[known..].iter().position(|&byte| byte == 0) {
            let offset = self.offset + (known + nul) as u64;
            let shown = self.path.display();
            bail!("{shown} is binary: a NUL byte at offset {offset} (counted from 0); expected UTF-8 text");
        }
        if read == 0 && known == 0 {
            anyhow::ensure!(self.offset > 0, "{} is empty; expected text", self.path.display());
            return Ok(false);
        }
        let valid = match str::from_utf8(&self.rest) {
            Ok(valid) => valid,
            // A character may go on in what comes next, if anything does.
            Err(error) if error.error_len().is_none() && read > 0 => {
                str::from_utf8(&self.rest[..error.valid_up_to()]).unwrap_or_default()
            }
            Err(error) => return Err(self.not_utf8(error.valid_up_to())),
        };
        text.push_str(valid);
        self.offset += valid.len() as u64;
        self.lines += line_feeds(valid.as_bytes());
        let valid = valid.len();
        self.rest.drain(..valid);
        Ok(true)
    }

    fn not_utf8(&self, valid: usize) -> anyhow::Error {
        let (offset, line) = (self.offset + valid as u64, self.lines + line_feeds(&self.rest[..valid]) + 1);
        anyhow!(
            "{} is not UTF-8 text: the byte at offset {offset} (counted from 0, in line {line}) begins no character; \
             convert the file",
            self.path.display()
        )
    }

    fn place(&self) -> String {
        format!("{}, line {}", self.path.display(), self.lines + 1)
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}
