//! The texts of an experiment: train, validation, test, from what `[data]` names.

use super::card::SPLITS;
use super::datasets::{self, Prepared};
use super::options::{DataOptions, Paths};
use super::record::Shape;
use super::source;
use super::text::{CutShares, Form, Text, check_field, survey_files, survey_records, survey_shares};
use crate::refuse;
use anyhow::{Context, Result};
use std::path::Path;

/// How far the shares may be from 1 in sum.
const SHARES_TOLERANCE: f64 = 1e-6;

/// The texts, with what identifies them. Those that were not asked for are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Splits {
    /// What is learned from.
    pub train: Option<Text>,
    /// What training is measured on.
    pub validation: Option<Text>,
    /// What is measured at the end.
    pub test: Option<Text>,
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
    Dataset { name: &'a str, field: Option<&'a str> },
    Cut { path: &'a Path, shares: &'a [f64] },
    Files { train: &'a Path, validation: Option<&'a Path>, test: Option<&'a Path> },
}

impl Splits {
    /// The texts with their splits' names, in order.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &Text)> {
        let texts = [&self.train, &self.validation, &self.test];
        SPLITS.into_iter().zip(texts).filter_map(|(name, text)| Some((name, text.as_ref()?)))
    }

    fn of(mut part: impl FnMut(&str) -> Result<Option<Text>>) -> Result<Self> {
        let [train, validation, test] = SPLITS;
        Ok(Self { train: part(train)?, validation: part(validation)?, test: part(test)?, dataset: None })
    }
}

/// Checks that `[data]` is complete and that what it names is there, without reading the texts. `root` is the
/// folder of prepared datasets.
///
/// # Errors
/// Refusals of incomplete or contradictory keys, of names with nothing behind them and of fields that records lack;
/// a damaged dataset.
pub fn check(options: &DataOptions, root: &Path) -> Result<()> {
    match choice(options)? {
        Choice::Dataset { name, field } => form(&datasets::open(name, root)?, field).map(drop),
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

/// Looks through the texts of the splits `wanted`, as far as `[data]` names them. `root` is the folder of prepared
/// datasets.
///
/// # Errors
/// Those of [`check`]; files that hold no text; a text too short to be cut; a dataset changed since its preparation.
pub fn load(options: &DataOptions, root: &Path, wanted: &[&str]) -> Result<Splits> {
    match choice(options)? {
        Choice::Dataset { name, field } => load_dataset(&datasets::open(name, root)?, field, wanted),
        Choice::Cut { path, shares } => {
            let files = source::resolve(path).context("data.path")?;
            let mut parts = survey_shares(&files, &CutShares { shares, names: &SPLITS })?.into_iter();
            Splits::of(|split| Ok(parts.next().filter(|_| wanted.contains(&split))))
        }
        Choice::Files { train, validation, test } => Splits::of(|split| {
            let path = match split {
                "train" => Some(train),
                "validation" => validation,
                _ => test,
            };
            let path = path.filter(|_| wanted.contains(&split));
            path.map(|path| survey_files(source::resolve(path)?)).transpose().with_context(|| format!("data.{split}"))
        }),
    }
}

fn choice(options: &DataOptions) -> Result<Choice<'_>> {
    let DataOptions { dataset, field, train, validation, test, path, split, .. } = options;
    let expected = "expected exactly one of `dataset`, `path` and `train`";
    let chosen = [("`dataset`", dataset.is_some()), ("`path`", path.is_some()), ("`train`", train.is_some())];
    let found: Vec<&str> = chosen.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if split.is_some() && path.is_none() {
        refuse!("[data] has `split` without `path`; it cuts the one file that `path` names");
    }
    if field.is_some() && dataset.is_none() {
        refuse!("[data] has `field` without `dataset`; it names a field of a dataset's records");
    }
    if (validation.is_some() || test.is_some()) && train.is_none() {
        let key = if validation.is_some() { "validation" } else { "test" };
        refuse!("[data] has `{key}` without `train`; `validation` and `test` stand beside `train` only");
    }
    match (dataset, path, train) {
        (Some(name), None, None) => Ok(Choice::Dataset { name, field: field.as_deref() }),
        (None, Some(path), None) => match split {
            Some(shares) => {
                check_shares("data.split", shares)?;
                Ok(Choice::Cut { path, shares })
            }
            None => refuse!("[data] has `path` without `split`; expected shares such as split = [0.9, 0.1]"),
        },
        (None, None, Some(train)) => Ok(Choice::Files {
            train: one("train", train)?,
            validation: validation.as_ref().map(|paths| one("validation", paths)).transpose()?,
            test: test.as_ref().map(|paths| one("test", paths)).transpose()?,
        }),
        (None, None, None) => refuse!("[data] names no text; {expected}"),
        _ => refuse!("[data] has {}; {expected}", found.join(" and ")),
    }
}

/// The path of a split that is one text.
fn one<'a>(split: &str, paths: &'a Paths) -> Result<&'a Path> {
    match paths.one() {
        Some(path) => Ok(path),
        None => refuse!("data.{split} is a pair of paths; expected one: the task has no source and target"),
    }
}

