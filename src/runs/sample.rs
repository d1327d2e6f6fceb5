//! How a model goes on with the beginning of a row.

use serde_json::{Map, Value};

/// A beginning of a row of the validation split, and its most likely continuation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The row's number in the split.
    pub row: usize,
    /// The beginning, decoded.
    pub prompt: String,
    /// What the model says follows, decoded.
    pub continuation: String,
    /// Tokens of the continuation.
    pub tokens: usize,
    /// What was to be written, where the prompt is a source.
    pub reference: Option<String>,
}

impl Sample {
    /// The fields of an event `sample` in `metrics.jsonl`.
    pub(super) fn fields(&self, number: usize) -> Map<String, Value> {
        let mut fields = Map::from_iter([
            ("number".into(), number.into()),
            ("row".into(), self.row.into()),
            ("prompt".into(), self.prompt.clone().into()),
            ("continuation".into(), self.continuation.clone().into()),
            ("tokens".into(), self.tokens.into()),
        ]);
        if let Some(reference) = &self.reference {
            fields.insert("reference".into(), reference.clone().into());
        }
        fields
    }
}
