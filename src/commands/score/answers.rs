//! What the lines of a file hold: each a text, or in JSON lines answers, `{"group": ID, "answers": [TEXT, …]}`.

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// A line: a text, or the answers to a question, or some of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Line<'a> {
    /// What the line belongs to; lines of a file with the same group belong together.
    pub group: Option<String>,
    /// The texts.
    pub answers: Vec<Cow<'a, str>>,
}

/// A line of JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(default)]
    group: Option<Value>,
    answers: Vec<Value>,
}

impl Line<'_> {
    /// The answers as whether each is right: 1 or 0, true or false.
    pub fn judgements(&self) -> Result<Vec<bool>> {
        let judgement = |text: &Cow<str>| match text.as_ref() {
            "1" | "true" => Ok(true),
            "0" | "false" => Ok(false),
            _ => bail!("{text:?} is neither 1 nor 0; expected whether each answer of the question is right"),
        };
        self.answers.iter().map(judgement).collect()
    }
}

/// Each line a text.
pub fn texts<'a>(lines: &[&'a str]) -> Vec<Line<'a>> {
    lines.iter().map(|line| Line { group: None, answers: vec![Cow::from(*line)] }).collect()
}

/// Answers where the first line is JSON that has some, else each line a text. `name` is what messages call the file.
///
/// # Errors
/// JSON lines that hold anything else, with their number.
pub fn parse<'a>(name: &str, lines: &[&'a str]) -> Result<Vec<Line<'a>>> {
    let first = lines.first().copied().unwrap_or_default();
    if !serde_json::from_str::<Value>(first).is_ok_and(|value| value.get("answers").is_some()) {
        return Ok(texts(lines));
    }
    let parse = |(i, line): (usize, &&str)| record(line).with_context(|| format!("{name}, line {}", i + 1));
    lines.iter().enumerate().map(parse).collect()
}

fn record(line: &str) -> Result<Line<'static>> {
    let record: Record = serde_json::from_str(line)
        .map_err(|error| anyhow!("{error}; expected {{\"group\": ID, \"answers\": [TEXT, …]}}"))?;
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => bail!("{value} is no text, number or boolean"),
    };
    let answers = record.answers.into_iter().map(|answer| text(answer).map(Cow::from));
    Ok(Line { group: record.group.map(text).transpose()?, answers: answers.collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_a_file_holds() {
        let lines = [r#"{"group": 7, "answers": ["a b", 1, true]}"#, r#"{"answers": []}"#];
        let parsed = parse("x", &lines).unwrap();
        assert_eq!(parsed[0].answers, ["a b", "1", "true"]);
        assert_eq!((parsed[0].group.as_deref(), parsed[1].answers.len()), (Some("7"), 0));
        assert_eq!(parse("x", &["{a}", "{\"b\": 1}"]).unwrap()[1].answers, ["{\"b\": 1}"]);
    }

    #[test]
    fn errors_name_the_line() {
        for wrong in ["", "{}", r#"{"answers": "a"}"#, r#"{"answers": [null]}"#, r#"{"answers": [], "answer": 1}"#] {
            let error = format!("{:#}", parse("x.jsonl", &[r#"{"answers": []}"#, wrong]).unwrap_err());
            assert!(error.contains("x.jsonl, line 2"), "{error}");
        }
    }

    #[test]
    fn judgements_are_ones_and_zeros() {
        let line =
            |answers: &[&'static str]| Line { group: None, answers: answers.iter().map(|a| (*a).into()).collect() };
        assert_eq!(line(&["1", "0", "true"]).judgements().unwrap(), [true, false, true]);
        assert!(line(&["yes"]).judgements().is_err());
    }
}
