//! Rows of CSV and TSV files, one in memory at a time.

use super::check_file;
use super::lines::{Lines, not_utf8};
use super::stream::{self, CHUNK, Capped, Encoding, ReadOptions};
use anyhow::{Context, Result, anyhow, bail, ensure};
use csv::ByteRecord;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Follows the last row of a CSV file. It comes back as a row of its own, or else in a cell whose quote is open, which the
/// parser would end in silence together with the file. No text has a NUL byte.
const END: &[u8] = b"\n\0\n";

/// How the cells of a row are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Commas; a cell in double quotes may hold commas, line breaks and doubled quotes (RFC 4180).
    Csv,
    /// Tabs; quotes mean nothing and a row is a line.
    Tsv,
}

/// The rows of a plain or gzipped table, the header among them if there is one. Every row must have as many cells as the
/// first. After an error there is nothing more.
pub struct Table {
    rows: Rows,
    cells: Option<usize>,
    failed: bool,
}

enum Rows {
    Quoted(Quoted),
    Plain { lines: Lines, line: String },
}

struct Quoted {
    path: PathBuf,
    reader: csv::Reader<Capped>,
    record: ByteRecord,
    encoding: Encoding,
}

impl Table {
    /// Opens a table.
    ///
    /// # Errors
    /// A refusal of what is no readable regular file.
    pub fn open(path: &Path, dialect: Dialect, options: &ReadOptions) -> Result<Self> {
        let rows = match dialect {
            Dialect::Csv => Rows::Quoted(Quoted::open(path, options)?),
            Dialect::Tsv => Rows::Plain { lines: Lines::open_with(path, options)?, line: String::new() },
        };
        Ok(Self { rows, cells: None, failed: false })
    }

    /// Lets rows have fewer or more cells than the first: who reads them looks himself.
    pub fn uneven(mut self) -> Self {
        self.cells = Some(usize::MAX);
        self
    }

    /// Where the last row begins: `PATH, line N`.
    pub fn place(&self) -> String {
        match &self.rows {
            Rows::Quoted(quoted) => quoted.place(),
            Rows::Plain { lines, .. } => lines.place(),
        }
    }

    fn read(&mut self) -> Result<Option<Vec<String>>> {
        let row = match &mut self.rows {
            Rows::Quoted(quoted) => quoted.read()?,
            Rows::Plain { lines, line } => loop {
                if !lines.read(line)? {
                    break None;
                }
                if !line.is_empty() {
                    break Some(line.split('\t').map(str::to_string).collect());
                }
            },
        };
        let Some(row) = row else { return Ok(None) };
        let expected = *self.cells.get_or_insert(row.len());
        ensure!(
            expected == usize::MAX || row.len() == expected,
            "{}: the row has {} columns; expected {expected}, as in the first row",
            self.place(),
            row.len()
        );
        Ok(Some(row))
    }
}

impl Quoted {
    fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        check_file(path)?;
        let bytes = Box::new(stream::open(path, &options.progress)?.chain(END));
        let bytes = Capped::new(bytes, options.longest, CHUNK);
        let reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(CHUNK).from_reader(bytes);
        Ok(Self { path: path.to_path_buf(), reader, record: ByteRecord::new(), encoding: options.encoding })
    }

    fn place(&self) -> String {
        let line = self.record.position().unwrap_or(self.reader.position()).line();
        format!("{}, line {line}", self.path.display())
    }

    /// Reads the next row into `record`; false at the end.
    fn advance(&mut self) -> Result<bool> {
        self.reader.get_mut().allow();
        let start = self.reader.position().line();
        let read = self.reader.read_byte_record(&mut self.record);
        let read = read.map_err(|error| anyhow::Error::new(without_frame(error)));
        read.with_context(|| format!("{}, line {start}", self.path.display()))
    }

    fn read(&mut self) -> Result<Option<Vec<String>>> {
        if !self.advance()? {
            return Ok(None);
        }
        let last = self.record.iter().next_back().unwrap_or_default();
        if last.ends_with(END) {
            let line = self.record.position().map_or(0, csv::Position::line);
            bail!("{}: a quote opened in the row at line {line} is not closed", self.path.display());
        }
        if self.record.len() == 1 && last == END.trim_ascii() {
            let place = self.place();
            ensure!(!self.advance()?, "{place}: a NUL byte, as in binary files; expected text");
            return Ok(None);
        }
        let cells = self.record.iter().map(|cell| {
            ensure!(!cell.contains(&0), "{}: a NUL byte, as in binary files; expected text", self.place());
            let mut text = String::new();
            let decoded = self.encoding.decode(cell, &mut text);
            decoded.map_err(|offset| anyhow!("{}: {}", self.place(), not_utf8(cell, offset)))?;
            Ok(text)
        });
        cells.collect::<Result<_>>().map(Some)
    }
}

