//! The pairs of an experiment: train, validation, test, from what `[data]` names.

use crate::data::card::SPLITS;
use crate::data::datasets::{self, Prepared};
use crate::data::options::{DataOptions, Paths};
use crate::data::record::{Record, Shape};
use crate::data::source;
use crate::data::splits::DatasetIdentity;
use crate::data::text::{Flow, RecordField, Text, survey_fields, survey_lines};
use crate::refuse;
use crate::runs::Split;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The pairs, with what identifies them. Splits that were not asked for, or that the data lacks, are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairSplits {
    /// What is learned from.
    pub train: Option<PairSplit>,
    /// What training is measured on.
    pub validation: Option<PairSplit>,
    /// What is measured at the end.
    pub test: Option<PairSplit>,
    /// The prepared dataset that the pairs are of, if they are.
    pub dataset: Option<DatasetIdentity>,
}

/// The pairs of a split, as two texts: record i of the one belongs to record i of the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairSplit {
    /// What is given.
    pub source: Text,
    /// What is wanted.
    pub target: Text,
    /// How many pairs there are.
    pub pairs: u64,
    /// The pairs as they are, of splits that are measured.
    pub raw: Option<Arc<RawPairs>>,
}

/// Pairs in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawPairs {
    /// What is given, by pair.
    pub sources: Vec<String>,
    /// Every target that counts as right, by pair: one at least, the target itself first.
    pub references: Vec<Vec<String>>,
}

/// What `[data]` chose.
enum Choice<'a> {
    Dataset(&'a str),
    Files([Option<&'a [PathBuf; 2]>; 3]),
}

impl PairSplits {
    /// The pairs with their splits' names, in order.
    pub fn named(&self) -> impl Iterator<Item = (Split, &PairSplit)> {
        let splits = [(Split::Train, &self.train), (Split::Validation, &self.validation), (Split::Test, &self.test)];
        splits.into_iter().filter_map(|(name, split)| Some((name, split.as_ref()?)))
    }

    /// What identifies the data: the SHA-256 of `train.source`, `train.target` and so on, and under the dataset's name that
    /// of the list of its files.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        let sides = self.named().flat_map(|(name, split)| {
            let side = |side: &str, text: &Text| (format!("{}.{side}", name.name()), text.sha256.clone());
            [side("source", &split.source), side("target", &split.target)]
        });
        let list = self.dataset.iter().map(|dataset| (dataset.name.clone(), dataset.list_sha256.clone()));
        sides.chain(list).collect()
    }

    fn of(mut part: impl FnMut(usize, &str) -> Result<Option<PairSplit>>) -> Result<Self> {
        let mut part = |index: usize| part(index, SPLITS[index]);
        Ok(Self { train: part(0)?, validation: part(1)?, test: part(2)?, dataset: None })
    }
}

/// Checks that `[data]` is complete and that what it names is there and of one of these shapes, without reading it. `root`
/// is the folder of prepared datasets. Files hold pairs.
///
/// # Errors
/// Refusals of incomplete or contradictory keys, of names with nothing behind them, of datasets of other shapes and of
/// keys that these records have no use for; a damaged dataset.
pub fn check(options: &DataOptions, shapes: &[Shape], root: &Path) -> Result<()> {
    match choice(options)? {
        Choice::Dataset(name) => fields(&datasets::open(name, root)?, options, shapes).map(drop),
        Choice::Files(splits) => {
            refuse_dialogue_keys(options, "files hold pairs")?;
            for (split, paths) in SPLITS.into_iter().zip(splits) {
                paths.map(|paths| resolve(split, paths)).transpose()?;
            }
            Ok(())
        }
    }
}

/// Looks through the pairs of the splits `wanted`, as far as `[data]` names them; of those that are measured they are kept.
///
/// # Errors
/// Those of [`check`]; texts that cannot be read; two sides with different numbers of lines; a dataset changed since its
/// preparation.
pub fn load(options: &DataOptions, shapes: &[Shape], root: &Path, wanted: &[&str]) -> Result<PairSplits> {
    match choice(options)? {
        Choice::Dataset(name) => load_dataset(&datasets::open(name, root)?, options, shapes, wanted),
        Choice::Files(splits) => {
            refuse_dialogue_keys(options, "files hold pairs")?;
            PairSplits::of(|index, split| {
                let paths = splits[index].filter(|_| wanted.contains(&split));
                paths.map(|paths| load_files(split, paths)).transpose()
            })
        }
    }
}

fn choice(options: &DataOptions) -> Result<Choice<'_>> {
    let DataOptions { dataset, field, train, validation, test, path, split, .. } = options;
    let others = [("path", path.is_some()), ("split", split.is_some()), ("field", field.is_some())];
    if let Some((key, _)) = others.iter().find(|(_, given)| *given) {
        refuse!("[data] has `{key}`, which is for one text; the task has a source and a target");
    }
    match (dataset, train) {
        (Some(name), None) if validation.is_none() && test.is_none() => Ok(Choice::Dataset(name)),
        (None, Some(_)) => {
            let splits = SPLITS.into_iter().zip([train, validation, test]);
            let pairs = splits.map(|(split, paths)| paths.as_ref().map(|paths| pair(split, paths)).transpose());
            let pairs = pairs.collect::<Result<Vec<_>>>()?;
            Ok(Choice::Files([pairs[0], pairs[1], pairs[2]]))
        }
        (None, None) => refuse!("[data] names no pairs; expected `dataset`, or `train` = [\"SOURCE\", \"TARGET\"]"),
        _ => refuse!("[data] has `dataset` beside paths of splits; expected one of the two"),
    }
}

