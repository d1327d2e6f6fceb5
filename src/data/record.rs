//! One row of a prepared set whose layout is `records`: what a line of `<split>.jsonl` holds.

mod reader;
mod writer;

pub use reader::RecordReader;
pub use writer::{RecordWriter, TextWriter};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes of the longest record or line that is read or written: no larger one is kept in memory.
pub const LONGEST_RECORD: usize = 64 << 20;

/// The keys of a labelled record that are no further fields of it.
const OWN_KEYS: [&str; 3] = ["text", "text_b", "label"];

/// What the records of a set hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// One document or sentence.
    Text,
    /// A source and its target: a translation, a summary.
    Pairs,
    /// One text or two, and a class or a number.
    Labelled,
    /// A turn of a dialogue.
    Dialogue,
}

impl Shape {
    /// The name in `card.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Pairs => "pairs",
            Self::Labelled => "labelled",
            Self::Dialogue => "dialogue",
        }
    }
}

/// A record. As JSON its keys stand in the order of the fields here.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// One document or sentence.
    Text(TextRecord),
    /// A source and its target.
    Pair(PairRecord),
    /// A text with what it is judged to be.
    Labelled(LabelledRecord),
    /// A turn of a dialogue.
    Dialogue(DialogueRecord),
}

/// A record of the shape `text`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextRecord {
    /// The document or sentence.
    pub text: String,
}

/// A record of the shape `pairs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairRecord {
    /// What is given.
    pub source: String,
    /// What is wanted.
    pub target: String,
    /// Every target that counts as right, [`target`](Self::target) first; empty where there is that one only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<String>,
}

impl PairRecord {
    /// A source with one or more targets; none where `targets` is empty.
    pub fn new(source: String, targets: Vec<String>) -> Option<Self> {
        let target = targets.first()?.clone();
        let references = if targets.len() > 1 { targets } else { Vec::new() };
        Some(Self { source, target, references })
    }
}

/// A record of the shape `labelled`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelledRecord {
    /// The text, or the first of two.
    pub text: String,
    /// The second text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_b: Option<String>,
    /// The data set's own further fields, under their names there.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
    /// The class or the number; absent where it is kept secret, as in the test splits of GLUE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
}

/// What a labelled text is judged to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Label {
    /// A class, by its name.
    Class(String),
    /// A number, as for a regression.
    Number(f64),
}

/// A record of the shape `dialogue`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialogueRecord {
    /// Sentences about who replies; may be empty.
    pub persona: Vec<String>,
    /// What was said before, the oldest first, by the two in turn.
    pub history: Vec<String>,
    /// What is said next.
    pub reply: String,
    /// Replies to choose from, the right one among them; empty where the data has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

