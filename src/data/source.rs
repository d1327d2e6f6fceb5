//! Text from regular files, plain or gzipped, named by a path or a glob: as a whole, or streamed in lines, JSON
//! objects or rows of a table.

mod json;
mod lines;
pub mod parquet;
mod stream;
mod table;

pub use json::{JsonLines, json_array};
pub use lines::Lines;
pub use stream::{Encoding, ReadOptions};
pub use table::{Dialect, Table};

pub(in crate::data) use stream::{Bytes, open};

use crate::{refusal, refuse};
use anyhow::{Context, Result, anyhow, bail};
use flate2::bufread::MultiGzDecoder;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stream::{CHUNK, GZIP_MAGIC};

/// What one gzipped file may expand to: deflate packs up to a thousand-fold, so that a small file could
/// fill the memory, where the text lies as a whole. Plain files show their size and have no limit.
const MAX_EXPANDED: u64 = 4 << 30;

/// The text of the file or files that `pattern` names, see [`resolve`]. Several files are joined as they
/// are, with nothing between them: one that ends without a newline runs into the next.
///
/// # Errors
/// Those of [`resolve`] (exit code 2); files that are empty, binary, not UTF-8, or damaged gzip (1).
pub fn read(pattern: &Path) -> Result<String> {
    let files = resolve(pattern)?;
    if let [file] = files.as_slice() {
        return read_file(file, MAX_EXPANDED);
    }
    let mut text = String::new();
    for file in &files {
        text.push_str(&read_file(file, MAX_EXPANDED)?);
    }
    Ok(text)
}

/// The files that `pattern` names, without reading what they hold: a file of exactly this name, else the
/// matches of a glob (`*`, `?`, `[…]`) in order of name. As in a shell, `*` matches no leading dot.
///
/// # Errors
/// Refusals: nothing there, a name that is not a regular file, or a file that may not be read.
pub fn resolve(pattern: &Path) -> Result<Vec<PathBuf>> {
    let files = match pattern.to_str() {
        Some(text) if text.contains(['*', '?', '[']) && !pattern.exists() => expand(text)?,
        _ => vec![pattern.to_path_buf()],
    };
    for file in &files {
        check_file(file)?;
    }
    Ok(files)
}

/// The first byte of a plain or gzipped text file that is no white space, if there is one near its start.
///
/// # Errors
/// A refusal of what is no readable regular file; damaged gzip data.
pub fn first_sign(path: &Path) -> Result<Option<u8>> {
    check_file(path)?;
    let mut start = Vec::new();
    let bytes = stream::open(path, &Arc::default())?;
    bytes.take(1 << 12).read_to_end(&mut start).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(start.into_iter().find(|byte| !byte.is_ascii_whitespace()))
}

fn expand(pattern: &str) -> Result<Vec<PathBuf>> {
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..Default::default() };
    let paths = glob::glob_with(pattern, options).map_err(|error| {
        refusal!("{pattern} is neither a file nor a valid glob: {} at character {}", error.msg, error.pos)
    })?;
    let mut files = paths
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| refusal!("cannot look for {pattern}: {}: {}", error.path().display(), error.error()))?;
    if files.is_empty() {
        refuse!("no file matches {pattern}; expected one text file or more");
    }
    files.sort();
    Ok(files)
}

/// Refuses whatever is not a readable regular file. The kind is looked at before opening: opening a FIFO
/// would wait for somebody to write to it.
pub(super) fn check_file(path: &Path) -> Result<()> {
    let shown = path.display();
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse!("no such file: {shown}; expected a text file or a glob")
        }
        Err(error) => refuse!("cannot read {shown}: {error}"),
    };
    let found = match kind {
        kind if kind.is_file() => {
            return File::open(path).map(drop).map_err(|error| refusal!("cannot read {shown}: {error}"));
        }
        kind if kind.is_dir() => {
            refuse!("{shown} is a directory; expected a text file: name its files, as in {shown}/*.txt")
        }
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    refuse!("{shown} is {found}; expected a regular text file")
}

fn read_file(path: &Path, max_expanded: u64) -> Result<String> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    let mut reader = BufReader::with_capacity(CHUNK, file);
    let start = reader.fill_buf().with_context(|| format!("cannot read {shown}"))?;
    let bytes = if start.starts_with(&GZIP_MAGIC) {
        read_text_bytes(MultiGzDecoder::new(reader), path, max_expanded).map_err(|error| gzip_error(error, path))?
    } else {
        read_text_bytes(reader, path, u64::MAX)?
    };
    if bytes.is_empty() {
        bail!("{shown} is empty; expected text");
    }
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        anyhow!("{shown} is not UTF-8 text: the byte at offset {offset} (counted from 0) begins no character")
    })
}

