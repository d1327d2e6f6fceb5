//! The field of records that is taken as text.

use crate::data::datasets::Prepared;
use crate::data::record::{Record, RecordReader, Shape, TextRecord};
use crate::refuse;
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Records that are looked at for the names of their fields, where no name is looked for.
const LOOKED_AT: usize = 1000;

/// Which text of a record is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordField {
    /// What the records are.
    pub shape: Shape,
    /// The name of the field.
    pub name: String,
}

/// The field `data.field` of a set of records of this shape: `text` where records have no other.
///
/// # Errors
/// A refusal of a field that no record has, or of none where there are several, with those that there are; records that
/// cannot be read.
pub fn check_field(prepared: &Prepared, shape: Shape, given: Option<&str>) -> Result<RecordField> {
    let given = given.or((shape == Shape::Text).then_some("text"));
    let fields = fields(prepared, shape, given)?;
    let (set, shape_name, known) = (&prepared.card().name, shape.name(), fields.join(", "));
    match given {
        Some(name) if fields.iter().any(|field| field == name) => Ok(RecordField { shape, name: name.into() }),
        Some(name) => refuse!("data.field: the records of {set} have no text {name:?}; expected one of {known}"),
        None => refuse!(
            "{set} holds records of the shape {shape_name}, of which a language model takes one field; name it: data.field, \
             one of {known}"
        ),
    }
}

/// The names of the fields that can be taken, up to the first record that has the wanted one.
fn fields(prepared: &Prepared, shape: Shape, wanted: Option<&str>) -> Result<Vec<String>> {
    let own: &[&str] = match shape {
        Shape::Text => &["text"],
        Shape::Pairs => &["source", "target"],
        Shape::Dialogue => &["history", "reply"],
        Shape::Labelled => &["text"],
    };
    let mut fields: Vec<String> = own.iter().map(|name| name.to_string()).collect();
    if shape != Shape::Labelled {
        return Ok(fields);
    }
    // The further ones are the set's own.
    let most = if wanted.is_some() { usize::MAX } else { LOOKED_AT };
    for split in prepared.card().splits.names() {
        for record in prepared.records(split)?.take(most) {
            if wanted.is_some_and(|wanted| fields.iter().any(|field| field == wanted)) {
                return Ok(fields);
            }
            for (name, _) in record?.texts() {
                if fields.iter().all(|field| field != name) {
                    fields.push(name.into());
                }
            }
        }
    }
    Ok(fields)
}

/// One field of the records of a file.
pub(super) struct FieldReader {
    records: RecordReader,
    name: String,
}

impl FieldReader {
    pub fn open(file: &Path, field: &RecordField, progress: &Arc<AtomicU64>) -> Result<Self> {
        Ok(Self { records: RecordReader::open_counted(file, field.shape, progress)?, name: field.name.clone() })
    }

    /// The field's text in the next record that has it, and the line of a record of the shape text that holds it.
    pub fn next(&mut self) -> Result<Option<(String, Vec<u8>)>> {
        for record in &mut self.records {
            if let Some(text) = taken(record?, &self.name) {
                let record = TextRecord { text };
                let mut line = serde_json::to_vec(&record)?;
                line.push(b'\n');
                return Ok(Some((record.text, line)));
            }
        }
        Ok(None)
    }
}

/// The text of a field, the lines of a list; none where the record lacks it.
fn taken(record: Record, name: &str) -> Option<String> {
    match record {
        Record::Text(record) => Some(record.text),
        Record::Dialogue(record) if name == "history" => Some(record.history.join("\n")),
        record => record.texts().into_iter().find(|(field, _)| *field == name).map(|(_, text)| text.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_taken_where_it_is() {
        for (shape, json, name, expected) in [
            (Shape::Text, r#"{"text":"a"}"#, "text", Some("a")),
            (Shape::Pairs, r#"{"source":"a","target":"b","references":["b","c"]}"#, "target", Some("b")),
            (Shape::Labelled, r#"{"text":"a","question":"q","idx":3,"label":"yes"}"#, "question", Some("q")),
            (Shape::Labelled, r#"{"text":"a","label":"yes"}"#, "text_b", None),
            (Shape::Dialogue, r#"{"persona":["p"],"history":["h","i"],"reply":"r"}"#, "history", Some("h\ni")),
            (Shape::Dialogue, r#"{"persona":["p"],"history":[],"reply":"r"}"#, "history", Some("")),
            (Shape::Dialogue, r#"{"persona":["p"],"history":[],"reply":"r"}"#, "reply", Some("r")),
        ] {
            let record = Record::parse(shape, json).unwrap();
            assert_eq!(taken(record, name).as_deref(), expected, "{json} {name}");
        }
    }
}
