//! The lines of a text file, one in memory at a time.

use super::check_file;
use super::input::{input_name, open_input};
use super::stream::{self, Bytes, CHUNK, ReadOptions};
use anyhow::{Context, Result, anyhow, bail};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The lines of a plain or gzipped text file, in order. Lines end with LF or CRLF; a byte order mark at the start is left
/// out. Every error names the file and the line; after one there is nothing more.
pub struct Lines {
    path: PathBuf,
    reader: BufReader<Bytes>,
    options: ReadOptions,
    number: u64,
    ended: bool,
    bytes: Vec<u8>,
    failed: bool,
}

impl Lines {
    /// Opens UTF-8 text with the ordinary limits.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &ReadOptions::default())
    }

    /// Opens a text file.
    ///
    /// # Errors
    /// A refusal of what is no readable regular file.
    pub fn open_with(path: &Path, options: &ReadOptions) -> Result<Self> {
        check_file(path)?;
        Ok(Self::new(path.into(), stream::open(path, &options.progress)?, options))
    }

    /// Opens a file or pipe that is read once, or stdin, see [`open_input`].
    ///
    /// # Errors
    /// Those of [`open_input`].
    pub fn of_input(path: &Path, options: &ReadOptions) -> Result<Self> {
        Ok(Self::new(input_name(path).into(), open_input(path, &options.progress)?, options))
    }

    fn new(path: PathBuf, bytes: Bytes, options: &ReadOptions) -> Self {
        Self {
            path,
            reader: BufReader::with_capacity(CHUNK, bytes),
            options: options.clone(),
            number: 0,
            ended: true,
            bytes: Vec::new(),
            failed: false,
        }
    }

    /// Puts the next line, without its end, into `line`; false where there is none.
    ///
    /// # Errors
    /// A line that is too long, binary or not in the encoding; gzip data that is damaged or expands beyond measure.
    pub fn read(&mut self, line: &mut String) -> Result<bool> {
        line.clear();
        self.bytes.clear();
        self.number += 1;
        // One byte more than the longest line and its end shows that it goes on.
        let most = self.options.longest as u64 + 2;
        let read = (&mut self.reader).take(most).read_until(b'\n', &mut self.bytes);
        if read.with_context(|| self.place())? == 0 {
            self.number -= 1;
            return Ok(false);
        }
        let bytes = self.bytes.strip_suffix(b"\n");
        self.ended = bytes.is_some();
        let bytes = bytes.map_or(self.bytes.as_slice(), |bytes| bytes.strip_suffix(b"\r").unwrap_or(bytes));
        self.check(bytes)?;
        let decoded = self.options.encoding.decode(bytes, line);
        decoded.map_err(|offset| anyhow!("{}: {}", self.place(), not_utf8(bytes, offset)))?;
        Ok(true)
    }

    fn check(&self, bytes: &[u8]) -> Result<()> {
        let longest = self.options.longest;
        if bytes.len() > longest {
            bail!("{}: the line is longer than {longest} bytes; expected text in lines", self.place());
        }
        if let Some(offset) = bytes.iter().position(|&byte| byte == 0) {
            bail!("{}: a NUL byte at offset {offset} of the line, as in binary files; expected text", self.place());
        }
        Ok(())
    }

    /// Whether the last line that was read had an end.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Where the last line that was read stands: `PATH, line N`.
    pub fn place(&self) -> String {
        format!("{}, line {}", self.path.display(), self.number)
    }
}

/// What is wrong with bytes that begin no character at `offset`.
pub(super) fn not_utf8(bytes: &[u8], offset: usize) -> String {
    let byte = bytes.get(offset).copied().unwrap_or_default();
    format!(
        "not UTF-8 text: the byte 0x{byte:02x} at offset {offset} of the line (counted from 0) begins no character; convert \
         the file (an import reads latin-1 with `--encoding latin-1`)"
    )
}

