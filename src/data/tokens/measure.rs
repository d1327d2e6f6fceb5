//! What the targets of a row stand for in the text: bytes and words, for figures by byte and by word.

use crate::data::tokenizer::Encoded;
use std::ops::AddAssign;

/// How much text some targets stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measure {
    /// Bytes in UTF-8; an end of a record is one.
    pub bytes: u32,
    /// White-space words that begin, and ends of lines and records.
    pub words: u32,
}

/// How a stream is cut into rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// Targets of a row at most.
    pub length: u32,
    /// The token that ends a record, and with it a row.
    pub end: Option<u32>,
}

impl Measure {
    pub(super) fn to_bytes(self) -> [u8; 8] {
        (u64::from(self.words) << 32 | u64::from(self.bytes)).to_le_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8; 8]) -> Self {
        let both = u64::from_le_bytes(*bytes);
        Self { bytes: both as u32, words: (both >> 32) as u32 }
    }
}

impl AddAssign for Measure {
    fn add_assign(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.words = self.words.saturating_add(other.words);
    }
}

/// Measures rows as tokens come.
pub(super) struct Meter {
    rows: Rows,
    done: Vec<Measure>,
    row: Measure,
    targets: u32,
    /// The stream's first token is no target.
    begun: bool,
    /// Whether a word begins with the next character that is no white space.
    between: bool,
}

impl Meter {
    pub fn new(rows: Rows) -> Self {
        Self { rows, done: Vec::new(), row: Measure::default(), targets: 0, begun: false, between: true }
    }

    /// The next tokens of the stream and the text that they stand for, in which records stop at these places. The end of a
    /// record stands for a line feed, and for what other tokens leave of it: white space where tokens are words.
    pub fn add(&mut self, text: &str, stops: &[usize], tokens: &Encoded) {
        let (mut begin, mut stops) = (0, stops.iter());
        for (&id, &bytes) in tokens.ids.iter().zip(&tokens.bytes) {
            let ends = Some(id) == self.rows.end;
            let end = match ends {
                true => stops.next().copied().unwrap_or(begin),
                false => begin + bytes as usize,
            };
            let measure = match ends {
                true => Measure { bytes: (end - begin) as u32 + 1, words: 1 },
                false => Measure { bytes, words: self.words(text, begin, end) },
            };
            self.between |= ends;
            self.target(measure, ends, text.is_char_boundary(end));
            begin = end;
        }
    }

    fn target(&mut self, measure: Measure, ends: bool, whole: bool) {
        if !self.begun {
            // What follows it is measured as a text of its own: what is left of a word is a word, and of a character too.
            (self.begun, self.between) = (true, whole);
            self.row.words += u32::from(!whole);
            return;
        }
        self.row += measure;
        self.targets += 1;
        if ends || self.targets == self.rows.length {
            self.close();
        }
    }

    fn close(&mut self) {
        self.done.push(std::mem::take(&mut self.row));
        self.targets = 0;
    }

    /// Words that begin and lines that end in a stretch of text.
    fn words(&mut self, text: &str, begin: usize, end: usize) -> u32 {
        let begin = (begin..end).find(|&place| text.is_char_boundary(place)).unwrap_or(end);
        let characters = text.get(begin..).unwrap_or_default().char_indices();
        let mut words = 0;
        for (_, character) in characters.take_while(|(offset, _)| begin + offset < end) {
            let space = character.is_whitespace();
            words += u32::from(character == '\n') + u32::from(!space && self.between);
            self.between = space;
        }
        words
    }

    pub fn finish(mut self) -> Vec<Measure> {
        if self.targets > 0 {
            self.close();
        }
        self.done
    }
}