/// Refuses shares that do not divide a whole in two or three. `what` says where they are given.
pub(super) fn check_shares(what: &str, shares: &[f64]) -> Result<()> {
    let sum: f64 = shares.iter().sum();
    let positive = shares.iter().all(|&share| share > 0.0);
    if !matches!(shares.len(), 2 | 3) || !positive || (sum - 1.0).abs() > SHARES_TOLERANCE {
        refuse!("{what} is {shares:?}; expected 2 or 3 positive shares (train, validation, test) with the sum 1");
    }
    Ok(())
}

/// What is taken of a dataset: all of running text, one field of records.
fn form(prepared: &Prepared, field: Option<&str>) -> Result<Form> {
    let card = prepared.card();
    match (card.shape, field) {
        (Some(shape), field) => Ok(Form::Records(check_field(prepared, shape, field)?)),
        (None, None) => Ok(Form::Running),
        (None, Some(_)) => refuse!("data.field: {} is running text, which has no fields; leave it out", card.name),
    }
}

fn load_dataset(prepared: &Prepared, field: Option<&str>, wanted: &[&str]) -> Result<Splits> {
    let form = form(prepared, field)?;
    let card = prepared.card();
    let mut splits = Splits::of(|split| {
        let Some(known) = card.splits.get(split).filter(|_| wanted.contains(&split)) else { return Ok(None) };
        prepared.verify(split)?;
        let file = prepared.path(split)?;
        if let Form::Records(field) = &form
            && field.shape != Shape::Text
        {
            return survey_records(&file, field.clone()).map(Some);
        }
        let (form, sha256) = (form.clone(), known.sha256.clone());
        Ok(Some(Text { files: vec![file], form, range: 0..known.bytes, sha256 }))
    })?;
    splits.dataset = Some(DatasetIdentity { name: card.name.clone(), list_sha256: card.list_sha256.clone() });
    Ok(splits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::card::{Card, Layout, SplitCard};
    use crate::data::hash::sha256_hex;
    use crate::data::text::RecordField;
    use crate::exit::code;
    use std::fs;

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
            ("train = 'a'\nfield = 'text'", "`field` without `dataset`"),
            ("train = 'a'\ntest = ['b', 'c']", "data.test is a pair of paths"),
            ("path = 'a'\nsplit = [1.0]", "[1.0]"),
            ("path = 'a'\nsplit = [0.9, 0.2]", "[0.9, 0.2]"),
            ("path = 'a'\nsplit = [1.1, -0.1]", "[1.1, -0.1]"),
            ("path = 'a'\nsplit = [nan, 0.1]", "NaN"),
            ("path = 'a'\nsplit = [0.25, 0.25, 0.25, 0.25]", "0.25"),
            ("path = 'a'", "`path` without `split`"),
            ("path = 'no-such-file'\nsplit = [0.5, 0.5]", "data.path: no such file: no-such-file"),
            ("dataset = 'rust-sources'", "synth data fetch rust-sources"),
        ] {
            for error in [check(&options(table), root).unwrap_err(), load(&options(table), root, &SPLITS).unwrap_err()]
            {
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
        let files = DataOptions { train: Some(train.clone().into()), test: Some(test.into()), ..Default::default() };
        check(&files, folder.path()).unwrap();
        let splits = load(&files, folder.path(), &SPLITS).unwrap();
        let named: Vec<_> = splits.named().map(|(name, text)| (name, text.bytes(), text.sha256.as_str())).collect();
        let [of_train, of_test] = [b"abcdefghij".as_slice(), b"xyz"].map(sha256_hex);
        assert_eq!(named, [("train", 10, of_train.as_str()), ("test", 3, of_test.as_str())]);
        assert_eq!(load(&files, folder.path(), &["test"]).unwrap().named().count(), 1);

        let cut = DataOptions { path: Some(train), split: Some(vec![0.9, 0.1]), ..Default::default() };
        let cut = load(&cut, folder.path(), &SPLITS).unwrap();
        let ranges: Vec<_> = cut.named().map(|(name, text)| (name, text.range.clone())).collect();
        assert_eq!(ranges, [("train", 0..9), ("validation", 9..10)]);
    }

    fn set(root: &Path, shape: Shape, line: &str) -> Result<Splits> {
        let make = |folder: &Path| {
            let mut card = Card::new("set", Layout::Records, Some(shape));
            fs::write(folder.join("validation.jsonl"), line).unwrap();
            let (bytes, sha256) = (line.len() as u64, sha256_hex(line.as_bytes()));
            card.splits.insert("validation", SplitCard { files: 1, records: 1, bytes, sha256 });
            Ok(card)
        };
        datasets::prepare("set", root, make).unwrap();
        load(&options("dataset = 'set'"), root, &SPLITS)
    }

    /// The text that is taken of a set of one record.
    fn taken(shape: Shape, line: &str, field: &str) -> Result<Text> {
        let root = tempfile::tempdir().unwrap();
        let _ = set(root.path(), shape, line);
        let options = options(&format!("dataset = 'set'\nfield = '{field}'"));
        let checked = check(&options, root.path());
        let loaded = load(&options, root.path(), &SPLITS);
        assert_eq!(checked.is_ok(), loaded.is_ok());
        Ok(loaded?.validation.unwrap())
    }

    #[test]
    fn a_field_of_records_is_a_text() {
        let labelled = "{\"text\":\"a\",\"text_b\":\"b\",\"word\":\"c\",\"number\":1}\n";
        for (shape, line, field, text) in [
            (Shape::Pairs, "{\"source\":\"a\",\"target\":\"b\"}\n", "target", "b"),
            (Shape::Labelled, labelled, "text", "a"),
            (Shape::Labelled, labelled, "word", "c"),
            (Shape::Dialogue, "{\"persona\":[],\"history\":[\"x\",\"y\"],\"reply\":\"b\"}\n", "history", "x\\ny"),
        ] {
            // It is the text that the same set of the shape text would be.
            let line_of_text = format!("{{\"text\":\"{text}\"}}\n");
            let found = taken(shape, line, field).unwrap();
            let same = taken(Shape::Text, &line_of_text, "text").unwrap();
            assert_eq!((found.sha256, found.range), (same.sha256.clone(), same.range));
            assert_eq!(same.sha256, sha256_hex(line_of_text.as_bytes()));
        }
        for (shape, line, field, expected) in [
            (Shape::Labelled, labelled, "number", "expected one of text, text_b, word"),
            (Shape::Pairs, "{\"source\":\"a\",\"target\":\"b\"}\n", "text", "expected one of source, target"),
            (Shape::Text, "{\"text\":\"a\"}\n", "source", "expected one of text"),
        ] {
            let error = taken(shape, line, field).unwrap_err();
            assert!(error.to_string().contains(expected) && code(&error) == 2, "{error}");
        }
    }

    #[test]
    fn datasets_are_text_and_may_lack_splits() {
        let root = tempfile::tempdir().unwrap();
        let splits = set(root.path(), Shape::Text, "{\"text\":\"a\"}\n").unwrap();
        assert_eq!(
            splits.named().map(|(name, text)| (name, text.form.clone())).collect::<Vec<_>>(),
            [("validation", Form::Records(RecordField { shape: Shape::Text, name: "text".into() }))]
        );
        assert_eq!(splits.dataset.unwrap().name, "set");
        fs::write(root.path().join("set/validation.jsonl"), "{\"text\":\"b\"}\n").unwrap();
        let error = load(&options("dataset = 'set'"), root.path(), &["validation"]).unwrap_err();
        assert!(format!("{error:#}").contains("validation.jsonl was changed"), "{error:#}");
        load(&options("dataset = 'set'"), root.path(), &["train"]).unwrap();

        let root = tempfile::tempdir().unwrap();
        let error = set(root.path(), Shape::Pairs, "{\"source\":\"a\",\"target\":\"b\"}\n").unwrap_err();
        assert!(error.to_string().contains("data.field, one of source, target") && code(&error) == 2, "{error}");
        assert!(check(&options("dataset = 'set'"), root.path()).is_err());
    }
}
