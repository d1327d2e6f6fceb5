//! The lines of a file, plain or gzipped, or of stdin.

use crate::data::source::{Lines, ReadOptions, input_name};
use crate::metrics::text::trim_end;
use anyhow::{Result, ensure};
use std::path::Path;

/// A text and the name that messages call it by.
pub struct Text {
    /// The path, or `stdin`.
    pub name: String,
    /// Its lines without the white space at their ends, as sacrebleu reads them: a line ends at `\n` alone, and what
    /// Windows writes before it is white space.
    pub lines: Vec<String>,
}

impl Text {
    /// Reads `path`; `-` is stdin.
    ///
    /// # Errors
    /// Refusals: nothing there, a folder, or a file that may not be read. Else: what is no text, with its line; gzip
    /// that is damaged or expands beyond measure; no line at all.
    pub fn read(path: &Path) -> Result<Self> {
        let name = input_name(path);
        let mut lines = Vec::new();
        for line in Lines::of_input(path, &ReadOptions::default())? {
            lines.push(trim_end(&line?).to_string());
        }
        ensure!(!lines.is_empty(), "{name} is empty; expected one line or more");
        Ok(Self { name, lines })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write;

    fn read(bytes: &[u8]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        fs::write(&path, bytes).unwrap();
        Text::read(&path).map(|text| text.lines)
    }

    #[test]
    fn lines_end_at_newlines_alone() {
        assert_eq!(read("a b \r\n\u{2028}\n\nc\rd\n".as_bytes()).unwrap(), ["a b", "", "", "c\rd"]);
        assert_eq!(read(b"a\nb").unwrap(), ["a", "b"]);
        assert_eq!(read(b"\n").unwrap(), [""]);
        assert_eq!(read(b"\xef\xbb\xbfa\n").unwrap(), ["a"]);
    }

    #[test]
    fn what_is_no_text_is_an_error_with_its_line() {
        let message = |bytes: &[u8]| format!("{:#}", read(bytes).err().unwrap());
        assert!(message(b"a\nbc\xffd\n").contains("input.txt, line 2: not UTF-8 text: the byte 0xff at offset 2"));
        assert!(message(b"").contains("is empty") && message(b"\xef\xbb\xbf").contains("is empty"));
        assert!(message(&[0x1f, 0x8b, 1]).contains("cannot read"));
        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&"a\n".repeat(48 << 20).into_bytes()).unwrap();
        assert!(message(&bomb.finish().unwrap()).contains("expands to more than 200 times"));
    }
}
