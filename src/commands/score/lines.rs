//! The lines of a file, plain or gzipped, or of stdin.

use crate::metrics::text::trim_end;
use crate::{refusal, refuse};
use anyhow::{Context, Result, anyhow, bail};
use flate2::bufread::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// The first two bytes of every gzip file (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Bytes read at a time.
const CHUNK: usize = 1 << 18;

/// A text and the name that messages call it by.
pub struct Text {
    /// The path, or `stdin`.
    pub name: String,
    text: String,
}

impl Text {
    /// Reads `path`; `-` is stdin.
    ///
    /// # Errors
    /// Refusals: nothing there, a folder, or a file that may not be read. Else: text that is not UTF-8, with its
    /// line; damaged gzip; no line at all.
    pub fn read(path: &Path) -> Result<Self> {
        let name = name(path);
        let mut bytes = Vec::new();
        open(path)?.read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
        if bytes.is_empty() {
            bail!("{name} is empty; expected one line or more");
        }
        let text = String::from_utf8(bytes).map_err(|error| not_utf8(&name, error.as_bytes(), error.utf8_error()))?;
        if text.starts_with('\u{feff}') {
            tracing::warn!("{name} begins with a byte order mark, which counts as a character of its first line");
        }
        Ok(Self { name, text })
    }

    /// Its lines without the white space at their ends, as sacrebleu reads them: a line ends at `\n` alone, and what
    /// Windows writes before it is white space.
    pub fn lines(&self) -> Vec<&str> {
        let text = self.text.strip_suffix('\n').unwrap_or(&self.text);
        text.split('\n').map(trim_end).collect()
    }
}

fn not_utf8(name: &str, bytes: &[u8], error: std::str::Utf8Error) -> anyhow::Error {
    let before = &bytes[..error.valid_up_to()];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    anyhow!("{name}, line {line}: byte {column} of the line begins no character; expected UTF-8 text")
}

/// What messages call `path`.
pub fn name(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_string() } else { path.display().to_string() }
}

/// Whether `path` stands for stdin.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens a file, unpacked where it is gzipped, or stdin.
///
/// # Errors
/// Refusals: nothing there, a folder, or a file that may not be read.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    let shown = path.display();
    let source: Box<dyn Read> = if is_stdin(path) {
        Box::new(io::stdin())
    } else {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse!("no such file: {shown}; expected a text file, or - for stdin")
            }
            Ok(metadata) if metadata.is_dir() => refuse!("{shown} is a directory; expected a text file"),
            _ => Box::new(File::open(path).map_err(|error| refusal!("cannot read {shown}: {error}"))?),
        }
    };
    let mut reader = BufReader::with_capacity(CHUNK, source);
    // A pipe may hand over less at first than the two bytes that tell.
    let mut start = Vec::new();
    (&mut reader).take(2).read_to_end(&mut start).with_context(|| format!("cannot read {}", name(path)))?;
    let is_gzip = start == GZIP_MAGIC;
    let reader = Cursor::new(start).chain(reader);
    if is_gzip {
        return Ok(Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(reader))));
    }
    Ok(Box::new(reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Text> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        fs::write(&path, bytes).unwrap();
        Text::read(&path)
    }

    #[test]
    fn lines_end_at_newlines_alone() {
        let text = read("a b \r\n\u{2028}\n\nc\rd\n".as_bytes()).unwrap();
        assert_eq!(text.lines(), ["a b", "", "", "c\rd"]);
        assert_eq!(read(b"a\nb").unwrap().lines(), ["a", "b"]);
        assert_eq!(read(b"\n").unwrap().lines(), [""]);
    }

    #[test]
    fn what_is_no_text_is_an_error_with_its_line() {
        let message = |bytes: &[u8]| format!("{:#}", read(bytes).err().unwrap());
        assert!(message(b"a\nbc\xffd\n").contains("input.txt, line 2: byte 3"));
        assert!(message(b"").contains("is empty"));
        assert!(message(&[0x1f, 0x8b, 1]).contains("cannot read"));
    }
}
