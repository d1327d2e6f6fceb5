//! A text in pieces that can be cut into tokens one by one, and each alone as in the whole.

use super::Flow;
use super::source::Source;
use crate::data::record::LONGEST_RECORD;
use crate::data::tokenizer::pattern;
use anyhow::{Result, bail};

/// Some of a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// It.
    pub text: String,
    /// Where its records end, the last with the text; none in running text.
    pub ends: Vec<usize>,
}

/// The pieces of a text in order: they follow from the text alone, however it is read. After an error there is nothing
/// more.
pub struct Pieces {
    source: Source,
    flow: Flow,
    size: usize,
    /// What was read and not given yet, from `given` on.
    buffer: String,
    given: usize,
    ended: bool,
}

impl Pieces {
    pub(super) fn new(source: Source, flow: Flow, size: usize) -> Self {
        Self { source, flow, size, buffer: String::new(), given: 0, ended: false }
    }

    fn read(&mut self) -> Result<Option<Piece>> {
        match self.flow {
            Flow::Running => self.running(),
            Flow::Records | Flow::Sides => self.records(),
        }
    }

    /// `size` bytes at most, up to the last border: a stretch of so many without one is cut where it is.
    fn running(&mut self) -> Result<Option<Piece>> {
        while self.buffer.len() - self.given <= self.size && self.more()? {}
        let left = &self.buffer[self.given..];
        let end = match left.len() <= self.size {
            true => left.len(),
            false => {
                let most = (0..=self.size).rev().find(|&place| left.is_char_boundary(place)).unwrap_or(0);
                pattern::last_border(&left[..most]).unwrap_or(most)
            }
        };
        let text = left[..end].to_string();
        self.given += end;
        Ok((!text.is_empty()).then_some(Piece { text, ends: Vec::new() }))
    }

    /// Records until they have `size` bytes together.
    fn records(&mut self) -> Result<Option<Piece>> {
        let keeps_empty = self.flow == Flow::Sides;
        let (mut piece, mut empty) = (Piece::default(), 0);
        // Each empty one counts as a byte, so that a piece of nothing else ends.
        while piece.text.len() + empty < self.size {
            let Some(record) = self.record()? else { break };
            if keeps_empty || !record.is_empty() {
                empty += usize::from(record.is_empty());
                piece.text.push_str(&record);
                piece.ends.push(piece.text.len());
            }
        }
        Ok((!piece.ends.is_empty()).then_some(piece))
    }

    fn record(&mut self) -> Result<Option<String>> {
        if self.source.has_records() {
            return self.source.record();
        }
        let mut searched = 0;
        let end = loop {
            let left = &self.buffer[self.given..];
            match left[searched..].find('\n') {
                Some(end) => break Some(searched + end),
                None => searched = left.len(),
            }
            if searched > LONGEST_RECORD {
                let why = if self.flow == Flow::Sides { SIDES_ARE_LINES } else { RECORDS_ARE_LINES };
                bail!("{}: a line of more than {LONGEST_RECORD} bytes; {why}", self.source.place());
            }
            if !self.more()? {
                break None;
            }
        };
        let left = &self.buffer[self.given..];
        if left.is_empty() {
            return Ok(None);
        }
        let line = &left[..end.unwrap_or(left.len())];
        let record = line.strip_suffix('\r').unwrap_or(line).to_string();
        self.given += end.map_or(left.len(), |end| end + 1);
        Ok(Some(record))
    }

    /// Reads on; false at the end.
    fn more(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        self.buffer.drain(..self.given);
        self.given = 0;
        self.ended = !self.source.append(&mut self.buffer)?;
        Ok(!self.ended)
    }
}

/// Why a long line is an error.
const RECORDS_ARE_LINES: &str =
    "with data.rows = \"records\" every line is a record that is kept in memory; take data.rows = \"blocks\"";

const SIDES_ARE_LINES: &str = "every line is a source or a target, which is kept in memory";

impl Iterator for Pieces {
    type Item = Result<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.read();
        if piece.is_err() {
            // Nothing after it can be trusted.
            (self.buffer, self.given, self.ended) = (String::new(), 0, true);
            self.source.close();
        }
        piece.transpose()
    }
}
