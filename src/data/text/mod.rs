//! The text of a split, where it lies: read in pieces again and again, never kept as a whole.

mod field;
mod pieces;
mod source;
mod stream;
mod survey;

pub use field::{RecordField, check_field};
pub use pieces::{Piece, Pieces};
pub use survey::{CutShares, cut_place, survey_fields, survey_files, survey_lines, survey_records, survey_shares};

use super::tokenizer::pattern;
use anyhow::Result;
use source::Source;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

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
    /// The bytes of the joined and unpacked files that belong to it; of records all of that same file.
    pub range: Range<u64>,
    /// SHA-256 of these bytes, in hexadecimal; of records that of the file of a set of the shape text that holds what is
    /// taken of them. Whoever reads the text to its end compares it.
    pub sha256: String,
}

/// What files hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Running,
    /// One file of records, a JSON object a line, of which a field is taken.
    Records(RecordField),
}

/// How a text becomes a stream of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// All of it as it is; of records each with a line feed after it, where it has none.
    Running,
    /// Record after record, each with an end; of running text each line is one. Empty ones are left out.
    Records,
    /// As [`Records`](Self::Records), with the empty ones: the record of one text stands beside that of another.
    Sides,
}

impl Text {
    /// Its size in bytes.
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

    /// About `bytes` of the text, in pieces that are evenly spaced over it, the first of them its start; the whole where it
    /// is no longer.
    ///
    /// # Errors
    /// Files that cannot be opened.
    pub fn sample(
        &self,
        bytes: u64,
        progress: &Arc<AtomicU64>,
    ) -> Result<impl Iterator<Item = Result<String>> + Send + use<>> {
        let pieces = Pieces::new(self.source(progress)?, Flow::Running, SAMPLE_PIECE);
        let (share, of) = (u128::from(bytes), u128::from(self.bytes().max(bytes)));
        // Rounded up: the first piece is always one of them.
        let chosen = move |index: u128| ((index + 1) * share).div_ceil(of) > (index * share).div_ceil(of);
        let chosen = pieces.zip(0..).filter(move |(piece, index)| piece.is_err() || chosen(*index));
        Ok(chosen.map(move |(piece, _)| Ok(start(piece?.text, bytes))))
    }

    fn source(&self, progress: &Arc<AtomicU64>) -> Result<Source> {
        Source::new(self, progress)
    }
}

/// The start of `text`, of `bytes` at most but a character at least, up to a border where there is one.
fn start(mut text: String, bytes: u64) -> String {
    if text.len() as u64 > bytes {
        let first = text.chars().next().map_or(0, char::len_utf8);
        let most = (first..=bytes as usize).rev().find(|&place| text.is_char_boundary(place)).unwrap_or(first);
        let border = pattern::last_border(&text[..most]).filter(|&border| border > 0);
        text.truncate(border.unwrap_or(most));
    }
    text
}

#[cfg(test)]
mod tests;
