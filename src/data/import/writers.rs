//! Where the records of an import go: one file per split, with the labels that they have.

use crate::data::card::CardSplits;
use crate::data::record::{Label, Record, RecordWriter, Shape};
use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// More different labels than this are no classes.
const MOST_CLASSES: usize = 1000;

/// The files of the splits, as they are written.
pub(super) struct Writers {
    folder: PathBuf,
    shape: Shape,
    writers: BTreeMap<String, RecordWriter>,
    labels: Labels,
}

/// The labels that were met.
#[derive(Debug, Default)]
struct Labels {
    classes: BTreeSet<String>,
    too_many: bool,
    numbers: bool,
}

impl Writers {
    /// Writers of records of one shape into `folder`.
    pub fn new(folder: &Path, shape: Shape) -> Self {
        Self { folder: folder.into(), shape, writers: BTreeMap::new(), labels: Labels::default() }
    }

    /// Adds a record to a split.
    ///
    /// # Errors
    /// Labels of two kinds; a disk that is full.
    pub fn write(&mut self, split: &str, record: &Record) -> Result<()> {
        self.labels.add(record.label())?;
        if let Some(writer) = self.writers.get_mut(split) {
            return writer.write(record);
        }
        let mut writer = RecordWriter::create(&self.folder, split, self.shape)?;
        writer.write(record)?;
        self.writers.insert(split.to_string(), writer);
        Ok(())
    }

    /// Ends all files. `files` says how many source files each split has; answers the splits and the classes.
    ///
    /// # Errors
    /// A split without records; a disk that is full.
    pub fn finish(self, files: &BTreeMap<String, u64>) -> Result<(CardSplits, Option<Vec<String>>)> {
        if let Some(empty) = files.keys().find(|split| !self.writers.contains_key(*split)) {
            bail!("the split {empty} holds no records; expected at least one");
        }
        let mut splits = CardSplits::default();
        for (split, writer) in self.writers {
            splits.insert(&split, writer.finish(files.get(&split).copied().unwrap_or_default())?);
        }
        Ok((splits, self.labels.classes()))
    }
}

impl Labels {
    fn add(&mut self, label: Option<&Label>) -> Result<()> {
        match label {
            None => {}
            Some(Label::Number(_)) => self.numbers = true,
            Some(Label::Class(class)) if !self.classes.contains(class) && !self.too_many => {
                self.too_many = self.classes.len() == MOST_CLASSES;
                self.classes.insert(class.clone());
            }
            Some(Label::Class(_)) => {}
        }
        ensure!(
            !self.numbers || self.classes.is_empty(),
            "some labels are fractions and others are not; say --numeric-label where they are numbers and not classes"
        );
        Ok(())
    }

    /// The classes, by number where all are whole numbers, else by name.
    fn classes(self) -> Option<Vec<String>> {
        if self.classes.is_empty() || self.too_many {
            return None;
        }
        let mut classes: Vec<String> = self.classes.into_iter().collect();
        if classes.iter().all(|class| class.parse::<i64>().is_ok()) {
            classes.sort_by_key(|class| class.parse::<i64>().unwrap_or_default());
        }
        Some(classes)
    }
}

/// The split that a record falls to, of several with shares of all: by the hash of what it holds, so that neither the
/// order of the records nor what else there is matters, and equal records are never in two splits.
pub(super) fn share_of<'a>(record: &Record, shares: &[f64], splits: &[&'a str]) -> Result<&'a str> {
    let digest = Sha256::digest(serde_json::to_vec(record)?);
    let number = digest.iter().take(8).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let place = number as f64 / 2f64.powi(64);
    let mut end = 0.0;
    for (share, split) in shares.iter().zip(splits) {
        end += share;
        if place < end {
            return Ok(split);
        }
    }
    Ok(splits[shares.len().min(splits.len()) - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::record::{LabelledRecord, TextRecord};
    use serde_json::Map;

    fn labelled(label: Label) -> Record {
        Record::Labelled(LabelledRecord { text: "a".into(), text_b: None, fields: Map::new(), label: Some(label) })
    }

    fn classes(labels: &[&str]) -> Option<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let mut writers = Writers::new(folder.path(), Shape::Labelled);
        for label in labels {
            writers.write("train", &labelled(Label::Class(label.to_string()))).unwrap();
        }
        writers.finish(&BTreeMap::from([("train".to_string(), 1)])).unwrap().1
    }

    #[test]
    fn classes_are_sorted_as_numbers_or_as_names() {
        assert_eq!(classes(&["10", "9", "10", "-1"]).unwrap(), ["-1", "9", "10"]);
        assert_eq!(classes(&["b", "10", "9"]).unwrap(), ["10", "9", "b"]);
        let many: Vec<String> = (0..=MOST_CLASSES).map(|number| number.to_string()).collect();
        assert!(classes(&many.iter().map(String::as_str).collect::<Vec<_>>()).is_none());
    }

    #[test]
    fn classes_and_numbers_do_not_mix_and_splits_are_not_empty() {
        let folder = tempfile::tempdir().unwrap();
        let mut writers = Writers::new(folder.path(), Shape::Labelled);
        writers.write("train", &labelled(Label::Number(0.5))).unwrap();
        let error = writers.write("train", &labelled(Label::Class("1".into()))).unwrap_err();
        assert!(error.to_string().contains("--numeric-label"));
        let empty = BTreeMap::from([("test".to_string(), 1)]);
        assert!(writers.finish(&empty).unwrap_err().to_string().contains("test holds no records"));
    }

    #[test]
    fn shares_are_kept_on_average_and_do_not_depend_on_the_order() {
        let mut counts = BTreeMap::new();
        for number in 0..10_000 {
            let record = Record::Text(TextRecord { text: number.to_string() });
            *counts
                .entry(share_of(&record, &[0.8, 0.1, 0.1], &["train", "validation", "test"]).unwrap())
                .or_insert(0) += 1;
        }
        assert!((7_800..8_200).contains(&counts["train"]), "{counts:?}");
        assert!((850..1_150).contains(&counts["validation"]) && (850..1_150).contains(&counts["test"]), "{counts:?}");
    }
}
