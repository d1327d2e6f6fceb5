//! Where the pieces of a text come from: its files or its records, hashed as they are read.

use super::field::FieldReader;
use super::stream::Stream;
use super::{Form, Text};
use crate::data::hash::hex;
use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The content of a text, as it comes. At its end it has to be what the text says that it is.
pub(super) struct Source {
    content: Content,
    hash: Sha256,
    file: Option<PathBuf>,
    sha256: String,
}

enum Content {
    Files(Stream),
    Records(FieldReader),
    /// All was read, or nothing more can be trusted.
    Ended,
}

impl Source {
    pub fn new(text: &Text, progress: &Arc<AtomicU64>) -> Result<Self> {
        let content = match (&text.form, text.files.as_slice()) {
            (Form::Running, files) => Content::Files(Stream::new(files, text.range.clone(), progress)),
            (Form::Records(field), [file]) => Content::Records(FieldReader::open(file, field, progress)?),
            (Form::Records(_), files) => bail!("{} files of records, expected one", files.len()),
        };
        let (file, sha256) = (text.files.first().cloned(), text.sha256.clone());
        Ok(Self { content, hash: Sha256::new(), file, sha256 })
    }

    /// Whether records come out of it, by [`record`](Self::record).
    pub fn has_records(&self) -> bool {
        matches!(self.content, Content::Records(_))
    }

    /// Appends some more text, with ends of lines between records; false at the end.
    ///
    /// # Errors
    /// What cannot be read; a text that is another than it was.
    pub fn append(&mut self, text: &mut String) -> Result<bool> {
        if let Content::Files(stream) = &mut self.content {
            let before = text.len();
            if stream.append(text)? {
                self.hash.update(&text[before..]);
                return Ok(true);
            }
            self.end()?;
        }
        let Some(record) = self.record()? else { return Ok(false) };
        text.push_str(&record);
        if !record.ends_with('\n') {
            text.push('\n');
        }
        Ok(true)
    }

    /// The next record; none at the end.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn record(&mut self) -> Result<Option<String>> {
        let Content::Records(records) = &mut self.content else { return Ok(None) };
        match records.next()? {
            Some((record, line)) => {
                self.hash.update(&line);
                Ok(Some(record))
            }
            None => self.end().map(|()| None),
        }
    }

    /// Nothing more comes.
    pub fn close(&mut self) {
        self.content = Content::Ended;
    }

    /// Where reading stands: `PATH, line N`.
    pub fn place(&self) -> String {
        match &self.content {
            Content::Files(stream) => stream.place(),
            Content::Records(_) | Content::Ended => String::new(),
        }
    }

    fn end(&mut self) -> Result<()> {
        self.close();
        let (found, expected) = (hex(&std::mem::take(&mut self.hash).finalize()), &self.sha256);
        let name = self.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
        ensure!(
            found == *expected,
            "the text that begins in {name} changed while it was read: its SHA-256 is {found}, expected {expected}; start \
             again when nothing writes to it"
        );
        Ok(())
    }
}
