//! The text of a split, where it lies: read in pieces again and again, never kept as a whole.

mod pieces;
mod stream;
mod survey;

pub use pieces::{Piece, Pieces};
pub use survey::{CutShares, cut_place, survey_files, survey_shares};

use super::record::{Record, RecordReader, Shape};
use anyhow::{Result, bail};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use stream::Stream;

/// Bytes of a text that are cut into tokens at once. Pieces follow from the text alone.
const PIECE: usize = 1 << 18;

/// Bytes of the pieces that a sample is made of.
const SAMPLE_PIECE: usize = 1 << 16;

/// The text of a split: where it lies and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Its files, which are joined in this order.
    pub files: Vec<PathBuf>,
    /// What they hold.
    pub form: Form,
    /// The bytes of the joined and unpacked files that belong to it.
    pub range: Range<u64>,
    /// SHA-256 of these bytes, in hexadecimal.
    pub sha256: String,
}

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Running,
    /// One file of records of the shape text, a JSON object a line.
    Records,
}

/// How a text becomes a stream of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// All of it as it is; of records each with a line feed after it, where it has none.
    Running,
    /// Record after record, each with an end; of running text each line is one. Empty ones are left out.
    Records,
}

impl Text {
    /// Its size in bytes; of records that of their file.
    pub fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Bytes on the disk, which a progress counter counts to.
    pub fn bytes_on_disk(&self) -> u64 {
        self.files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|metadata| metadata.len()).sum()
    }

    /// The text in pieces that can be cut into tokens one by one. `progress` counts bytes taken from the disk.
    ///
    /// # Errors
    /// Files that cannot be opened.
    pub fn pieces(&self, flow: Flow, progress: &Arc<AtomicU64>) -> Result<Pieces> {
        Ok(Pieces::new(self.source(progress)?, flow, PIECE))
    }

    /// About `bytes` of the text, in pieces that are evenly spaced over it; the whole where it is no longer.
    ///
    /// # Errors
    /// Files that cannot be opened.
    pub fn sample(&self, bytes: u64, progress: &Arc<AtomicU64>) -> Result<impl Iterator<Item = Result<String>> + Send> {
        let pieces = Pieces::new(self.source(progress)?, Flow::Running, SAMPLE_PIECE);
        let (share, of) = (u128::from(bytes), u128::from(self.bytes().max(bytes)));
        let chosen = move |index: u128| (index + 1) * share / of > index * share / of;
        Ok(pieces
            .zip(0..)
            .filter(move |(piece, index)| piece.is_err() || chosen(*index))
            .map(|(piece, _)| Ok(piece?.text)))
    }

    fn source(&self, progress: &Arc<AtomicU64>) -> Result<Source> {
        match (self.form, self.files.as_slice()) {
            (Form::Running, files) => Ok(Source::Files(Stream::new(files, self.range.clone(), progress))),
            (Form::Records, [file]) => Ok(Source::Records(RecordReader::open(file, Shape::Text)?)),
            (Form::Records, files) => bail!("{} files of records, expected one", files.len()),
        }
    }
}

/// Where text comes from.
enum Source {
    Files(Stream),
    Records(RecordReader),
}

impl Source {
    /// Appends some more text, with ends of lines between records; false at the end.
    fn append(&mut self, text: &mut String) -> Result<bool> {
        match self {
            Self::Files(stream) => stream.append(text),
            Self::Records(records) => {
                let Some(record) = next_text(records)? else { return Ok(false) };
                text.push_str(&record);
                if !record.ends_with('\n') {
                    text.push('\n');
                }
                Ok(true)
            }
        }
    }
}

fn next_text(records: &mut RecordReader) -> Result<Option<String>> {
    match records.next().transpose()? {
        None => Ok(None),
        Some(Record::Text(record)) => Ok(Some(record.text)),
        Some(_) => bail!("expected records of the shape text"),
    }
}

#[cfg(test)]
mod tests;
