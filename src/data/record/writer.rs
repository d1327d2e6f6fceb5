//! Writing the files of a prepared set's splits: streamed, counted and hashed.

use super::{LONGEST_RECORD, Record, Shape};
use crate::data::card::{Layout, SplitCard, split_file};
use crate::data::hash::hex;
use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Bytes written at a time.
const CHUNK: usize = 1 << 18;

/// A file, counted and hashed as it is written.
struct SplitFile {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl SplitFile {
    fn create(folder: &Path, split: &str, layout: Layout) -> Result<Self> {
        let path = folder.join(split_file(split, layout));
        let file = File::create_new(&path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path, file: BufWriter::with_capacity(CHUNK, file), hash: Sha256::new(), bytes: 0 })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).with_context(|| format!("cannot write {}", self.path.display()))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Syncs the file.
    fn finish(self, files: u64, records: u64) -> Result<SplitCard> {
        let written = self.file.into_inner().map_err(|error| error.into_error()).and_then(|file| file.sync_all());
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(SplitCard { files, records, bytes: self.bytes, sha256: hex(&self.hash.finalize()) })
    }
}

/// Writes a split of records, `<split>.jsonl`.
pub struct RecordWriter {
    file: SplitFile,
    shape: Shape,
    records: u64,
    line: Vec<u8>,
}

impl RecordWriter {
    /// A new file in `folder` for records of one shape.
    ///
    /// # Errors
    /// The file is there already or cannot be made.
    pub fn create(folder: &Path, split: &str, shape: Shape) -> Result<Self> {
        Ok(Self { file: SplitFile::create(folder, split, Layout::Records)?, shape, records: 0, line: Vec::new() })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// A record of another shape or over [`LONGEST_RECORD`] bytes; a disk that is full.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        ensure!(
            record.shape() == self.shape,
            "a record has the shape {}; expected {}",
            record.shape().name(),
            self.shape.name()
        );
        record.check()?;
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        if self.line.len() > LONGEST_RECORD {
            bail!("a record has {} bytes; expected at most {LONGEST_RECORD}", self.line.len());
        }
        self.line.push(b'\n');
        self.records += 1;
        self.file.append(&self.line)
    }

    /// Ends the split, which came from so many source files, and answers what its file must be.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(self, files: u64) -> Result<SplitCard> {
        self.file.finish(files, self.records)
    }
}

/// Writes a split of running text, `<split>.txt`.
pub struct TextWriter {
    file: SplitFile,
    newlines: u64,
    open_line: bool,
}

impl TextWriter {
    /// A new file in `folder`.
    ///
    /// # Errors
    /// The file is there already or cannot be made.
    pub fn create(folder: &Path, split: &str) -> Result<Self> {
        Ok(Self { file: SplitFile::create(folder, split, Layout::Text)?, newlines: 0, open_line: false })
    }

    /// Adds text as it is.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn write(&mut self, text: &str) -> Result<()> {
        self.newlines += text.bytes().filter(|&byte| byte == b'\n').count() as u64;
        self.open_line = if text.is_empty() { self.open_line } else { !text.ends_with('\n') };
        self.file.append(text.as_bytes())
    }

    /// Ends a line that has begun: the next text starts a new one.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn end_line(&mut self) -> Result<()> {
        if self.open_line { self.write("\n") } else { Ok(()) }
    }

    /// Ends the split, which came from so many source files, and answers what its file must be; its records are lines.
    ///
    /// # Errors
    /// A disk that is full.
    pub fn finish(self, files: u64) -> Result<SplitCard> {
        self.file.finish(files, self.newlines + u64::from(self.open_line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::hash::sha256_hex;
    use crate::data::record::TextRecord;
    use std::fs;

    #[test]
    fn records_are_counted_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = RecordWriter::create(folder.path(), "test_2016", Shape::Text).unwrap();
        for text in ["a", "ö\n"] {
            writer.write(&Record::Text(TextRecord { text: text.into() })).unwrap();
        }
        let card = writer.finish(2).unwrap();
        let written = fs::read(folder.path().join("test_2016.jsonl")).unwrap();
        assert_eq!(written, "{\"text\":\"a\"}\n{\"text\":\"ö\\n\"}\n".as_bytes());
        let expected = SplitCard { files: 2, records: 2, bytes: 29, sha256: sha256_hex(&written) };
        assert_eq!(card, expected);
        assert!(RecordWriter::create(folder.path(), "test_2016", Shape::Text).is_err(), "nothing is written over");
    }

    #[test]
    fn records_that_fit_no_line_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = RecordWriter::create(folder.path(), "train", Shape::Pairs).unwrap();
        let text = |length: usize| Record::Text(TextRecord { text: "x".repeat(length) });
        assert!(writer.write(&text(1)).unwrap_err().to_string().contains("expected pairs"));
        let mut writer = RecordWriter::create(folder.path(), "test", Shape::Text).unwrap();
        assert!(writer.write(&text(LONGEST_RECORD)).unwrap_err().to_string().contains("at most 67108864"));
        assert!(writer.write(&text(LONGEST_RECORD - 11)).is_ok());
    }

    #[test]
    fn the_records_of_a_text_are_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = TextWriter::create(folder.path(), "train").unwrap();
        writer.end_line().unwrap();
        for text in ["a\nb", "", "c"] {
            writer.write(text).unwrap();
        }
        writer.end_line().unwrap();
        writer.end_line().unwrap();
        writer.write("d").unwrap();
        let card = writer.finish(1).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("train.txt")).unwrap(), "a\nbc\nd");
        assert_eq!((card.records, card.bytes), (3, 6));
    }
}
