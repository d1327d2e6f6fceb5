//! SHA-256 in hexadecimal, as cards and `environment.json` store it.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The SHA-256 of `bytes`: 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The SHA-256 of a file, read piece by piece.
///
/// # Errors
/// A file that cannot be read.
pub fn sha256_file(path: &Path) -> Result<String> {
    sha256_file_with(path, |_| {})
}

/// As [`sha256_file`], telling `on_piece` the bytes of each piece, for a progress bar.
///
/// # Errors
/// A file that cannot be read.
pub fn sha256_file_with(path: &Path, mut on_piece: impl FnMut(u64)) -> Result<String> {
    let mut hash = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; 1 << 18];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hex(&hash.finalize())),
                count => {
                    on_piece(count as u64);
                    hash.update(&chunk[..count]);
                }
            }
        }
    };
    hash().with_context(|| format!("cannot read {}", path.display()))
}

/// Two lower-case hexadecimal digits per byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of so many names one goes to validation, and one to test.
const NAMES_PER_SPLIT: u32 = 25;

/// The index in [`SPLITS`](super::card::SPLITS) of all that bears a name, so that no two parts of it are in different
/// splits.
pub fn split_of_name(name: &str) -> usize {
    // The digest as one number, big endian, modulo the number of parts.
    let digest = Sha256::digest(name);
    match digest.iter().fold(0, |rest, &byte| (rest * 256 + u32::from(byte)) % NAMES_PER_SPLIT) {
        0 => 1,
        1 => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of FIPS 180-2, appendix B.1.
    #[test]
    fn the_standard_example() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), expected);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(sha256_file(file.path()).unwrap(), expected);
    }

    #[test]
    fn about_one_name_in_25_is_for_validation_and_for_test() {
        let mut counts = [0; 3];
        for number in 0..2500 {
            counts[split_of_name(&format!("crate-{number}"))] += 1;
        }
        assert!((60..140).contains(&counts[1]) && (60..140).contains(&counts[2]), "{counts:?}");
        // By Python: int(hashlib.sha256(name).hexdigest(), 16) % 25 is 23, 0, 0, 1, 1.
        let names = ["anyhow", "indexmap", "strsim", "hashbrown", "crypto-common"];
        assert_eq!(names.map(split_of_name), [0, 1, 1, 2, 2]);
    }
}
