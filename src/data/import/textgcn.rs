//! The layout of Text GCN: a file of texts, one a line, and beside it one that gives each its split and its class.

use super::inputs::Input;
use super::{Source, Take};
use crate::data::record::{Label, LabelledRecord, Record};
use crate::data::source::{Lines, ReadOptions};
use crate::refuse;
use anyhow::{Context, Result, bail};
use serde_json::Map;
use std::path::Path;

/// The splits of the two files, which are read once for each: first the list, then the texts.
///
/// # Errors
/// A refusal of other files than two, one of which has lines `<name>\t<split>\t<class>`.
pub(super) fn plan(inputs: &[Input], read: &ReadOptions) -> Result<Vec<Source>> {
    let [first, second] = inputs else {
        refuse!(
            "found {} files; expected the texts, one a line, and the list of their splits and classes",
            inputs.len()
        )
    };
    let (list, texts) = match (is_list(&first.path, read)?, is_list(&second.path, read)?) {
        (true, false) => (first, second),
        (false, true) => (second, first),
        _ => refuse!(
            "expected one of {} and {} to have lines `<name><tab>train or test<tab><class>`",
            first.path.display(),
            second.path.display()
        ),
    };
    let files = vec![list.path.clone(), texts.path.clone()];
    Ok(["train", "test"].map(|split| Source { split: split.into(), files: files.clone() }).into())
}

fn is_list(path: &Path, read: &ReadOptions) -> Result<bool> {
    let first = Lines::open_with(path, read)?.next().transpose()?.unwrap_or_default();
    Ok(entry(&first).is_some())
}

/// The split and the class of a line of the list.
fn entry(line: &str) -> Option<(&'static str, &str)> {
    let mut cells = line.split('\t').skip(1);
    let (split, class) = (cells.next()?, cells.next()?);
    // Some lists have data/…/training.
    let split = ["train", "test"].into_iter().find(|name| split.contains(name))?;
    Some((split, class.trim()))
}

/// Gives the texts of a split as records.
///
/// # Errors
/// Files with different numbers of lines, lines that are no entries, and those of reading.
pub(super) fn convert(list: &Path, texts: &Path, split: &str, options: &ReadOptions, take: Take) -> Result<()> {
    let (mut entries, mut lines) = (Lines::open_with(list, options)?, Lines::open_with(texts, options)?);
    loop {
        let (entry_line, text) = match (entries.next().transpose()?, lines.next().transpose()?) {
            (Some(entry), Some(text)) => (entry, text),
            (None, None) => return Ok(()),
            (None, Some(_)) => bail!("{}: the text has no entry in {}", lines.place(), list.display()),
            (Some(_), None) => bail!("{}: the entry has no text in {}", entries.place(), texts.display()),
        };
        let found = entry(&entry_line);
        let (its_split, class) =
            found.with_context(|| format!("{}: expected a name, train or test, and a class", entries.place()))?;
        if its_split == split {
            let (text, label) = (text.trim().to_string(), Some(Label::Class(class.to_string())));
            take(Record::Labelled(LabelledRecord { text, text_b: None, fields: Map::new(), label }))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{converted, failed};
    use super::*;
    use std::fs;

    const LIST: &str = "0\ttrain\t1\n1\ttest\t0\n2\ttrain\t0";

    fn convert_with(list: &str, split: &str, path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
        let list_path = path.with_extension("list");
        fs::write(&list_path, list).unwrap();
        convert(&list_path, path, split, options, take)
    }

    #[test]
    fn the_list_gives_split_and_class() {
        let lines = |split: &str| {
            converted(" good \r\nbad\nworse\n", |path, options, take| convert_with(LIST, split, path, options, take))
        };
        assert_eq!(lines("train"), [r#"{"text":"good","label":"1"}"#, r#"{"text":"worse","label":"0"}"#]);
        assert_eq!(lines("test"), [r#"{"text":"bad","label":"0"}"#]);
        assert_eq!(entry("x\tdata/20ng/20news-bydate-train/1\tsci.space"), Some(("train", "sci.space")));
    }

    #[test]
    fn lists_and_texts_must_be_as_long() {
        let message = |texts: &str, list: &str| {
            failed(texts, |path, options, take| convert_with(list, "train", path, options, take))
        };
        assert!(message("a\nb\n", LIST).contains("line 3: the entry has no text"));
        assert!(message("a\nb\nc\nd\n", LIST).contains("line 4: the text has no entry"));
        assert!(message("a\n", "0\tdev\t1\n").contains("line 1: expected a name, train or test"));
    }

    #[test]
    fn the_list_is_found_among_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let input = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).unwrap();
            Input { name: name.into(), path: folder.path().join(name), mark: None }
        };
        let inputs = [input("a.corpus.txt", "a text\n"), input("a.split.txt", LIST)];
        let sources = plan(&inputs, &ReadOptions::default()).unwrap();
        assert_eq!(sources.len(), 2);
        assert!(sources[0].files[0].ends_with("a.split.txt") && sources[0].files[1].ends_with("a.corpus.txt"));
        for wrong in [&inputs[..1], &[inputs[0].clone(), inputs[0].clone()][..]] {
            let error = plan(wrong, &ReadOptions::default()).err().unwrap();
            assert_eq!(crate::exit::code(&error), 2);
        }
    }
}
