//! The texts of an experiment: train, validation, test, from what `[data]` names.

use super::card::SPLITS;
use super::datasets::{self, Prepared};
use super::hash::sha256_hex;
use super::options::DataOptions;
use super::source;
use crate::refuse;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// How far the shares may be from 1 in sum.
pub const SHARES_TOLERANCE: f64 = 1e-6;

/// The texts, with what identifies them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits {
    /// What is learned from.
    pub train: String,
    /// What training is measured on; absent only where `data.train` came without `data.validation`.
    pub validation: Option<String>,
    /// What is measured at the end.
    pub test: Option<String>,
    /// Each split's name and the SHA-256 of its text, in hexadecimal.
    pub hashes: Vec<(String, String)>,
    /// The prepared dataset that the texts are of, if they are.
    pub dataset: Option<DatasetIdentity>,
}

/// Which prepared dataset, and in which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetIdentity {
    /// Its name.
    pub name: String,
    /// The SHA-256 over the list of its files, in hexadecimal.
    pub list_sha256: String,
}

/// What `[data]` chose.
enum Choice<'a> {
    Dataset(&'a str),
    Cut { path: &'a Path, shares: &'a [f64] },
    Files { train: &'a Path, validation: Option<&'a Path>, test: Option<&'a Path> },
}

/// Checks that `[data]` is complete and that what it names is there, without reading any text. `root` is the
/// folder of prepared datasets.
///
/// # Errors
/// Refusals of incomplete or contradictory keys and of names with nothing behind them; a damaged dataset.
pub fn check(options: &DataOptions, root: &Path) -> Result<()> {
    match choice(options)? {
        Choice::Dataset(name) => datasets::open(name, root).map(drop),
        Choice::Cut { path, .. } => source::resolve(path).map(drop).context("data.path"),
        Choice::Files { train, validation, test } => {
            let named = [("data.train", Some(train)), ("data.validation", validation), ("data.test", test)];
            for (key, path) in named {
                path.map(source::resolve).transpose().context(key)?;
            }
            Ok(())
        }
    }
}

/// Reads the texts that `[data]` names. `root` is the folder of prepared datasets.
///
/// # Errors
/// Those of [`check`]; files that hold no text; a text too short to be cut; a dataset changed since its
/// preparation.
pub fn load(options: &DataOptions, root: &Path) -> Result<Splits> {
    match choice(options)? {
        Choice::Dataset(name) => load_dataset(&datasets::open(name, root)?),
        Choice::Cut { path, shares } => {
            let text = source::read(path).context("data.path")?;
            let parts = cut(text, shares).with_context(|| path.display().to_string())?;
            Ok(with_hashes(parts))
        }
        Choice::Files { train, validation, test } => Ok(with_hashes([
            Some(source::read(train).context("data.train")?),
            validation.map(source::read).transpose().context("data.validation")?,
            test.map(source::read).transpose().context("data.test")?,
        ])),
    }
}

fn choice(options: &DataOptions) -> Result<Choice<'_>> {
    let DataOptions { dataset, train, validation, test, path, split } = options;
    let expected = "expected exactly one of `dataset`, `path` and `train`";
    let chosen = [("`dataset`", dataset.is_some()), ("`path`", path.is_some()), ("`train`", train.is_some())];
    let found: Vec<&str> = chosen.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if split.is_some() && path.is_none() {
        refuse!("[data] has `split` without `path`; it cuts the one file that `path` names");
    }
    if (validation.is_some() || test.is_some()) && train.is_none() {
        let key = if validation.is_some() { "validation" } else { "test" };
        refuse!("[data] has `{key}` without `train`; `validation` and `test` stand beside `train` only");
    }
    match (dataset, path, train) {
        (Some(name), None, None) => Ok(Choice::Dataset(name)),
        (None, Some(path), None) => match split {
            Some(shares) => Ok(Choice::Cut { path, shares: checked_shares(shares)? }),
            None => refuse!("[data] has `path` without `split`; expected shares such as split = [0.9, 0.1]"),
        },
        (None, None, Some(train)) => {
            Ok(Choice::Files { train, validation: validation.as_deref(), test: test.as_deref() })
        }
        (None, None, None) => refuse!("[data] names no text; {expected}"),
        _ => refuse!("[data] has {}; {expected}", found.join(" and ")),
    }
}

fn checked_shares(shares: &[f64]) -> Result<&[f64]> {
    let sum: f64 = shares.iter().sum();
    let positive = shares.iter().all(|&share| share > 0.0);
    if !matches!(shares.len(), 2 | 3) || !positive || (sum - 1.0).abs() > SHARES_TOLERANCE {
        refuse!("data.split is {shares:?}; expected 2 or 3 positive shares (train, validation, test) with the sum 1");
    }
    Ok(shares)
}

