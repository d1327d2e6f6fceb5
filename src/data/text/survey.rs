//! The first pass over a text: what it is, and where it is cut.

use super::field::{FieldReader, RecordField};
use super::stream::Stream;
use super::{Form, Text};
use crate::data::hash::hex;
use crate::terminal::LateBar;
use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The shares into which a text is cut, and the names of the parts.
pub struct CutShares<'a> {
    /// They have the sum 1.
    pub shares: &'a [f64],
    /// A name for each.
    pub names: &'a [&'a str],
}

/// A whole text of these files, read once for its size and its hash.
///
/// # Errors
/// Files that hold no text.
pub fn survey_files(files: Vec<PathBuf>) -> Result<Text> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    read(&files, |text| {
        hash.update(text);
        bytes += text.len() as u64;
    })?;
    Ok(Text { files, form: Form::Running, range: 0..bytes, sha256: hex(&hash.finalize()) })
}

/// One field of the records of a file, read once for the size and the hash of what is taken.
///
/// # Errors
/// Records that cannot be read, or none that has the field.
pub fn survey_records(file: &Path, field: RecordField) -> Result<Text> {
    let progress = Arc::new(AtomicU64::new(0));
    let mut bar = LateBar::bytes("reading", std::fs::metadata(file).map_or(0, |metadata| metadata.len()));
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut records = FieldReader::open(file, &field, &progress)?;
    while let Some((_, line)) = records.next()? {
        hash.update(&line);
        bytes += line.len() as u64;
        bar.set(progress.load(Ordering::Relaxed));
    }
    ensure!(bytes > 0, "{}: no record has the field {:?} (data.field)", file.display(), field.name);
    let (files, sha256) = (vec![file.into()], hex(&hash.finalize()));
    Ok(Text { files, form: Form::Records(field), range: 0..bytes, sha256 })
}

/// The parts of a text that is cut before the characters floor(cumulative share × characters).
///
/// # Errors
/// Files that hold no text; a part without any.
pub fn survey_shares(files: &[PathBuf], cut: &CutShares<'_>) -> Result<Vec<Text>> {
    let mut characters = 0;
    read(files, |text| characters += text.chars().count() as u64)?;
    let places: Vec<u64> = (1..=cut.shares.len()).map(|parts| cut_place(&cut.shares[..parts], characters)).collect();
    let mut parts: Vec<(Sha256, u64)> = vec![(Sha256::new(), 0); places.len()];
    let (mut part, mut done) = (0, 0);
    read(files, |mut text| {
        while !text.is_empty() {
            // The last part takes what is left.
            let left = if part + 1 < places.len() { places[part] - done } else { u64::MAX };
            let (end, count) = take(text, left);
            parts[part].0.update(&text[..end]);
            parts[part].1 += end as u64;
            (done, text) = (done + count, &text[end..]);
            if !text.is_empty() {
                part += 1;
            }
        }
    })?;
    let mut begin = 0;
    let texts = parts.into_iter().zip(cut.names).map(|((hash, bytes), name)| {
        if bytes == 0 {
            let shares = cut.shares;
            bail!("data.split {shares:?} leaves nothing of {characters} characters to {name}; use more text");
        }
        let range = begin..begin + bytes;
        begin = range.end;
        Ok(Text { files: files.to_vec(), form: Form::Running, range, sha256: hex(&hash.finalize()) })
    });
    texts.collect()
}

/// The character before which parts of these shares end.
pub fn cut_place(shares: &[f64], characters: u64) -> u64 {
    let share: f64 = shares.iter().sum();
    // The addend makes up for sums such as 0.7 + 0.2 = 0.8999….
    ((share * characters as f64 + 1e-6).floor() as u64).min(characters)
}

/// Where the first `most` characters of `text` end, and how many these are.
fn take(text: &str, most: u64) -> (usize, u64) {
    if text.len() as u64 <= most {
        return (text.len(), text.chars().count() as u64);
    }
    match text.char_indices().nth(most as usize) {
        Some((end, _)) => (end, most),
        None => (text.len(), text.chars().count() as u64),
    }
}

/// Gives all text of the files to `take`, and shows how far it is.
fn read(files: &[PathBuf], mut take: impl FnMut(&str)) -> Result<()> {
    let progress = Arc::new(AtomicU64::new(0));
    let total = files.iter().filter_map(|file| std::fs::metadata(file).ok()).map(|metadata| metadata.len()).sum();
    let mut bar = LateBar::bytes("reading", total);
    let (mut stream, mut text) = (Stream::new(files, 0..u64::MAX, &progress), String::new());
    while stream.append(&mut text)? {
        take(&text);
        text.clear();
        bar.set(progress.load(Ordering::Relaxed));
    }
    Ok(())
}
