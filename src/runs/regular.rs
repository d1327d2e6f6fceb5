//! Reading files that lie in a run's folder. They are regular files; anything else there is a mistake.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// The bytes of the regular file at `path`.
///
/// # Errors
/// What the file system reports; a folder, a FIFO or a device.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    // Before opening: that would wait for the writer of a FIFO.
    if !fs::metadata(path)?.is_file() {
        return Err(Error::new(ErrorKind::InvalidInput, "it is no regular file"));
    }
    fs::read(path)
}

/// The text of the regular file at `path`.
///
/// # Errors
/// Those of [`read`]; bytes that are not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).map_err(|_| Error::new(ErrorKind::InvalidData, "it is no text in UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::NotFound);
        fs::write(&path, "text").unwrap();
        assert_eq!(read_text(&path).unwrap(), "text");
        fs::write(&path, [0xff]).unwrap();
        assert!(read_text(&path).unwrap_err().to_string().contains("UTF-8"));
        fs::remove_file(&path).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        for other in [&path, folder.path()] {
            assert_eq!(read(other).unwrap_err().to_string(), "it is no regular file");
        }
    }
}