/// The reader's own error, where it is one.
fn without_frame(error: csv::Error) -> std::io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => std::io::Error::other(format!("{other:?}")),
    }
}

impl Iterator for Table {
    type Item = Result<Vec<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.read().transpose();
        self.failed = matches!(read, Some(Err(_)));
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn table(bytes: &[u8], dialect: Dialect, longest: usize) -> Result<Vec<Vec<String>>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.csv");
        fs::write(&path, bytes).unwrap();
        Table::open(&path, dialect, &ReadOptions { longest, ..Default::default() })?.collect()
    }

    fn message(bytes: &[u8], dialect: Dialect, longest: usize) -> String {
        format!("{:#}", table(bytes, dialect, longest).unwrap_err())
    }

    #[test]
    fn quotes_mean_something_in_csv_only() {
        let bytes = b"\xef\xbb\xbfa,\"b, \"\"c\"\"\nd\"\r\n\" x,\",\"y\"\n\n";
        assert_eq!(table(bytes, Dialect::Csv, 100).unwrap(), [["a", "b, \"c\"\nd"], [" x,", "y"]]);
        let bytes = b"\xef\xbb\xbf\" a\tb\r\n\nc \"\t\n";
        assert_eq!(table(bytes, Dialect::Tsv, 100).unwrap(), [["\" a", "b"], ["c \"", ""]]);
    }

    #[test]
    fn rows_that_are_damaged_name_their_line() {
        let uneven = message(b"a,b\n\"c\nd\",e\nf\n", Dialect::Csv, 100);
        assert!(
            uneven.ends_with("input.csv, line 4: the row has 1 columns; expected 2, as in the first row"),
            "{uneven}"
        );
        let uneven = message(b"a\tb\nc\td\te\n", Dialect::Tsv, 100);
        assert!(uneven.contains("input.csv, line 2: the row has 3 columns; expected 2"), "{uneven}");
        let latin = message(b"a,b\nna\xefve,c\n", Dialect::Csv, 100);
        assert!(latin.contains("input.csv, line 2: not UTF-8 text: the byte 0xef at offset 2"), "{latin}");
        assert!(message(b"a,b\nc,\0\n", Dialect::Csv, 100).contains("line 2: a NUL byte"));
        assert!(message(b"a\n\0\nb\n", Dialect::Csv, 100).contains("line 2: a NUL byte"));
        assert!(message(b"a\n\0\n", Dialect::Csv, 100).contains("line 2: a NUL byte"));
        let open_quote = [b"a,b\n\"".as_slice(), &vec![b'x'; 3 * CHUNK]].concat();
        let message = message(&open_quote, Dialect::Csv, 100);
        assert!(message.contains("input.csv, line 2: it goes on for more than 100 bytes"), "{message}");
    }

    #[test]
    fn a_quote_that_is_never_closed_is_no_end_of_a_row() {
        for bytes in ["a,b\nc,\"d\ne,f\ng,h\n", "a,b\nc,\"d\"\"", "a,b\nc,\"", "a,b\n\"c,d", "a,b\nc,d,\"e\r\n"] {
            let message = message(bytes.as_bytes(), Dialect::Csv, 100);
            assert!(message.ends_with("input.csv: a quote opened in the row at line 2 is not closed"), "{message}");
        }
        for bytes in ["a,b\nc,\"d\"", "a,b\nc,\"d\"\n", "a,b\r\nc,d\r\n\r\n", "a,b\rc,d\r"] {
            let rows = table(bytes.as_bytes(), Dialect::Csv, 100).unwrap();
            assert_eq!(rows, [["a", "b"], ["c", "d"]], "{bytes:?}");
        }
        assert!(table(b"", Dialect::Csv, 100).unwrap().is_empty());
    }

    #[test]
    fn rows_may_be_uneven_where_the_reader_looks_himself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.tsv");
        fs::write(&path, "a\tb\nc\n").unwrap();
        let table = Table::open(&path, Dialect::Tsv, &ReadOptions::default()).unwrap().uneven();
        assert_eq!(table.map(|row| row.unwrap().len()).collect::<Vec<_>>(), [2, 1]);
    }
}
