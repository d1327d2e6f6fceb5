//! ConvAI2 (PersonaChat): dialogues as JSON, or in the text layout of ParlAI.

use super::Take;
use crate::data::record::{DialogueRecord, Record};
use crate::data::source::{Lines, ReadOptions, first_sign, json_array};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use std::path::Path;

const OWN_PERSONA: &str = "your persona: ";
const OTHERS_PERSONA: &str = "partner's persona: ";

/// Gives every reply with what was said before it.
pub(super) fn convert(path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
    match first_sign(path)? {
        Some(b'[') => convert_json(path, options, take),
        _ => convert_parlai(path, options, take),
    }
}

/// An array of `{"meta": [sentence, …], "dialogue": [[said, reply], …]}`. `meta` is about who replies. Dialogues without
/// it, as those of Multi-Session Chat, have no persona: their `user_memory` is about the other one.
fn convert_json(path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
    json_array(path, options, |_, dialogue| {
        let persona = match dialogue.get("meta") {
            Some(meta) => texts(meta).context("\"meta\" is no list of strings")?,
            None => Vec::new(),
        };
        let mut history = Vec::new();
        for turn in turns(&dialogue)? {
            let [said, reply] = turn;
            history.push(said);
            let (persona, candidates) = (persona.clone(), Vec::new());
            take(Record::Dialogue(DialogueRecord {
                persona,
                history: history.clone(),
                reply: reply.clone(),
                candidates,
            }))?;
            history.push(reply);
        }
        Ok(())
    })
}

fn turns(dialogue: &Map<String, Value>) -> Result<Vec<[String; 2]>> {
    let Some(turns) = dialogue.get("dialogue").and_then(Value::as_array) else {
        bail!("there is no list \"dialogue\"")
    };
    let pair = |turn: &Value| <[String; 2]>::try_from(texts(turn)?).ok();
    turns.iter().map(pair).collect::<Option<_>>().context("a turn of \"dialogue\" is no list of two strings")
}

fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_string)).collect()
}

/// Lines `<number> your persona: <sentence>` and `<number> <said>\t<reply>\t<reward>\t<candidate>|<candidate>…`; the
/// number 1 begins a dialogue.
fn convert_parlai(path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
    let mut lines = Lines::open_with(path, options)?;
    let (mut persona, mut history) = (Vec::new(), Vec::new());
    let mut line = String::new();
    while lines.read(&mut line)? {
        if line.trim().is_empty() {
            continue;
        }
        let numbered = line.split_once(' ').and_then(|(number, rest)| Some((number.parse::<u32>().ok()?, rest)));
        let (number, rest) = numbered.with_context(|| format!("{}: expected a number, then text", lines.place()))?;
        if number == 1 {
            persona = Vec::new();
            history = Vec::new();
        }
        if let Some(sentence) = rest.strip_prefix(OWN_PERSONA) {
            persona.push(sentence.to_string());
        } else if !rest.starts_with(OTHERS_PERSONA) {
            let record = exchange(rest, &persona, &mut history).with_context(|| lines.place())?;
            take(Record::Dialogue(record))?;
        }
    }
    Ok(())
}

fn exchange(rest: &str, persona: &[String], history: &mut Vec<String>) -> Result<DialogueRecord> {
    let cells: Vec<&str> = rest.split('\t').collect();
    ensure!(cells.len() >= 2, "expected what is said, a tab and the reply");
    history.push(cells[0].to_string());
    let reply = cells[1].to_string();
    let candidates = cells.get(3).map(|list| list.split('|').map(str::to_string).collect()).unwrap_or_default();
    let record =
        DialogueRecord { persona: persona.to_vec(), history: history.clone(), reply: reply.clone(), candidates };
    history.push(reply);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{converted, failed};
    use super::*;

    #[test]
    fn every_reply_has_its_history() {
        let json = r#"[{"meta": ["i ski."], "dialogue": [["hi", "hello"], ["who?", "me"]]},
            {"id": "valid_0", "user_memory": [["I ski."]], "dialogue": [["a", "b"]]}]"#;
        let expected = [
            r#"{"persona":["i ski."],"history":["hi"],"reply":"hello"}"#,
            r#"{"persona":["i ski."],"history":["hi","hello","who?"],"reply":"me"}"#,
            r#"{"persona":[],"history":["a"],"reply":"b"}"#,
        ];
        assert_eq!(converted(json, convert), expected);
        let parlai = "1 your persona: i ski.\n2 partner's persona: i run.\n3 hi\thello\t\tyes|hello\n4 who?\tme\n\
                      1 a\tb\n";
        let with_candidates = r#"{"persona":["i ski."],"history":["hi"],"reply":"hello","candidates":["yes","hello"]}"#;
        assert_eq!(converted(parlai, convert), [with_candidates, expected[1], expected[2]]);
    }

    #[test]
    fn damage_is_said() {
        let message = failed(r#"[{"dialogue": [["a", "b"]]}, {"dialogue": [["a"]]}]"#, convert);
        assert!(message.contains("element 2: a turn of \"dialogue\" is no list of two strings"), "{message}");
        assert!(failed("[{\"meta\": []}]", convert).contains("element 1: there is no list \"dialogue\""));
        assert!(failed("1 a\tb\nhello\n", convert).contains("line 2: expected a number"));
        assert!(failed("1 a\tb\n2 c\n", convert).contains("line 2: expected what is said"));
    }
}
