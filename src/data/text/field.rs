//! The field of records that is taken as text.

use crate::data::datasets::Prepared;
use crate::data::record::{Record, RecordReader, Shape};
use crate::refuse;
use anyhow::Result;
use serde::Serialize;
use std::borrow::Cow;
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

impl RecordField {
    /// What is said before the reply of a dialogue: the newest `turns` of its history (0 = all), and, with `persona`, before
    /// them the sentences about who replies; each a line.
    pub fn context(persona: bool, turns: usize) -> Self {
        let mut name = if persona { format!("{PERSONA}{HISTORY}") } else { HISTORY.to_string() };
        if turns > 0 {
            name += &format!("{LAST}{turns}");
        }
        Self { shape: Shape::Dialogue, name }
    }
}

/// The parts of a context's name, such as `persona+history:3`.
const PERSONA: &str = "persona+";
const HISTORY: &str = "history";
const LAST: &str = ":";

/// What a field's name says is taken of a record.
pub(super) enum Taken {
    /// A text of the record.
    Field(String),
    /// What is said before the reply of a dialogue.
    Context {
        /// Whether sentences about who replies come first.
        persona: bool,
        /// How many turns there are at most.
        turns: usize,
    },
}

impl Taken {
    pub fn new(field: &RecordField) -> Self {
        let context = || {
            let (persona, name) = field.name.strip_prefix(PERSONA).map_or((false, &*field.name), |name| (true, name));
            let turns = match name.strip_prefix(HISTORY)? {
                "" => usize::MAX,
                turns => turns.strip_prefix(LAST)?.parse().ok()?,
            };
            (field.shape == Shape::Dialogue).then_some(Self::Context { persona, turns })
        };
        context().unwrap_or_else(|| Self::Field(field.name.clone()))
    }

    /// The text; none where the record lacks it.
    pub fn of<'a>(&self, record: &'a Record) -> Option<Cow<'a, str>> {
        match (self, record) {
            (Self::Context { persona, turns }, Record::Dialogue(record)) => {
                let about = record.persona.iter().filter(|_| *persona);
                let older = record.history.len().saturating_sub(*turns);
                Some(Vec::from_iter(about.chain(&record.history[older..]).map(String::as_str)).join("\n").into())
            }
            (Self::Field(_), Record::Text(record)) => Some(record.text.as_str().into()),
            (Self::Field(name), record) => {
                record.texts().into_iter().find(|(field, _)| field == name).map(|(_, text)| text.into())
            }
            (Self::Context { .. }, _) => None,
        }
    }
}

/// The line of a record of the shape text that holds `text`.
pub(super) fn line(text: &str) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Line<'a> {
        text: &'a str,
    }
    let mut line = serde_json::to_vec(&Line { text })?;
    line.push(b'\n');
    Ok(line)
}

/// One field of the records of a file.
pub(super) struct FieldReader {
    records: RecordReader,
    taken: Taken,
}

impl FieldReader {
    pub fn open(file: &Path, field: &RecordField, progress: &Arc<AtomicU64>) -> Result<Self> {
        Ok(Self { records: RecordReader::open_counted(file, field.shape, progress)?, taken: Taken::new(field) })
    }

    /// The field's text in the next record that has it, and the line of a record of the shape text that holds it.
    pub fn next(&mut self) -> Result<Option<(String, Vec<u8>)>> {
        for record in &mut self.records {
            let record = record?;
            if let Some(text) = self.taken.of(&record) {
                let line = line(&text)?;
                return Ok(Some((text.into_owned(), line)));
            }
        }
        Ok(None)
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
            let taken = Taken::new(&RecordField { shape, name: name.into() });
            assert_eq!(taken.of(&record).as_deref(), expected, "{json} {name}");
        }
    }

    #[test]
    fn a_context_is_the_newest_turns_behind_the_persona() {
        let json = r#"{"persona":["p","q"],"history":["h","i","j"],"reply":"r"}"#;
        let record = Record::parse(Shape::Dialogue, json).unwrap();
        for (persona, turns, expected) in [
            (false, 0, "h\ni\nj"),
            (true, 0, "p\nq\nh\ni\nj"),
            (true, 1, "p\nq\nj"),
            (false, 2, "i\nj"),
            (false, 9, "h\ni\nj"),
        ] {
            let field = RecordField::context(persona, turns);
            assert_eq!(Taken::new(&field).of(&record).as_deref(), Some(expected), "{}", field.name);
        }
        let first = Record::parse(Shape::Dialogue, r#"{"persona":[],"history":[],"reply":"r"}"#).unwrap();
        assert_eq!(Taken::new(&RecordField::context(true, 3)).of(&first).as_deref(), Some(""));
        // Of other shapes it is a field's name as any other.
        let labelled = Record::parse(Shape::Labelled, r#"{"text":"a","history":"h","history:1":"i"}"#).unwrap();
        let field = RecordField { shape: Shape::Labelled, name: "history:1".into() };
        assert_eq!(Taken::new(&field).of(&labelled).as_deref(), Some("i"));
    }
}
