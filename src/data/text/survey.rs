//! The first pass over a text: what it is, and where it is cut.

use super::field::{RecordField, Taken, line};
use super::stream::Stream;
use super::{Form, Text};
use crate::data::hash::hex;
use crate::data::record::{Record, RecordReader, Shape};
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
    survey_lines(files).map(|(text, _)| text)
}

/// As [`survey_files`], with the number of lines: a last one without a line feed is one, too.
///
/// # Errors
/// As there.
pub fn survey_lines(files: Vec<PathBuf>) -> Result<(Text, u64)> {
    let (mut hash, mut bytes, mut lines, mut open) = (Sha256::new(), 0, 0, false);
    read(&files, |text| {
        hash.update(text);
        bytes += text.len() as u64;
        lines += text.bytes().filter(|&byte| byte == b'\n').count() as u64;
        open = text.as_bytes().last().map_or(open, |&last| last != b'\n');
    })?;
    let text = Text { files, form: Form::Running, range: 0..bytes, sha256: hex(&hash.finalize()) };
    Ok((text, lines + u64::from(open)))
}

/// One field of the records of a file, read once for the size and the hash of what is taken.
///
/// # Errors
/// Records that cannot be read, or none that has the field.
pub fn survey_records(file: &Path, field: RecordField) -> Result<Text> {
    let name = field.name.clone();
    let [text] = survey_fields(file, [field], |_| Ok(()))?;
    ensure!(text.bytes() > 0, "{}: no record has the field {name:?} (data.field)", file.display());
    Ok(text)
}

/// Several fields of the records of a file, in one pass; each record is shown to `look`.
///
/// # Errors
/// Records that cannot be read; those of `look`.
pub fn survey_fields<const N: usize>(
    file: &Path,
    fields: [RecordField; N],
    mut look: impl FnMut(&Record) -> Result<()>,
) -> Result<[Text; N]> {
    let progress = Arc::new(AtomicU64::new(0));
    let mut bar = LateBar::bytes("reading", std::fs::metadata(file).map_or(0, |metadata| metadata.len()));
    let shape = fields.first().map_or(Shape::Text, |field| field.shape);
    let taken = fields.each_ref().map(Taken::new);
    let mut sums: [(Sha256, u64); N] = std::array::from_fn(|_| (Sha256::new(), 0));
    for record in RecordReader::open_counted(file, shape, &progress)? {
        let record = record?;
        look(&record)?;
        for (taken, (hash, bytes)) in taken.iter().zip(&mut sums) {
            if let Some(text) = taken.of(&record) {
                let line = line(&text)?;
                hash.update(&line);
                *bytes += line.len() as u64;
            }
        }
        bar.set(progress.load(Ordering::Relaxed));
    }
    let mut sums = sums.into_iter();
    Ok(fields.map(|field| {
        let (hash, bytes) = sums.next().unwrap_or_default();
        Text { files: vec![file.into()], form: Form::Records(field), range: 0..bytes, sha256: hex(&hash.finalize()) }
    }))
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
