//! Token files: a header, the ids, and what the rows stand for.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `synthtok` |
//! | 4 | version, 1 |
//! | 4 | bytes of an id: 1, 2 or 4 |
//! | 8 | number of ids |
//! | 8 | number of measured rows |
//! | 32 | the key: SHA-256 of what the ids follow from |
//!
//! Then the ids, then two numbers of 4 bytes for each measured row: bytes, words. All little endian.

use super::measure::Measure;
use super::storage::Storage;
use super::{Tokens, Width};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

const MAGIC: &[u8; 8] = b"synthtok";
const VERSION: u32 = 1;
/// Bytes of the header.
pub(super) const HEADER: usize = 64;
/// Bytes of a measured row.
const MEASURE: usize = 8;

/// What identifies the ids of a file.
pub(super) type Key = [u8; 32];

/// Where the file of a key lies.
pub(super) fn path(folder: &Path, key: &Key) -> PathBuf {
    folder.join(format!("{}.tok", crate::data::hash::hex(key)))
}

/// Opens the file of a key.
///
/// # Errors
/// A file that is not what it should be.
pub(super) fn open(path: &Path, key: &Key, vocabulary: u32) -> Result<Tokens> {
    ensure!(fs::metadata(path)?.is_file(), "it is no regular file");
    let file = File::open(path)?;
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).context("it has no header")?;
    let width = Width::of(vocabulary);
    let number = |place: usize| header[place..place + 8].iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
    let (count, rows) = (number(16), number(24));
    ensure!(header == self::header(width, count, rows, key), "its header is another's");
    let expected = count.checked_mul(width as u64).and_then(|ids| ids.checked_add(rows.checked_mul(MEASURE as u64)?));
    let bytes = file.metadata()?.len() - HEADER as u64;
    ensure!(Some(bytes) == expected, "it holds {bytes} bytes, expected {count} ids and {rows} rows");
    let mut measures = vec![0; rows as usize * MEASURE];
    file.read_exact_at(&mut measures, HEADER as u64 + count * width as u64)?;
    let measures = measures.as_chunks::<MEASURE>().0.iter().map(Measure::from_bytes).collect();
    let storage = Storage::File { file, path: path.into(), offset: HEADER as u64 };
    Ok(Tokens { storage, width, count, vocabulary, measures })
}

/// Finishes a file that holds the ids, and gives it its name.
///
/// # Errors
/// What the file system reports.
pub(super) fn finish(
    mut file: NamedTempFile,
    path: &Path,
    key: &Key,
    (width, count): (Width, u64),
    measures: &[Measure],
) -> Result<()> {
    let bytes: Vec<u8> = measures.iter().flat_map(|measure| measure.to_bytes()).collect();
    let finished = file.seek(SeekFrom::End(0)).and_then(|_| {
        file.write_all(&bytes)?;
        file.as_file().write_all_at(&header(width, count, measures.len() as u64, key), 0)?;
        file.as_file().sync_all()
    });
    finished.with_context(|| format!("cannot write {}", path.display()))?;
    file.persist(path).map_err(|error| error.error).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

fn header(width: Width, count: u64, rows: u64, key: &Key) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&(width as u32).to_le_bytes());
    header[16..24].copy_from_slice(&count.to_le_bytes());
    header[24..32].copy_from_slice(&rows.to_le_bytes());
    header[32..].copy_from_slice(key);
    header
}
