//! A tokenizer with what is stored of it, and the folder in which trained ones are kept for other runs.

use super::{Special, Tokenizer, Tokenizers};
use crate::data::hash::{hex, sha256_hex};
use crate::data::options::{TokenizerKind, TokenizerOptions};
use crate::data::text::Text;
use crate::runs::{atomic, regular};
use crate::terminal::LateBar;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What text is cut with, and its `tokenizer.json`.
#[derive(Clone)]
pub struct StoredTokenizer {
    /// One tokenizer, or one for sources and one for targets.
    pub tokenizers: Tokenizers,
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
        Ok(Self { tokenizers: Tokenizers::from_json(&json)?, sha256: sha256_hex(json.as_bytes()), json })
    }

    /// From tokenizers.
    ///
    /// # Errors
    /// None that a tokenizer can cause.
    pub fn of(tokenizers: Tokenizers) -> Result<Self> {
        let json = tokenizers.to_json()?;
        Ok(Self { tokenizers, sha256: sha256_hex(json.as_bytes()), json })
    }

    /// The one tokenizer.
    ///
    /// # Errors
    /// There is one for sources and one for targets.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        match &self.tokenizers {
            Tokenizers::Joint(tokenizer) => Ok(tokenizer),
            Tokenizers::Separate { .. } => {
                bail!("tokenizer.json has one vocabulary for sources and one for targets; expected one for all text")
            }
        }
    }

    /// Compares with `tokenizer.joint`: whether sources and targets have one vocabulary.
    ///
    /// # Errors
    /// It is not so.
    pub fn check_joint(&self, joint: bool) -> Result<()> {
        let (found, expected) = match (&self.tokenizers, joint) {
            (Tokenizers::Joint(_), true) | (Tokenizers::Separate { .. }, false) => return Ok(()),
            (Tokenizers::Joint(_), false) => ("one vocabulary for sources and targets", "one for each"),
            (Tokenizers::Separate { .. }, true) => ("a vocabulary for sources and one for targets", "one for both"),
        };
        bail!("tokenizer.json has {found}; expected {expected}, as tokenizer.joint = {joint}")
    }

    /// The tokenizer that `options` describe, for a model that learns from `text`. One that was trained before, for
    /// another run say, is taken from `folder`; one that has to be trained is kept there. Cells of a sweep so have the
    /// same, whatever its kind.
    ///
    /// # Errors
    /// A text that cannot be read, or from which nothing can be learned.
    pub fn prepare(options: &TokenizerOptions, special: &[Special], text: &Text, folder: &Path) -> Result<Self> {
        prepare(&Lesson { options, special, texts: Texts::One(text) }, folder)
    }

    /// As [`prepare`](Self::prepare), for a model that learns from pairs: one tokenizer for both sides, or one for each, as
    /// `options` say.
    ///
    /// # Errors
    /// As there.
    pub fn prepare_pair(
        options: &TokenizerOptions,
        special: &[Special],
        (source, target): (&Text, &Text),
        folder: &Path,
    ) -> Result<Self> {
        prepare(&Lesson { options, special, texts: Texts::Pair(source, target) }, folder)
    }

    /// Puts it at `path`, and answers what lies there then: that of a process which was faster, maybe.
    fn keep(&self, path: &Path) -> Result<Self> {
        path.parent().map(fs::create_dir_all).transpose()?;
        atomic::write_new(path, self.json.as_bytes())?;
        Self::read(regular::read_text(path)?)
    }
}

/// What is learned, and from what.
struct Lesson<'a> {
    options: &'a TokenizerOptions,
    special: &'a [Special],
    texts: Texts<'a>,
}

#[derive(Clone, Copy)]
enum Texts<'a> {
    One(&'a Text),
    /// Sources and targets.
    Pair(&'a Text, &'a Text),
}

fn prepare(lesson: &Lesson<'_>, folder: &Path) -> Result<StoredTokenizer> {
    if matches!(lesson.options.kind, TokenizerKind::Byte | TokenizerKind::Char) {
        return StoredTokenizer::of(lesson.train()?);
    }
    let path = lesson.path(folder)?;
    if path.exists() {
        match regular::read_text(&path).map_err(anyhow::Error::from).and_then(|json| lesson.read(json)) {
            Ok(known) => return Ok(known),
            Err(error) => {
                tracing::warn!("{} is damaged ({error:#}): it is made anew", path.display());
                // At once: what lies there after the training is another process's, and whole.
                let _ = fs::remove_file(&path);
            }
        }
    }
    let trained = StoredTokenizer::of(lesson.train()?)?;
    Ok(trained.keep(&path).unwrap_or_else(|error| {
        tracing::warn!("the tokenizer is not kept for other runs: {error:#}");
        trained
    }))
}

