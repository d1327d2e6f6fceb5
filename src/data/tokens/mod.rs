//! A split as a stream of token ids, read where it lies: in memory where it is small, else in a file.

mod encode;
mod file;
mod measure;
mod storage;

pub use encode::{Job, prepare};
pub use measure::{Measure, Rows as MeasuredRows};

use anyhow::{Result, ensure};
use std::ops::Range;
use storage::Storage;

/// A stream of token ids.
#[derive(Debug)]
pub struct Tokens {
    storage: Storage,
    width: Width,
    count: u64,
    vocabulary: u32,
    measures: Vec<Measure>,
}

/// Bytes of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Width {
    One = 1,
    Two = 2,
    Four = 4,
}

impl Width {
    fn of(vocabulary: u32) -> Self {
        match vocabulary {
            0..=0x100 => Self::One,
            0x101..=0x1_0000 => Self::Two,
            _ => Self::Four,
        }
    }
}

impl Tokens {
    /// A stream in memory, without measures.
    pub fn of(ids: &[u32]) -> Self {
        let vocabulary = ids.iter().max().map_or(0, |id| id.saturating_add(1));
        let width = Width::of(vocabulary);
        let mut bytes = Vec::new();
        write(ids, width, &mut bytes);
        let storage = Storage::Memory(bytes);
        Self { storage, width, count: ids.len() as u64, vocabulary, measures: Vec::new() }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What the targets of each row stand for, where that was measured.
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// Appends the ids of a range.
    ///
    /// # Errors
    /// A range beyond the stream; a file that cannot be read or was damaged.
    pub fn read(&self, range: Range<u64>, ids: &mut Vec<i64>) -> Result<()> {
        ensure!(range.end <= self.count, "tokens {range:?} of {}", self.count);
        let width = self.width as u64;
        let mut bytes = vec![0; ((range.end - range.start) * width) as usize];
        self.storage.read(range.start * width, &mut bytes)?;
        let first = ids.len();
        match self.width {
            Width::One => ids.extend(bytes.iter().map(|&byte| i64::from(byte))),
            Width::Two => ids.extend(bytes.as_chunks().0.iter().map(|&bytes| i64::from(u16::from_le_bytes(bytes)))),
            Width::Four => ids.extend(bytes.as_chunks().0.iter().map(|&bytes| i64::from(u32::from_le_bytes(bytes)))),
        }
        let known = ids[first..].iter().all(|id| *id < i64::from(self.vocabulary));
        ensure!(known, "{} is damaged: it has ids outside the vocabulary; remove it", self.storage.name());
        Ok(())
    }
}

/// Appends ids as bytes, little endian.
fn write(ids: &[u32], width: Width, bytes: &mut Vec<u8>) {
    match width {
        Width::One => bytes.extend(ids.iter().map(|&id| id as u8)),
        Width::Two => bytes.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
        Width::Four => bytes.extend(ids.iter().flat_map(|&id| id.to_le_bytes())),
    }
}

#[cfg(test)]
mod tests;
