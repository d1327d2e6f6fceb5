//! Texts that stand one a line, with a label for each file or at the start of each line.

use super::Take;
use crate::data::record::{Label, LabelledRecord, Record, TextRecord};
use crate::data::source::{Lines, ReadOptions};
use anyhow::{Context, Result};
use serde_json::Map;
use std::path::Path;

/// Gives every line that is not blank as a record: labelled where the file has a label.
pub(super) fn convert(path: &Path, label: Option<&str>, options: &ReadOptions, take: Take) -> Result<()> {
    for line in Lines::open_with(path, options)? {
        let text = line?.trim().to_string();
        if text.is_empty() {
            continue;
        }
        take(match label {
            None => Record::Text(TextRecord { text }),
            Some(label) => {
                let label = Some(Label::Class(label.to_string()));
                Record::Labelled(LabelledRecord { text, text_b: None, fields: Map::new(), label })
            }
        })?;
    }
    Ok(())
}

/// Gives lines `COARSE:fine text` as TREC has them: the coarse class is the label, the fine one a further field.
pub(super) fn convert_trec(path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
    let mut lines = Lines::open_with(path, options)?;
    let mut line = String::new();
    while lines.read(&mut line)? {
        if line.trim().is_empty() {
            continue;
        }
        let (label, text) =
            line.split_once(' ').with_context(|| format!("{}: expected a label and text", lines.place()))?;
        let mut fields = Map::new();
        let label = match label.split_once(':') {
            Some((coarse, fine)) => {
                fields.insert("fine".into(), fine.into());
                coarse
            }
            None => label,
        };
        let (text, label) = (text.trim().to_string(), Some(Label::Class(label.to_string())));
        take(Record::Labelled(LabelledRecord { text, text_b: None, fields, label }))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{converted, failed};
    use super::*;

    #[test]
    fn lines_are_records() {
        let labelled = converted(" good \n\nbad\n", |path, options, take| convert(path, Some("pos"), options, take));
        assert_eq!(labelled, [r#"{"text":"good","label":"pos"}"#, r#"{"text":"bad","label":"pos"}"#]);
        let plain = converted("good\n", |path, options, take| convert(path, None, options, take));
        assert_eq!(plain, [r#"{"text":"good"}"#]);
    }

    #[test]
    fn trec_has_two_classes_a_line() {
        let expected = [r#"{"text":"Who ?","fine":"ind","label":"HUM"}"#, r#"{"text":"x","label":"A"}"#];
        assert_eq!(converted("HUM:ind Who ?\nA x\n", convert_trec), expected);
        assert!(failed("HUM:ind\n", convert_trec).contains("line 1: expected a label and text"));
    }
}
