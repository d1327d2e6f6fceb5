//! SciTLDR: a paper's sentences and one summary or several.

use super::Take;
use crate::data::record::{PairRecord, Record};
use crate::data::source::{JsonLines, ReadOptions};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::path::Path;

/// Gives the papers as pairs: the sentences, joined by spaces, and the summaries.
pub(super) fn convert(path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
    let mut lines = JsonLines::open(path, options)?;
    while let Some(object) = lines.next().transpose()? {
        let record = record(&object).with_context(|| lines.place())?;
        take(Record::Pair(record))?;
    }
    Ok(())
}

fn record(object: &Map<String, Value>) -> Result<PairRecord> {
    let source = texts(object, "source")?.join(" ");
    PairRecord::new(source, texts(object, "target")?).context("\"target\" is an empty list")
}

fn texts(object: &Map<String, Value>, key: &str) -> Result<Vec<String>> {
    let Some(list) = object.get(key).and_then(Value::as_array) else { bail!("there is no list {key:?}") };
    let texts = list.iter().map(|text| text.as_str().map(|text| text.trim().to_string()));
    texts.collect::<Option<_>>().with_context(|| format!("{key:?} has an element that is no string"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{converted, failed};
    use super::*;

    #[test]
    fn sentences_are_joined_and_summaries_kept() {
        let text = r#"{"source": ["A b.\n\n", "C."], "source_labels": [1, 0], "target": ["d"], "title": "e"}
            {"source": ["A"], "target": ["b", "c"]}"#;
        let expected =
            [r#"{"source":"A b. C.","target":"d"}"#, r#"{"source":"A","target":"b","references":["b","c"]}"#];
        assert_eq!(converted(text, convert), expected);
        assert!(failed(r#"{"source": ["A"], "target": []}"#, convert).contains("line 1: \"target\" is an empty list"));
        assert!(failed(r#"{"source": "A", "target": ["b"]}"#, convert).contains("line 1: there is no list \"source\""));
    }
}
