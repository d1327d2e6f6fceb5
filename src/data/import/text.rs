//! Running text: files joined, or one file cut.

use crate::data::card::{CardSplits, SPLITS};
use crate::data::record::TextWriter;
use crate::data::source::{Lines, ReadOptions};
use crate::data::text::cut_place;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// Joins the files of each split; a file starts a new line.
///
/// # Errors
/// Files that hold no text; a disk that is full.
pub(super) fn join(
    files: &[(String, PathBuf)],
    folder: &Path,
    options: &ReadOptions,
    mut on_line: impl FnMut(),
) -> Result<CardSplits> {
    let mut splits = CardSplits::default();
    let mut names: Vec<&String> = files.iter().map(|(split, _)| split).collect();
    names.sort();
    names.dedup();
    for name in names {
        let mut writer = TextWriter::create(folder, name)?;
        let mut count = 0;
        for (_, path) in files.iter().filter(|(split, _)| split == name) {
            writer.end_line()?;
            copy(path, options, |text| {
                on_line();
                writer.write(text)
            })?;
            count += 1;
        }
        splits.insert(name, writer.finish(count)?);
    }
    Ok(splits)
}

/// Gives a file's lines with their ends, which are all LF; one at the end only where the file has one.
fn copy(path: &Path, options: &ReadOptions, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let mut lines = Lines::open_with(path, options)?;
    let mut line = String::new();
    let mut empty = true;
    while lines.read(&mut line)? {
        if lines.ended() {
            line.push('\n');
        }
        empty = false;
        take(&line)?;
    }
    if empty {
        bail!("{} is empty; expected text", path.display());
    }
    Ok(())
}

/// Cuts one file before the characters floor(cumulative share × characters), as `data.split` does, in two passes.
///
/// # Errors
/// A file that holds no text or too little; a disk that is full.
pub(super) fn cut(
    path: &Path,
    shares: &[f64],
    folder: &Path,
    options: &ReadOptions,
    mut on_line: impl FnMut(),
) -> Result<CardSplits> {
    let mut characters = 0;
    copy(path, options, |text| {
        on_line();
        characters += text.chars().count() as u64;
        Ok(())
    })?;
    let ends: Vec<u64> =
        (1..shares.len()).map(|count| cut_place(&shares[..count], characters)).chain([characters]).collect();
    let starts = [0].into_iter().chain(ends.iter().copied());
    if let Some(index) = starts.zip(&ends).position(|(start, &end)| start == end) {
        bail!(
            "{}: the shares {shares:?} leave nothing of {characters} characters to {}; use more text",
            path.display(),
            SPLITS[index]
        );
    }
    write_parts(path, &ends, folder, options, on_line).with_context(|| path.display().to_string())
}

fn write_parts(
    path: &Path,
    ends: &[u64],
    folder: &Path,
    options: &ReadOptions,
    mut on_line: impl FnMut(),
) -> Result<CardSplits> {
    let mut writers = Vec::new();
    for split in SPLITS.iter().take(ends.len()) {
        writers.push(TextWriter::create(folder, split)?);
    }
    let (mut part, mut place) = (0, 0);
    copy(path, options, |mut text| {
        on_line();
        loop {
            let left = ends[part] - place;
            match text.char_indices().nth(left as usize) {
                Some((offset, _)) => {
                    writers[part].write(&text[..offset])?;
                    text = &text[offset..];
                    place = ends[part];
                    part += 1;
                }
                None => {
                    place += text.chars().count() as u64;
                    return writers[part].write(text);
                }
            }
        }
    })?;
    let mut splits = CardSplits::default();
    for (split, writer) in SPLITS.iter().zip(writers) {
        splits.insert(split, writer.finish(1)?);
    }
    Ok(splits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn parts(text: &str, shares: &[f64]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input");
        fs::write(&path, text).unwrap();
        let splits = cut(&path, shares, folder.path(), &ReadOptions::default(), || {})?;
        Ok(splits
            .names()
            .iter()
            .map(|name| fs::read_to_string(folder.path().join(format!("{name}.txt"))).unwrap())
            .collect())
    }

    #[test]
    fn a_cut_falls_on_the_floor_of_the_cumulative_share() {
        assert_eq!(parts("abcd\nfghij", &[0.9, 0.1]).unwrap(), ["abcd\nfghi", "j"]);
        assert_eq!(parts("ab\ndef\n\nij", &[0.7, 0.2, 0.1]).unwrap(), ["ab\ndef\n", "\ni", "j"]);
        assert_eq!(parts("äöüßé", &[0.4, 0.4, 0.2]).unwrap(), ["äö", "üß", "é"]);
        assert_eq!(parts("ab\r\ncd\r\n", &[0.5, 0.5]).unwrap(), ["ab\n", "cd\n"]);
        assert_eq!(parts("abcdef", &[0.2, 0.2, 0.6]).unwrap(), ["a", "b", "cdef"]);
        let message = parts("abc", &[0.9, 0.05, 0.05]).unwrap_err().to_string();
        assert!(message.contains("leave nothing of 3 characters to validation"), "{message}");
        assert!(parts("", &[0.5, 0.5]).unwrap_err().to_string().contains("is empty"));
    }

    #[test]
    fn joined_files_start_new_lines() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<(String, PathBuf)> = [("train", "a", "one"), ("test", "b", "x\n"), ("train", "c", "two\r\n")]
            .map(|(split, name, text)| {
                let path = folder.path().join(name);
                fs::write(&path, text).unwrap();
                (split.to_string(), path)
            })
            .to_vec();
        let splits = join(&files, folder.path(), &ReadOptions::default(), || {}).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("train.txt")).unwrap(), "one\ntwo\n");
        let train = splits.get("train").unwrap();
        assert_eq!((train.files, train.records, train.bytes), (2, 2, 8));
        assert_eq!(splits.names(), ["train", "test"]);
    }
}