/// All bytes of `reader`, looked at as they come: a binary file ends this at its first NUL.
fn read_text_bytes(mut reader: impl Read, path: &Path, max: u64) -> Result<Vec<u8>> {
    let shown = path.display();
    let mut bytes = Vec::new();
    loop {
        let old = bytes.len();
        let read =
            (&mut reader).take(CHUNK as u64).read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
        if read == 0 {
            return Ok(bytes);
        }
        if let Some(nul) = bytes[old..].iter().position(|&byte| byte == 0) {
            bail!("{shown} is binary: a NUL byte at offset {} (counted from 0); expected UTF-8 text", old + nul);
        }
        if bytes.len() as u64 > max {
            bail!("{shown} expands to more than {max} bytes; unpack it and name the plain file if that is meant");
        }
    }
}

/// Says in one sentence what the decoder found; other errors pass as they are.
fn gzip_error(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let shown = path.display();
    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::UnexpectedEof) => {
            anyhow!("{shown} is truncated: its gzip data ends early; copy or download it again")
        }
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => {
            anyhow!("{shown} is corrupt gzip data ({}); copy or download it again", error.root_cause())
        }
        _ => error,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::exit::code;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;
    use std::process::Command;

    /// `text` as a gzip file.
    pub fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Reads a file of these bytes.
    fn read_bytes(bytes: &[u8]) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        fs::write(&path, bytes).unwrap();
        read(&path)
    }

    /// The one line that the user is shown, after checking the exit code and that the file is named.
    fn message(result: Result<String>, exit_code: u8) -> String {
        let error = result.unwrap_err();
        let line = format!("{error:#}");
        assert_eq!(code(&error), exit_code, "{line}");
        assert!(line.contains("input.txt") && !line.contains('\n'), "{line}");
        line
    }

    #[test]
    fn plain_and_gzipped_text_are_the_same() {
        let text = "ein schöner Tag\n".repeat(50_000);
        let (first, second) = text.split_at(400_000);
        let members = [gzip(first.as_bytes()), gzip(second.as_bytes())].concat();
        assert_eq!(read_bytes(text.as_bytes()).unwrap(), text);
        assert_eq!(read_bytes(&members).unwrap(), text);
    }

    #[test]
    fn contents_that_are_no_text() {
        assert!(message(read_bytes(b""), 1).contains("empty"));
        assert!(message(read_bytes(&gzip(b"")), 1).contains("empty"));
        assert!(message(read_bytes(b"ab\0c"), 1).contains("NUL byte at offset 2"));
        assert!(message(read_bytes(b"ab\xffc"), 1).contains("offset 2"));
        assert!(message(read_bytes(&gzip(&[b'x'; 9])[..20]), 1).contains("truncated"));
        let mut damaged = gzip(b"some text, some more text");
        let checksum = damaged.len() - 8;
        damaged[checksum] ^= 1;
        assert!(message(read_bytes(&damaged), 1).contains("corrupt"));
        assert!(message(read_bytes(&[0x1f, 0x8b]), 1).contains("truncated"));
        let file = tempfile::NamedTempFile::new().unwrap();
        for (bytes, expected) in
            [(gzip(b" \n [1]"), Some(b'[')), (b"\xef\xbb\xbf{}".to_vec(), Some(b'{')), (vec![], None)]
        {
            fs::write(file.path(), bytes).unwrap();
            assert_eq!(first_sign(file.path()).unwrap(), expected);
        }
    }

    #[test]
    fn what_gzip_expands_to_is_capped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        fs::write(&path, gzip(&vec![b'x'; 2 * CHUNK])).unwrap();
        assert!(message(read_file(&path, CHUNK as u64), 1).contains("expands to more than"));
        assert!(read_file(&path, 2 * CHUNK as u64).is_ok());
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        assert!(message(read(&path), 2).contains("no such file"));
        assert!(message(read(&folder.path().join("input.txt*")), 2).contains("no file matches"));
        assert!(message(read(&folder.path().join("input.txt***")), 2).contains("valid glob"));
        fs::create_dir(&path).unwrap();
        assert!(message(read(&path), 2).contains("directory"));
        fs::remove_dir(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(message(read(&path), 2).contains("FIFO"));
    }

    #[test]
    fn a_glob_is_joined_in_order_of_name() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b.txt", "two"), ("a.txt", "one "), (".c.txt", "hidden"), ("[d].txt", "brackets")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        assert_eq!(read(&folder.path().join("[ab].txt")).unwrap(), "one two");
        assert_eq!(read(&folder.path().join("?.txt")).unwrap(), "one two");
        assert_eq!(read(&folder.path().join("[d].txt")).unwrap(), "brackets", "a file's own name comes first");
        assert_eq!(resolve(&folder.path().join("*")).unwrap().len(), 3);
    }
}