/// Cuts a text before the characters floor(cumulative share × characters).
fn cut(mut text: String, shares: &[f64]) -> Result<[Option<String>; 3]> {
    let characters = text.chars().count();
    let mut parts = [None, None, None];
    // From the end, so that nothing but the part itself is copied.
    for index in (1..shares.len()).rev() {
        let share: f64 = shares[..index].iter().sum();
        // The addend makes up for sums such as 0.7 + 0.2 = 0.8999….
        let place = (share * characters as f64 + 1e-6).floor() as usize;
        let offset = text.char_indices().nth(place).map_or(text.len(), |(offset, _)| offset);
        parts[index] = Some(text.split_off(offset));
    }
    parts[0] = Some(text);
    if let Some(empty) = parts.iter().position(|part| part.as_ref().is_some_and(String::is_empty)) {
        bail!("data.split {shares:?} leaves nothing of {characters} characters to {}; use more text", SPLITS[empty]);
    }
    Ok(parts)
}

fn with_hashes(parts: [Option<String>; 3]) -> Splits {
    let named = SPLITS.iter().zip(&parts);
    let hashes = named.filter_map(|(name, text)| Some((name.to_string(), sha256_hex(text.as_ref()?.as_bytes()))));
    let hashes = hashes.collect();
    let [train, validation, test] = parts;
    Splits { train: train.unwrap_or_default(), validation, test, hashes, dataset: None }
}

fn load_dataset(prepared: &Prepared) -> Result<Splits> {
    let card = prepared.card();
    Ok(Splits {
        train: prepared.read("train")?,
        validation: Some(prepared.read("validation")?),
        test: Some(prepared.read("test")?),
        // Reading compared them.
        hashes: card.splits.iter().map(|(name, split)| (name.to_string(), split.sha256.clone())).collect(),
        dataset: Some(DatasetIdentity { name: card.name.clone(), list_sha256: card.list_sha256.clone() }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code;
    use std::fs;

    fn parts(text: &str, shares: &[f64]) -> Vec<String> {
        cut(text.to_string(), shares).unwrap().into_iter().flatten().collect()
    }

    #[test]
    fn cuts_fall_on_the_floor_of_the_cumulative_share() {
        assert_eq!(parts("abcdefghij", &[0.9, 0.1]), ["abcdefghi", "j"]);
        assert_eq!(parts("abcdefghij", &[0.7, 0.2, 0.1]), ["abcdefg", "hi", "j"]);
        assert_eq!(parts("abcdefghijk", &[0.5, 0.5]), ["abcde", "fghijk"]);
        assert_eq!(parts("äöüßé", &[0.4, 0.4, 0.2]), ["äö", "üß", "é"]);
        let message = cut("abc".into(), &[0.9, 0.05, 0.05]).unwrap_err().to_string();
        assert!(message.contains("validation") && message.contains("3 characters"), "{message}");
    }

    /// `[data]` from its TOML.
    fn options(table: &str) -> DataOptions {
        toml::from_str(table).unwrap()
    }

    #[test]
    fn contradictions_are_refused() {
        let root = Path::new("nowhere");
        for (table, expected) in [
            ("", "names no text"),
            ("dataset = 'rust-sources'\npath = 'a'", "`dataset` and `path`"),
            ("dataset = 'rust-sources'\npath = 'a'\ntrain = 'b'", "`dataset` and `path` and `train`"),
            ("validation = 'a'", "`validation` without `train`"),
            ("path = 'a'\ntest = 'b'", "`test` without `train`"),
            ("train = 'a'\nsplit = [0.9, 0.1]", "`split` without `path`"),
            ("path = 'a'\nsplit = [1.0]", "[1.0]"),
            ("path = 'a'\nsplit = [0.9, 0.2]", "[0.9, 0.2]"),
            ("path = 'a'\nsplit = [1.1, -0.1]", "[1.1, -0.1]"),
            ("path = 'a'\nsplit = [nan, 0.1]", "NaN"),
            ("path = 'a'\nsplit = [0.25, 0.25, 0.25, 0.25]", "0.25"),
            ("path = 'a'", "`path` without `split`"),
            ("path = 'no-such-file'\nsplit = [0.5, 0.5]", "data.path: no such file: no-such-file"),
            ("dataset = 'rust-sources'", "synth data fetch rust-sources"),
        ] {
            for error in [check(&options(table), root).unwrap_err(), load(&options(table), root).unwrap_err()] {
                let message = format!("{error:#}");
                assert!(message.contains(expected) && code(&error) == 2, "{table}: {message}");
            }
        }
    }

    #[test]
    fn files_are_read_as_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let [train, test] = ["train.txt", "test.txt"].map(|name| folder.path().join(name));
        fs::write(&train, "abcdefghij").unwrap();
        fs::write(&test, "xyz").unwrap();
        let files = DataOptions { train: Some(train.clone()), test: Some(test), ..Default::default() };
        check(&files, folder.path()).unwrap();
        let splits = load(&files, folder.path()).unwrap();
        assert_eq!(
            (splits.train.as_str(), splits.validation, splits.test.as_deref()),
            ("abcdefghij", None, Some("xyz"))
        );
        assert_eq!(splits.hashes.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["train", "test"]);
        assert_eq!(splits.hashes[1].1, sha256_hex(b"xyz"));

        let cut =
            load(&DataOptions { path: Some(train), split: Some(vec![0.9, 0.1]), ..Default::default() }, folder.path())
                .unwrap();
        assert_eq!((cut.train.as_str(), cut.validation.as_deref(), cut.test), ("abcdefghi", Some("j"), None));
    }
}
