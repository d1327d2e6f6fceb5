//! The rows of a downloaded file, and the records that they become.

use super::catalogue::{Content, Format, LabelKind, Labelled};
use crate::data::record::{DialogueRecord, Label, LabelledRecord, PairRecord, Record, TextRecord};
use crate::data::source::{JsonLines, ReadOptions, json_array, parquet};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::path::Path;

/// A row: its columns by name.
pub type Row = Map<String, Value>;

/// Gives every row of a file to `take`, in order, until that answers false.
///
/// # Errors
/// Damage in the file; the errors of `take`, to which the place in the file is added.
pub fn for_each(
    path: &Path,
    format: Format,
    columns: &[&str],
    mut take: impl FnMut(&Row) -> Result<bool>,
) -> Result<()> {
    match format {
        Format::Parquet => {
            for (number, row) in parquet::rows(path, columns)?.enumerate() {
                if !take(&row?).with_context(|| format!("{}: row {}", path.display(), number + 1))? {
                    break;
                }
            }
        }
        Format::JsonLines | Format::GzippedJsonLines => {
            let mut lines = JsonLines::open(path, &ReadOptions::default())?;
            while let Some(row) = lines.next().transpose()? {
                if !take(&row).with_context(|| lines.place())? {
                    break;
                }
            }
        }
        Format::JsonArray => {
            let mut wanted = true;
            json_array(path, &ReadOptions::default(), |_, row| {
                wanted = wanted && take(&row)?;
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// A row as a line of running text, with its line break.
///
/// # Errors
/// A column that is not there or no string.
pub fn line(row: &Row, column: &str, blank: &str) -> Result<String> {
    let text = text(row, column)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(format!("{}\n", if text.is_empty() { blank } else { text }))
}

/// A row as records: one of most sets, none or more of whole dialogues.
///
/// # Errors
/// A column that is not there or not of its kind; running text, which has no records.
pub fn records(row: &Row, content: &Content) -> Result<Vec<Record>> {
    Ok(match content {
        Content::Lines { .. } => bail!("running text has no records"),
        Content::Texts { column } => vec![Record::Text(TextRecord { text: text(row, column)? })],
        Content::Pairs { source, target, .. } => {
            let (source, target) = (text(row, source)?, text(row, target)?);
            vec![Record::Pair(PairRecord { source, target, references: Vec::new() })]
        }
        Content::Labelled(labelled) => vec![Record::Labelled(labelled_record(row, labelled)?)],
        Content::Dialogue => dialogue(row)?,
    })
}

fn labelled_record(row: &Row, labelled: &Labelled) -> Result<LabelledRecord> {
    let mut fields = Map::new();
    for (name, column) in labelled.fields {
        let value = value(row, column).with_context(|| format!("there is no column {column:?}"))?;
        // What the test splits keep secret is left out, as where it never was.
        if !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()) {
            fields.insert(name.to_string(), value.clone());
        }
    }
    Ok(LabelledRecord {
        text: text(row, labelled.text)?,
        text_b: labelled.text_b.map(|column| text(row, column)).transpose()?,
        fields,
        label: label(row, &labelled.label)?,
    })
}

fn label(row: &Row, kind: &LabelKind) -> Result<Option<Label>> {
    let value = match value(row, "label") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) if value.as_f64() == Some(-1.0) => return Ok(None),
        Some(value) => value,
    };
    match kind {
        LabelKind::Absent => Ok(None),
        LabelKind::Number => {
            let number = value.as_f64().with_context(|| format!("the label is {value}; expected a number"))?;
            Ok(Some(Label::Number(number)))
        }
        LabelKind::Classes(classes) => {
            let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
            let named = value.as_str().and_then(|name| classes.iter().find(|class| **class == name));
            let class = index.and_then(|index| classes.get(index)).or(named);
            let expected = || format!("the label is {value}; expected the index of one of {}", classes.join(", "));
            Ok(Some(Label::Class(class.with_context(expected)?.to_string())))
        }
    }
}

/// The turns of a row; the last of a turn's candidates is what was said.
fn dialogue(row: &Row) -> Result<Vec<Record>> {
    let persona = texts(row, "personality")?;
    let turn = |turn: &Row| -> Result<Record> {
        let (history, candidates) = (texts(turn, "history")?, texts(turn, "candidates")?);
        let reply = candidates.last().context("\"candidates\" is an empty list")?.clone();
        Ok(Record::Dialogue(DialogueRecord { persona: persona.clone(), history, reply, candidates }))
    };
    let Some(utterances) = row.get("utterances") else { return Ok(vec![turn(row)?]) };
    let utterances = utterances.as_array().context("\"utterances\" is no list")?;
    let object = |value: &Value| turn(value.as_object().context("\"utterances\" has an element that is no object")?);
    utterances.iter().map(object).collect()
}

/// What a column holds, by its path.
fn value<'a>(row: &'a Row, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let root = row.get(keys.next()?)?;
    keys.try_fold(root, |value, key| value.get(key))
}

fn text(row: &Row, path: &str) -> Result<String> {
    let value = value(row, path).with_context(|| format!("there is no column {path:?}"))?;
    value.as_str().map(str::to_string).with_context(|| format!("column {path:?} is no string"))
}

fn texts(row: &Row, column: &str) -> Result<Vec<String>> {
    let list = row.get(column).and_then(Value::as_array).with_context(|| format!("there is no list {column:?}"))?;
    let texts = list.iter().map(|text| text.as_str().map(str::to_string));
    texts.collect::<Option<_>>().with_context(|| format!("{column:?} has an element that is no string"))
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::find;
    use super::*;

    fn converted(set: &str, row: &str) -> Result<Vec<String>> {
        let records = records(&serde_json::from_str(row).unwrap(), &find(set).unwrap().content)?;
        Ok(records.iter().map(|record| serde_json::to_string(record).unwrap()).collect())
    }

    #[test]
    fn rows_become_records() {
        for (set, row, expected) in [
            ("lm1b", r#"{"text":"a"}"#, r#"{"text":"a"}"#),
            ("wmt14-de-en", r#"{"translation":{"de":"d","en":"e"}}"#, r#"{"source":"e","target":"d"}"#),
            ("multi30k", r#"{"en":"e","de":"d"}"#, r#"{"source":"e","target":"d"}"#),
            ("ag-news", r#"{"text":"t","label":3}"#, r#"{"text":"t","label":"Sci/Tech"}"#),
            ("imdb", r#"{"text":"t","label":-1}"#, r#"{"text":"t"}"#),
            (
                "glue-stsb",
                r#"{"sentence1":"a","sentence2":"b","label":3.8,"idx":0}"#,
                r#"{"text":"a","text_b":"b","label":3.8}"#,
            ),
            ("glue-stsb", r#"{"sentence1":"a","sentence2":"b","label":-1.0}"#, r#"{"text":"a","text_b":"b"}"#),
            (
                "super-glue-multirc",
                r#"{"paragraph":"p","question":"q","answer":"a","idx":{"paragraph":1,"question":7,"answer":2},"label":1}"#,
                r#"{"text":"p","question":"q","answer":"a","group":7,"label":"True"}"#,
            ),
            (
                "super-glue-record",
                r#"{"passage":"p","query":"q","entities":["e"],"answers":[],"idx":{"passage":1}}"#,
                r#"{"text":"p","query":"q","entities":["e"]}"#,
            ),
        ] {
            assert_eq!(converted(set, row).unwrap(), [expected], "{set}");
        }
    }

    #[test]
    fn a_row_is_a_turn_or_a_dialogue() {
        let turn = r#"{"personality":["p"],"candidates":["x","r"],"history":["h"],"conv_id":1,"utterance_idx":0}"#;
        let expected = r#"{"persona":["p"],"history":["h"],"reply":"r","candidates":["x","r"]}"#;
        assert_eq!(converted("personachat", turn).unwrap(), [expected]);
        let whole = r#"{"personality":["p"],"utterances":[{"candidates":["x","r"],"history":["h"]},{"candidates":["s"],"history":["h","r","i"]}]}"#;
        let second = r#"{"persona":["p"],"history":["h","r","i"],"reply":"s","candidates":["s"]}"#;
        assert_eq!(converted("personachat", whole).unwrap(), [expected, second]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (set, row, expected) in [
            ("lm1b", r#"{"content":"a"}"#, "there is no column \"text\""),
            ("lm1b", r#"{"text":null}"#, "column \"text\" is no string"),
            ("wmt14-de-en", r#"{"translation":{"de":"d"}}"#, "there is no column \"translation.en\""),
            ("ag-news", r#"{"text":"t","label":4}"#, "the label is 4; expected the index of one of World"),
            ("personachat", r#"{"personality":[],"history":[],"candidates":[]}"#, "\"candidates\" is an empty list"),
        ] {
            let message = format!("{:#}", converted(set, row).unwrap_err());
            assert!(message.contains(expected), "{message}");
        }
    }

    /// As the original files have them: a blank line is a blank and a line break.
    #[test]
    fn lines_get_their_blanks_back() {
        let line = |text: &str| line(&Map::from_iter([("text".to_string(), text.into())]), "text", " ").unwrap();
        assert_eq!([line(""), line(" = A = \n"), line("b")].concat(), " \n = A = \nb\n");
    }
}