fn pair<'a>(split: &str, paths: &'a Paths) -> Result<&'a [PathBuf; 2]> {
    match paths.pair() {
        Some(pair) => Ok(pair),
        None => refuse!("data.{split} is one path; expected a pair [\"SOURCE\", \"TARGET\"]"),
    }
}

fn refuse_dialogue_keys(options: &DataOptions, why: &str) -> Result<()> {
    for (key, given) in [("persona", options.persona), ("history_turns", options.history_turns > 0)] {
        if given {
            refuse!("data.{key} is about records of the shape dialogue: {why}; leave it out");
        }
    }
    Ok(())
}

fn resolve(split: &str, paths: &[PathBuf; 2]) -> Result<[Vec<PathBuf>; 2]> {
    let [source, target] = paths.each_ref().map(|path| source::resolve(path));
    let key = || format!("data.{split}");
    Ok([source.with_context(key)?, target.with_context(key)?])
}

/// The two texts of a split, line by line.
fn load_files(split: &str, paths: &[PathBuf; 2]) -> Result<PairSplit> {
    let [source, target] = resolve(split, paths)?.map(survey_lines);
    let ((source, lines), (target, others)) = (source?, target?);
    if lines != others {
        let [first, second] = paths.each_ref().map(|path| path.display());
        bail!(
            "data.{split}: {first} has {lines} lines and {second} has {others}; expected as many: line i of the one \
             belongs to line i of the other"
        );
    }
    let raw = match split {
        "train" => None,
        _ => Some(Arc::new(RawPairs {
            sources: lines_of(&source)?,
            references: lines_of(&target)?.into_iter().map(|target| vec![target]).collect(),
        })),
    };
    Ok(PairSplit { source, target, pairs: lines, raw })
}

/// The fields of a dataset's records that are source and target.
fn fields(prepared: &Prepared, options: &DataOptions, shapes: &[Shape]) -> Result<[RecordField; 2]> {
    let name = &prepared.card().name;
    let found = prepared.card().shape;
    let Some(shape) = found.filter(|shape| shapes.contains(shape)) else {
        let found = found.map_or("running text".into(), |shape| format!("records of the shape {}", shape.name()));
        let expected = Vec::from_iter(shapes.iter().map(|shape| shape.name())).join(" or ");
        refuse!("data.dataset: {name} is {found}; the task takes the shape {expected}");
    };
    if shape != Shape::Dialogue {
        refuse_dialogue_keys(options, &format!("{name} holds {}", shape.name()))?;
    }
    let field = |name: &str| RecordField { shape, name: name.into() };
    match shape {
        Shape::Pairs => Ok([field("source"), field("target")]),
        Shape::Dialogue => Ok([RecordField::context(options.persona, options.history_turns), field("reply")]),
        Shape::Text | Shape::Labelled => bail!("records of the shape {} have no source and target", shape.name()),
    }
}

fn load_dataset(prepared: &Prepared, options: &DataOptions, shapes: &[Shape], wanted: &[&str]) -> Result<PairSplits> {
    let fields = fields(prepared, options, shapes)?;
    let card = prepared.card();
    let mut splits = PairSplits::of(|_, split| {
        if card.splits.get(split).is_none() || !wanted.contains(&split) {
            return Ok(None);
        }
        prepared.verify(split)?;
        let file = prepared.path(split)?;
        load_records(&file, fields.clone(), split != "train").map(Some)
    })?;
    splits.dataset = Some(DatasetIdentity { name: card.name.clone(), list_sha256: card.list_sha256.clone() });
    Ok(splits)
}

/// The two fields of a file of records.
fn load_records(file: &Path, fields: [RecordField; 2], measured: bool) -> Result<PairSplit> {
    let (mut pairs, mut references) = (0, Vec::new());
    let [source, target] = survey_fields(file, fields, |record| {
        pairs += 1;
        references.extend(measured.then(|| references_of(record)));
        Ok(())
    })?;
    ensure!(pairs > 0, "{}: found no record", file.display());
    let raw = match measured {
        true => Some(Arc::new(RawPairs { sources: lines_of(&source)?, references })),
        false => None,
    };
    Ok(PairSplit { source, target, pairs, raw })
}

/// The records of a text, empty ones among them.
fn lines_of(text: &Text) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for piece in text.pieces(Flow::Sides, &Arc::default())? {
        let piece = piece?;
        let mut begin = 0;
        for end in piece.ends {
            lines.push(piece.text[begin..end].to_string());
            begin = end;
        }
    }
    Ok(lines)
}

/// Every target that counts as right.
fn references_of(record: &Record) -> Vec<String> {
    match record {
        Record::Pair(pair) if !pair.references.is_empty() => pair.references.clone(),
        Record::Pair(pair) => vec![pair.target.clone()],
        Record::Dialogue(dialogue) => vec![dialogue.reply.clone()],
        Record::Text(_) | Record::Labelled(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
