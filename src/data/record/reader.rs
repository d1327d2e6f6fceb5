//! Reading a split's records back, one after another.

use super::{Record, Shape};
use crate::data::source::{Lines, ReadOptions};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The records of a file `<split>.jsonl`, in order. After an error there is nothing more.
pub struct RecordReader {
    lines: Lines,
    line: String,
    shape: Shape,
    failed: bool,
}

impl RecordReader {
    /// Opens a file whose lines are records of one shape.
    ///
    /// # Errors
    /// A file that is not there or may not be read.
    pub fn open(path: &Path, shape: Shape) -> Result<Self> {
        Self::open_counted(path, shape, &Arc::default())
    }

    /// As [`open`](Self::open); `progress` counts the bytes taken from the disk.
    ///
    /// # Errors
    /// As there.
    pub fn open_counted(path: &Path, shape: Shape, progress: &Arc<AtomicU64>) -> Result<Self> {
        let options = ReadOptions { progress: progress.clone(), ..Default::default() };
        Ok(Self { lines: Lines::open_with(path, &options)?, line: String::new(), shape, failed: false })
    }

    fn read(&mut self) -> Result<Option<Record>> {
        if !self.lines.read(&mut self.line)? {
            return Ok(None);
        }
        let record = Record::parse(self.shape, &self.line);
        record.map(Some).with_context(|| format!("{}: expected a {} record", self.lines.place(), self.shape.name()))
    }
}

impl Iterator for RecordReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let record = self.read().transpose();
        self.failed = matches!(record, Some(Err(_)));
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn an_error_names_file_and_line_and_is_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        fs::write(&path, "{\"text\":\"a\"}\n{\"text\":1}\n{\"text\":\"c\"}\n").unwrap();
        let mut reader = RecordReader::open(&path, Shape::Text).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().texts(), [("text", "a")]);
        let message = format!("{:#}", reader.next().unwrap().unwrap_err());
        assert!(message.starts_with(&format!("{}, line 2: expected a text record", path.display())), "{message}");
        assert!(reader.next().is_none());
    }
}
