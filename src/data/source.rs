//! Text from files, plain or gzipped, named by a path or a glob, streamed in lines, JSON objects or rows of a table.

mod input;
mod json;
mod lines;
pub mod parquet;
mod stream;
mod table;

pub use input::{check_input, input_name, is_stdin, open_input};
pub use json::{JsonLines, json_array};
pub use lines::Lines;
pub use stream::{Bytes, Encoding, ReadOptions};
pub use table::{Dialect, Table};

pub(in crate::data) use stream::open;

use crate::{refusal, refuse};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

    /// The one line that the user is shown of a refusal, after checking that the file is named.
    fn refused(path: &Path) -> String {
        let error = resolve(path).unwrap_err();
        let line = format!("{error:#}");
        assert_eq!(code(&error), 2, "{line}");
        assert!(line.contains("input.txt") && !line.contains('\n'), "{line}");
        line
    }

    #[test]
    fn the_first_sign_is_no_white_space() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (bytes, expected) in
            [(gzip(b" \n [1]"), Some(b'[')), (b"\xef\xbb\xbf{}".to_vec(), Some(b'{')), (vec![], None)]
        {
            fs::write(file.path(), bytes).unwrap();
            assert_eq!(first_sign(file.path()).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.txt");
        assert!(refused(&path).contains("no such file"));
        assert!(refused(&folder.path().join("input.txt*")).contains("no file matches"));
        assert!(refused(&folder.path().join("input.txt***")).contains("valid glob"));
        fs::create_dir(&path).unwrap();
        assert!(refused(&path).contains("directory"));
        fs::remove_dir(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(refused(&path).contains("FIFO"));
    }

    #[test]
    fn a_glob_names_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.txt", "a.txt", ".c.txt", "[d].txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| {
            let files = resolve(&folder.path().join(pattern)).unwrap();
            files.iter().map(|file| file.file_name().unwrap().to_str().unwrap().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("[ab].txt"), ["a.txt", "b.txt"]);
        assert_eq!(names("?.txt"), ["a.txt", "b.txt"]);
        assert_eq!(names("[d].txt"), ["[d].txt"], "a file's own name comes first");
        assert_eq!(names("*").len(), 3);
    }
}