impl Record {
    /// The shape that it is of.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Text(_) => Shape::Text,
            Self::Pair(_) => Shape::Pairs,
            Self::Labelled(_) => Shape::Labelled,
            Self::Dialogue(_) => Shape::Dialogue,
        }
    }

    /// Reads one line of a split's file.
    ///
    /// # Errors
    /// JSON that is broken or not of this shape.
    pub fn parse(shape: Shape, json: &str) -> serde_json::Result<Self> {
        Ok(match shape {
            Shape::Text => Self::Text(serde_json::from_str(json)?),
            Shape::Pairs => Self::Pair(serde_json::from_str(json)?),
            Shape::Labelled => Self::Labelled(serde_json::from_str(json)?),
            Shape::Dialogue => Self::Dialogue(serde_json::from_str(json)?),
        })
    }

    /// The class or number, if it has one.
    pub fn label(&self) -> Option<&Label> {
        match self {
            Self::Labelled(record) => record.label.as_ref(),
            _ => None,
        }
    }

    /// The texts with their fields' names, in order: lists give one entry per element.
    pub fn texts(&self) -> Vec<(&str, &str)> {
        let mut texts = Vec::new();
        match self {
            Self::Text(record) => texts.push(("text", record.text.as_str())),
            Self::Pair(record) => {
                texts.extend([("source", record.source.as_str()), ("target", record.target.as_str())]);
                // The first reference is the target.
                texts.extend(record.references.iter().skip(1).map(|text| ("references", text.as_str())));
            }
            Self::Labelled(record) => {
                texts.push(("text", &record.text));
                texts.extend(record.text_b.iter().map(|text| ("text_b", text.as_str())));
                let fields = record.fields.iter();
                texts.extend(fields.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))));
            }
            Self::Dialogue(record) => {
                texts.extend(record.persona.iter().map(|text| ("persona", text.as_str())));
                texts.extend(record.history.iter().map(|text| ("history", text.as_str())));
                texts.push(("reply", &record.reply));
                texts.extend(record.candidates.iter().map(|text| ("candidates", text.as_str())));
            }
        }
        texts
    }

    /// Checks what the types leave open.
    fn check(&self) -> Result<()> {
        let Self::Labelled(LabelledRecord { fields, label, .. }) = self else { return Ok(()) };
        let twice = OWN_KEYS.into_iter().find(|key| fields.contains_key(*key));
        ensure!(
            twice.is_none(),
            "a further field is named {:?}, as one that every record has",
            twice.unwrap_or_default()
        );
        let finite = !matches!(label, Some(Label::Number(number)) if !number.is_finite());
        ensure!(finite, "the label is not a finite number");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(shape: Shape, json: &str) -> Record {
        let record = Record::parse(shape, json).unwrap();
        assert_eq!(record.shape(), shape);
        assert_eq!(serde_json::to_string(&record).unwrap(), json);
        record
    }

    #[test]
    fn lines_are_read_and_written_alike() {
        round_trip(Shape::Text, r#"{"text":"ein schöner Tag"}"#);
        round_trip(Shape::Pairs, r#"{"source":"a","target":"b"}"#);
        let pair = round_trip(Shape::Pairs, r#"{"source":"a","target":"b","references":["b","c"]}"#);
        assert_eq!(pair.texts(), [("source", "a"), ("target", "b"), ("references", "c")]);
        let labelled = r#"{"text":"a","text_b":"b","question":"q","idx":3,"label":"yes"}"#;
        let labelled = round_trip(Shape::Labelled, labelled);
        assert_eq!(labelled.label(), Some(&Label::Class("yes".into())));
        assert_eq!(labelled.texts(), [("text", "a"), ("text_b", "b"), ("question", "q")]);
        round_trip(Shape::Labelled, r#"{"text":"a","label":4.75}"#);
        round_trip(Shape::Labelled, r#"{"text":"a"}"#);
        round_trip(Shape::Dialogue, r#"{"persona":["p"],"history":["h","i"],"reply":"r"}"#);
        round_trip(Shape::Dialogue, r#"{"persona":[],"history":["h"],"reply":"r","candidates":["r","s"]}"#);
    }

    #[test]
    fn other_shapes_are_errors() {
        assert!(Record::parse(Shape::Text, r#"{"text":"a","label":"b"}"#).is_err());
        assert!(Record::parse(Shape::Pairs, r#"{"source":"a"}"#).is_err());
        assert!(Record::parse(Shape::Labelled, r#"{"label":"b"}"#).is_err());
        assert!(Record::parse(Shape::Dialogue, r#"{"persona":"p","history":[],"reply":"r"}"#).is_err());
    }

    #[test]
    fn further_fields_may_not_hide_the_records_own() {
        let fields = Map::from_iter([("label".to_string(), Value::from(1))]);
        let record = LabelledRecord { text: "a".into(), text_b: None, fields, label: None };
        assert!(Record::Labelled(record).check().unwrap_err().to_string().contains("\"label\""));
        let label = Some(Label::Number(f64::NAN));
        let record = LabelledRecord { text: "a".into(), text_b: None, fields: Map::new(), label };
        assert!(Record::Labelled(record).check().is_err());
    }

    #[test]
    fn one_target_is_no_list_of_references() {
        let pair =
            |targets: &[&str]| PairRecord::new("s".into(), targets.iter().map(|text| text.to_string()).collect());
        assert_eq!(pair(&[]), None);
        assert!(pair(&["a"]).unwrap().references.is_empty());
        assert_eq!(pair(&["a", "b"]).unwrap().references, ["a", "b"]);
    }
}