impl Iterator for Lines {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let mut line = String::new();
        let read = self.read(&mut line);
        self.failed = read.is_err();
        read.map(|more| more.then_some(line)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Encoding;
    use super::super::tests::gzip;
    use super::*;
    use crate::exit::code;
    use std::fs;
    use std::io::Write;

    fn lines_of(bytes: &[u8], options: &ReadOptions) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        fs::write(&path, bytes).unwrap();
        Lines::open_with(&path, options)?.collect()
    }

    fn lines(bytes: &[u8]) -> Vec<String> {
        lines_of(bytes, &ReadOptions::default()).unwrap()
    }

    /// The error's one line, which names the file and the line.
    fn message(bytes: &[u8], options: &ReadOptions, line: u64) -> String {
        let error = lines_of(bytes, options).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(&format!("input.txt, line {line}: ")) && code(&error) == 1, "{text}");
        text
    }

    #[test]
    fn ends_and_marks_are_left_out() {
        assert_eq!(lines(b"\xef\xbb\xbfa\nb\r\n\n c\rd"), ["a", "b", "", " c\rd"]);
        assert_eq!(lines(b"\xef\xbb\xbf"), [""; 0]);
        assert_eq!(lines(b""), [""; 0]);
        assert_eq!(lines(&gzip(b"\xef\xbb\xbfa\nb\n")), ["a", "b"]);
        // A mark may be cut by the border of two gzip members.
        assert_eq!(lines(&[gzip(b"\xef"), gzip(b"\xbb\xbfa")].concat()), ["a"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "a\nb").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        let mut line = String::new();
        assert!(lines.read(&mut line).unwrap() && lines.ended());
        assert!(lines.read(&mut line).unwrap() && !lines.ended() && line == "b");
        assert!(!lines.read(&mut line).unwrap());
        assert!(lines.place().ends_with("line 2"));
    }

    #[test]
    fn latin_1_is_read_where_it_is_asked_for() {
        let latin = ReadOptions { encoding: Encoding::Latin1, ..Default::default() };
        assert_eq!(lines_of(b"na\xefve\n\x85", &latin).unwrap(), ["naïve", "\u{85}"]);
        let text = message(b"ok\nna\xefve\n", &ReadOptions::default(), 2);
        assert!(text.contains("byte 0xef at offset 2"), "{text}");
    }

    #[test]
    fn long_lines_and_binary_files_are_errors() {
        let short = ReadOptions { longest: 4, ..Default::default() };
        assert_eq!(lines_of(b"1234\r\n5678\n9012", &short).unwrap(), ["1234", "5678", "9012"]);
        for bytes in [b"1\n12345\n".as_slice(), b"1\n12345", b"1\n123456789"] {
            assert!(message(bytes, &short, 2).contains("longer than 4 bytes"));
        }
        assert!(message(b"a\nb\0", &short, 2).contains("NUL byte at offset 1"));
    }

    #[test]
    fn damaged_gzip_data_is_said_where_it_is_met() {
        let options = ReadOptions::default();
        let text: String = (0..60_000).map(|number| format!("{}\n", number * number)).collect();
        let packed = gzip(text.as_bytes());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        fs::write(&path, &packed[..packed.len() - 20]).unwrap();
        let error = Lines::open(&path).unwrap().collect::<Result<Vec<_>>>().unwrap_err();
        let said = format!("{error:#}");
        assert!(said.contains("truncated") && said.contains("input.txt, line "), "{said}");
        assert!(!said.contains("line 1:"), "{said}");
        let mut damaged = gzip(b"some text, some more text");
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        assert!(message(&damaged, &options, 1).contains("corrupt"));
    }

    #[test]
    fn a_decompression_bomb_is_stopped() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let block = "a\n".repeat(1 << 19);
        for _ in 0..100 {
            encoder.write_all(block.as_bytes()).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        fs::write(&path, &bomb).unwrap();
        let mut lines = Lines::open(&path).unwrap();
        let mut line = String::new();
        let error = loop {
            if let Err(error) = lines.read(&mut line) {
                break format!("{error:#}");
            }
        };
        assert!(error.contains("expands to more than 200 times") && error.contains("line 33"), "{error}");
    }
}
