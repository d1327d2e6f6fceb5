//! What a user names to be read once, from start to end: a file, a pipe or stdin.

use super::stream::{self, Bytes};
use crate::{refusal, refuse};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// What messages call `path`.
pub fn input_name(path: &Path) -> String {
    if is_stdin(path) { "stdin".to_string() } else { path.display().to_string() }
}

/// Whether `path` stands for stdin.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens a file, a pipe, or stdin where the path is `-`, unpacked where it is gzipped, without a byte order mark.
/// `progress` counts the bytes that are taken before they are unpacked.
///
/// # Errors
/// Refusals: nothing there, a folder, or a file that may not be read.
pub fn open_input(path: &Path, progress: &Arc<AtomicU64>) -> Result<Bytes> {
    let opened = if is_stdin(path) {
        stream::unpacked(io::stdin(), progress)
    } else {
        check_input(path)?;
        stream::unpacked(
            File::open(path).map_err(|error| refusal!("cannot read {}: {error}", path.display()))?,
            progress,
        )
    };
    opened.with_context(|| format!("cannot read {}", input_name(path)))
}

/// Refuses what is not there or a folder.
///
/// # Errors
/// The refusals.
pub fn check_input(path: &Path) -> Result<()> {
    let shown = path.display();
    match fs::metadata(path) {
        _ if is_stdin(path) => Ok(()),
        Ok(metadata) if metadata.is_dir() => refuse!("{shown} is a directory; expected a text file"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            refuse!("no such file: {shown}; expected a text file, or - for stdin")
        }
        Err(error) => refuse!("cannot read {shown}: {error}"),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::gzip;
    use super::*;
    use crate::exit::code;
    use std::io::{Read, Write};
    use std::process::Command;

    /// What is read of these bytes through a pipe that gives the first byte by itself.
    fn piped(bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let mut text = String::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut pipe = File::create(&path).unwrap();
                let (first, rest) = bytes.split_at(1);
                pipe.write_all(first).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(50));
                pipe.write_all(rest).unwrap();
            });
            open_input(&path, &Arc::default()).unwrap().read_to_string(&mut text).unwrap();
        });
        text
    }

    #[test]
    fn pipes_are_unpacked_too() {
        assert_eq!(piped("a\nß".as_bytes()), "a\nß");
        assert_eq!(piped(b"\xef\xbb\xbfa"), "a");
        assert_eq!(piped(&gzip(b"\xef\xbb\xbfa\n")), "a\n");
    }

    /// As a terminal after the end that was typed.
    struct Typed(Vec<&'static [u8]>);

    impl Read for Typed {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let part = self.0.remove(0);
            buffer[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }
    }

    #[test]
    fn an_end_is_typed_once() {
        for (typed, expected) in [(vec![b"".as_slice()], ""), (vec![b"a", b""], "a")] {
            let mut text = String::new();
            stream::unpacked(Typed(typed), &Arc::default()).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (path, said) in [(folder.path().to_path_buf(), "directory"), (folder.path().join("a"), "no such file")] {
            let error = open_input(&path, &Arc::default()).err().unwrap();
            assert!(error.to_string().contains(said) && code(&error) == 2, "{error}");
        }
        assert_eq!((input_name(Path::new("-")), input_name(Path::new("a-"))), ("stdin".into(), "a-".into()));
    }
}
