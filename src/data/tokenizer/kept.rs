//! A tokenizer with what is stored of it, and the folder in which trained ones are kept for other runs.

use super::{Special, Tokenizer};
use crate::data::hash::{hex, sha256_hex};
use crate::data::options::{TokenizerKind, TokenizerOptions};
use crate::data::text::Text;
use crate::runs::{atomic, regular};
use crate::terminal::LateBar;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tokenizer and its `tokenizer.json`.
#[derive(Clone)]
pub struct StoredTokenizer {
    /// What cuts text.
    pub tokenizer: Tokenizer,
    /// The content of `tokenizer.json`.
    pub json: String,
    /// SHA-256 of that, in hexadecimal.
    pub sha256: String,
}

impl StoredTokenizer {
    /// From the content of a `tokenizer.json`.
    ///
    /// # Errors
    /// Another content. The message does not know the file: the caller names it.
    pub fn read(json: String) -> Result<Self> {
        Ok(Self { tokenizer: Tokenizer::from_json(&json)?, sha256: sha256_hex(json.as_bytes()), json })
    }

    /// From a tokenizer.
    ///
    /// # Errors
    /// None that a tokenizer can cause.
    pub fn of(tokenizer: Tokenizer) -> Result<Self> {
        let json = tokenizer.to_json()?;
        Ok(Self { tokenizer, sha256: sha256_hex(json.as_bytes()), json })
    }

    /// The tokenizer that `options` describe, for a model that learns from `text`. One that was trained before, for
    /// another run say, is taken from `folder`; one that has to be trained is kept there. Cells of a sweep so have the
    /// same, whatever its kind.
    ///
    /// # Errors
    /// A text that cannot be read, or from which nothing can be learned.
    pub fn prepare(options: &TokenizerOptions, special: &[Special], text: &Text, folder: &Path) -> Result<Self> {
        if matches!(options.kind, TokenizerKind::Byte | TokenizerKind::Char) {
            return Self::of(train(options, special, text)?);
        }
        let path = path(options, special, text, folder)?;
        if path.exists() {
            match regular::read_text(&path).map_err(anyhow::Error::from).and_then(Self::read) {
                Ok(known) => return Ok(known),
                Err(error) => {
                    tracing::warn!("{} is damaged ({error:#}): it is made anew", path.display());
                    // At once: what lies there after the training is another process's, and whole.
                    let _ = fs::remove_file(&path);
                }
            }
        }
        let trained = Self::of(train(options, special, text)?)?;
        Ok(trained.keep(&path).unwrap_or_else(|error| {
            tracing::warn!("the tokenizer is not kept for other runs: {error:#}");
            trained
        }))
    }

    /// Puts it at `path`, and answers what lies there then: that of a process which was faster, maybe.
    fn keep(&self, path: &Path) -> Result<Self> {
        path.parent().map(fs::create_dir_all).transpose()?;
        atomic::write_new(path, self.json.as_bytes())?;
        Self::read(regular::read_text(path)?)
    }
}

/// Where the tokenizer of these options and this text is kept.
fn path(options: &TokenizerOptions, special: &[Special], text: &Text, folder: &Path) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    // Another way to train is another number here.
    hash.update("2\n");
    hash.update(serde_json::to_string(&(options, special, &text.sha256)).context("the tokenizer's options")?);
    Ok(folder.join(format!("{}.tokenizer.json", hex(&hash.finalize()))))
}

fn train(options: &TokenizerOptions, special: &[Special], text: &Text) -> Result<Tokenizer> {
    if options.kind == TokenizerKind::Byte {
        return Tokenizer::train(options, special, std::iter::empty());
    }
    // Characters are those of the whole split: to look at each costs little.
    let whole = options.kind == TokenizerKind::Char;
    let bytes = if whole { u64::MAX } else { options.sample_bytes };
    if !whole {
        let megabytes = text.bytes().min(bytes) as f64 / 1e6;
        let name = serde_json::to_value(options.kind)?;
        tracing::info!("training a {} tokenizer on {megabytes:.1} MB of the train split", name.as_str().unwrap_or(""));
    }
    let progress = Arc::new(AtomicU64::new(0));
    let mut bar = LateBar::bytes("reading", text.bytes_on_disk());
    let pieces = text.sample(bytes, &progress)?;
    let read = progress.clone();
    let pieces = pieces.inspect(move |_| bar.set(read.load(Ordering::Relaxed)));
    Tokenizer::train(options, special, pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::text::survey_files;

    #[test]
    fn the_first_that_is_kept_is_everyones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept/x.tokenizer.json");
        let of = |text: &str| {
            let options = TokenizerOptions { kind: TokenizerKind::Char, ..Default::default() };
            StoredTokenizer::of(Tokenizer::of_text(&options, text).unwrap()).unwrap()
        };
        let (first, second) = (of("ab"), of("cd"));
        assert_eq!(first.keep(&path).unwrap().json, first.json);
        assert_eq!(second.keep(&path).unwrap().sha256, first.sha256);
    }

    #[test]
    fn what_was_trained_once_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (file, kept) = (folder.path().join("text.txt"), folder.path().join("kept"));
        fs::write(&file, "some words and some more words ".repeat(50)).unwrap();
        let text = survey_files(vec![file.clone()]).unwrap();
        for kind in [TokenizerKind::Unigram, TokenizerKind::Bpe, TokenizerKind::Word] {
            let options = TokenizerOptions { kind, ..Default::default() };
            let prepare = |options: &TokenizerOptions, special: &[Special]| {
                StoredTokenizer::prepare(options, special, &text, &kept).unwrap()
            };
            let files = || fs::read_dir(&kept).into_iter().flatten().count();
            let before = files();
            let first = prepare(&options, &[]);
            assert_eq!(files(), before + 1);
            assert_eq!((&prepare(&options, &[]).json, files()), (&first.json, before + 1));
            assert_eq!(first.sha256, StoredTokenizer::read(first.json.clone()).unwrap().sha256);
            // Other options, another tokenizer; a damaged file is made anew.
            prepare(&TokenizerOptions { vocab_size: Some(300), ..options.clone() }, &[]);
            prepare(&options, &[Special::End]);
            assert_eq!(files(), before + 3);
            fs::write(path(&options, &[], &text, &kept).unwrap(), "{").unwrap();
            assert_eq!(prepare(&options, &[]).tokenizer.kind(), kind);
        }
        let options = TokenizerOptions { kind: TokenizerKind::Char, ..Default::default() };
        let nowhere = folder.path().join("none");
        StoredTokenizer::prepare(&options, &[], &text, &nowhere).unwrap();
        assert!(!nowhere.exists());
    }
}