impl Lesson<'_> {
    /// A tokenizer that was kept.
    fn read(&self, json: String) -> Result<StoredTokenizer> {
        let known = StoredTokenizer::read(json)?;
        match self.texts {
            Texts::One(_) => known.tokenizer().map(drop)?,
            Texts::Pair(..) => known.check_joint(self.options.joint)?,
        }
        Ok(known)
    }

    /// Where the tokenizer is kept.
    fn path(&self, folder: &Path) -> Result<PathBuf> {
        let mut options = serde_json::to_value(self.options).context("the tokenizer's options")?;
        let texts = match self.texts {
            Texts::One(text) => {
                // It is about pairs.
                options.as_object_mut().and_then(|options| options.shift_remove("joint"));
                Value::from(text.sha256.as_str())
            }
            Texts::Pair(source, target) => Value::from(vec![source.sha256.as_str(), target.sha256.as_str()]),
        };
        let mut hash = Sha256::new();
        // Another way to train is another number here.
        hash.update("2\n");
        hash.update(serde_json::to_string(&(options, self.special, texts)).context("the tokenizer's options")?);
        Ok(folder.join(format!("{}.tokenizer.json", hex(&hash.finalize()))))
    }

    fn train(&self) -> Result<Tokenizers> {
        let (options, special) = (self.options, self.special);
        if options.kind == TokenizerKind::Byte {
            let (sources, targets) = (std::iter::empty(), std::iter::empty());
            let joint = options.joint || matches!(self.texts, Texts::One(_));
            return Tokenizers::train(joint, options, special, sources, targets);
        }
        let shares = self.shares();
        if options.kind != TokenizerKind::Char {
            let megabytes = shares.iter().map(|(text, bytes)| text.bytes().min(*bytes)).sum::<u64>() as f64 / 1e6;
            let name = serde_json::to_value(options.kind)?;
            tracing::info!(
                "training a {} tokenizer on {megabytes:.1} MB of the train split",
                name.as_str().unwrap_or("")
            );
        }
        let total = shares.iter().map(|(text, _)| text.bytes_on_disk()).sum();
        let (progress, bar) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(LateBar::bytes("reading", total))));
        let sample = |(text, bytes): &(&Text, u64)| {
            let (read, bar) = (progress.clone(), bar.clone());
            let pieces = text.sample(*bytes, &progress)?;
            // Nobody else waits for it, and a bar that was left half drawn harms nobody.
            let show = move || bar.lock().unwrap_or_else(PoisonError::into_inner).set(read.load(Ordering::Relaxed));
            anyhow::Ok(pieces.inspect(move |_| show()))
        };
        match &shares[..] {
            [source, target] => Tokenizers::train(options.joint, options, special, sample(source)?, sample(target)?),
            texts => {
                let pieces = texts.iter().map(sample).collect::<Result<Vec<_>>>()?.into_iter().flatten();
                Ok(Tokenizers::Joint(Tokenizer::train(options, special, pieces)?))
            }
        }
    }

    /// The texts, and how many bytes of each are learned from: where both sides have one vocabulary, each has the share that
    /// it has of the whole.
    fn shares(&self) -> Vec<(&Text, u64)> {
        // Characters are those of the whole split: to look at each costs little.
        let whole = self.options.kind == TokenizerKind::Char;
        let bytes = if whole { u64::MAX } else { self.options.sample_bytes };
        match self.texts {
            Texts::One(text) => vec![(text, bytes)],
            Texts::Pair(source, target) if whole || !self.options.joint => vec![(source, bytes), (target, bytes)],
            Texts::Pair(source, target) => {
                let (part, all) = (u128::from(source.bytes()), u128::from(source.bytes()) + u128::from(target.bytes()));
                let of_source = (u128::from(bytes) * part / all.max(1)) as u64;
                vec![(source, of_source.max(1)), (target, (bytes - of_source).max(1))]
            }
        }
    }
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
            StoredTokenizer::of(Tokenizers::Joint(Tokenizer::of_text(&options, text).unwrap())).unwrap()
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
            let lesson = Lesson { options: &options, special: &[], texts: Texts::One(&text) };
            fs::write(lesson.path(&kept).unwrap(), "{").unwrap();
            assert_eq!(prepare(&options, &[]).tokenizer().unwrap().kind(), kind);
        }
        let options = TokenizerOptions { kind: TokenizerKind::Char, ..Default::default() };
        let nowhere = folder.path().join("none");
        StoredTokenizer::prepare(&options, &[], &text, &nowhere).unwrap();
        assert!(!nowhere.exists());
    }

    /// As it was before there were pairs: tokenizers that are kept stay of use.
    #[test]
    fn the_place_of_a_texts_tokenizer_stays_what_it_was() {
        let (folder, options) = (Path::new(""), TokenizerOptions::default());
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        let text = survey_files(vec![file.path().into()]).unwrap();
        let expected = format!(
            "2\n[{{\"kind\":\"bpe\",\"sample_bytes\":100000000,\"min_frequency\":3}},[\"</s>\"],\"{}\"]",
            text.sha256
        );
        let lesson = Lesson { options: &options, special: &[Special::End], texts: Texts::One(&text) };
        let name = format!("{}.tokenizer.json", sha256_hex(expected.as_bytes()));
        assert_eq!(lesson.path(folder).unwrap(), Path::new(&name));
    }

    #[test]
    fn pairs_have_one_vocabulary_or_two() {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        let [source, target] = ["some words of a source ", "einige Wörter "].map(|text| {
            let path = folder.path().join(text.split(' ').next().unwrap());
            fs::write(&path, text.repeat(50)).unwrap();
            survey_files(vec![path]).unwrap()
        });
        let special = [Special::Begin, Special::End];
        for kind in [TokenizerKind::Byte, TokenizerKind::Char, TokenizerKind::Word, TokenizerKind::Bpe] {
            let [joint, separate] = [true, false].map(|joint| {
                let options = TokenizerOptions { kind, joint, ..Default::default() };
                let prepare = || StoredTokenizer::prepare_pair(&options, &special, (&source, &target), &kept).unwrap();
                let first = prepare();
                assert_eq!(prepare().json, first.json);
                first.check_joint(joint).unwrap();
                let again = StoredTokenizer::read(first.json.clone()).unwrap();
                assert_eq!(again.sha256, first.sha256);
                first
            });
            assert!(joint.tokenizer().is_ok() && separate.tokenizer().is_err());
            let message = separate.check_joint(true).unwrap_err().to_string();
            assert!(
                message.contains("a vocabulary for sources and one for targets; expected one for both"),
                "{message}"
            );
            let message = joint.check_joint(false).unwrap_err().to_string();
            assert!(message.ends_with("expected one for each, as tokenizer.joint = false"), "{message}");
            let (of_source, of_target) = (separate.tokenizers.source(), separate.tokenizers.target());
            assert!(special.iter().all(|special| of_target.special(*special).is_some()));
            if kind != TokenizerKind::Byte {
                let [both, one] = [joint.tokenizer().unwrap(), of_source].map(Tokenizer::vocab_size);
                assert!(both > one, "{kind:?}: {both} and {one}");
            }
        }
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 4);
        // A kept file of the other sort is made anew.
        let options = TokenizerOptions::default();
        let lesson = Lesson { options: &options, special: &special, texts: Texts::Pair(&source, &target) };
        let other = Lesson { options: &TokenizerOptions { joint: false, ..options.clone() }, ..lesson };
        fs::copy(other.path(&kept).unwrap(), lesson.path(&kept).unwrap()).unwrap();
        StoredTokenizer::prepare_pair(&options, &special, (&source, &target), &kept)
            .unwrap()
            .check_joint(true)
            .unwrap();
    }

    #[test]
    fn both_sides_are_sampled_by_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let [small, large] = [("a", 100), ("b", 300)].map(|(name, bytes)| {
            fs::write(folder.path().join(name), "x".repeat(bytes)).unwrap();
            survey_files(vec![folder.path().join(name)]).unwrap()
        });
        let shares = |joint, kind| {
            let options = TokenizerOptions { kind, joint, sample_bytes: 40, ..Default::default() };
            let lesson = Lesson { options: &options, special: &[], texts: Texts::Pair(&small, &large) };
            Vec::from_iter(lesson.shares().iter().map(|(_, bytes)| *bytes))
        };
        assert_eq!(shares(true, TokenizerKind::Bpe), [10, 30]);
        assert_eq!(shares(false, TokenizerKind::Bpe), [40, 40]);
        assert_eq!(shares(true, TokenizerKind::Char), [u64::MAX; 2]);
    }
}
