//! The JSON lines of the SuperGLUE tasks.

use super::Take;
use super::inputs::Input;
use crate::data::record::{Label, LabelledRecord, Record};
use crate::data::source::{JsonLines, ReadOptions};
use crate::refuse;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::path::Path;

type Object = Map<String, Value>;

/// A task: which keys its texts and labels have.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::data) struct Task {
    /// The name in lower case, as on the dataset hub.
    pub name: &'static str,
    /// The folder in the archive of the benchmark.
    folder: &'static str,
    /// The keys that show the task.
    keys: &'static [&'static str],
    /// The key of the text and that of the second text.
    texts: (&'static str, Option<&'static str>),
    /// Further keys that are kept, by their path.
    fields: &'static [&'static str],
    /// The names of the classes, in the order of the numbers that stand for them; none where the task has none.
    classes: &'static [&'static str],
}

const YES_NO: &[&str] = &["False", "True"];
const ENTAILMENT: &[&str] = &["entailment", "not_entailment"];
const PREMISE: (&str, Option<&str>) = ("premise", Some("hypothesis"));

/// Classes have the names and the order that the dataset hub gives them.
const TASKS: [Task; 10] = [
    Task {
        name: "boolq",
        folder: "BoolQ",
        keys: &["question", "passage"],
        texts: ("passage", Some("question")),
        fields: &[],
        classes: YES_NO,
    },
    Task {
        name: "cb",
        folder: "CB",
        keys: &["premise", "hypothesis"],
        texts: PREMISE,
        fields: &[],
        classes: &["entailment", "contradiction", "neutral"],
    },
    Task {
        name: "copa",
        folder: "COPA",
        keys: &["premise", "choice1", "choice2", "question"],
        texts: ("premise", None),
        fields: &["choice1", "choice2", "question"],
        classes: &["choice1", "choice2"],
    },
    Task { name: "multirc", folder: "MultiRC", keys: &["passage"], texts: ("", None), fields: &[], classes: YES_NO },
    Task { name: "record", folder: "ReCoRD", keys: &["passage", "qas"], texts: ("", None), fields: &[], classes: &[] },
    Task {
        name: "rte",
        folder: "RTE",
        keys: &["premise", "hypothesis"],
        texts: PREMISE,
        fields: &[],
        classes: ENTAILMENT,
    },
    Task {
        name: "wic",
        folder: "WiC",
        keys: &["word", "sentence1", "sentence2"],
        texts: ("sentence1", Some("sentence2")),
        fields: &["word", "start1", "end1", "start2", "end2"],
        classes: YES_NO,
    },
    Task {
        name: "wsc",
        folder: "WSC",
        keys: &["text", "target"],
        texts: ("text", None),
        fields: &["target.span1_text", "target.span1_index", "target.span2_text", "target.span2_index"],
        classes: YES_NO,
    },
    Task {
        name: "axb",
        folder: "AX-b",
        keys: &["sentence1", "sentence2"],
        texts: ("sentence1", Some("sentence2")),
        fields: &[],
        classes: ENTAILMENT,
    },
    Task {
        name: "axg",
        folder: "AX-g",
        keys: &["premise", "hypothesis"],
        texts: PREMISE,
        fields: &[],
        classes: ENTAILMENT,
    },
];

/// The task of the folder that a file lies in.
pub(super) fn task_of(input: &Input) -> Option<&'static Task> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '_'], "");
    let folder = plain(&input.folder());
    TASKS.iter().find(|task| plain(task.folder) == folder || plain(&format!("superglue{}", task.name)) == folder)
}

/// The task of all inputs.
///
/// # Errors
/// A refusal of folders that are no task's.
pub(super) fn task_of_all(inputs: &[Input]) -> Result<&'static Task> {
    let Some(task) = inputs.first().and_then(task_of) else {
        let folders: Vec<&str> = TASKS.iter().map(|task| task.folder).collect();
        refuse!("the files lie in no folder of a SuperGLUE task; expected a folder named {}", folders.join(", "))
    };
    match inputs.iter().find(|input| task_of(input) != Some(task)) {
        Some(other) => refuse!("{} is no file of {}; import one task at a time", other.path.display(), task.folder),
        None => Ok(task),
    }
}

impl Task {
    /// Whether a record looks like one of the task.
    pub fn fits(&self, record: &Object) -> bool {
        self.keys.iter().all(|key| record.contains_key(*key))
    }

    /// The names of the classes, in order.
    pub fn classes(&self) -> Option<Vec<String>> {
        let classes = self.classes.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        (!classes.is_empty()).then_some(classes)
    }

    /// Gives what the lines hold as records: one a line, of MultiRC one an answer, of ReCoRD one a query.
    pub fn convert(&self, path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
        let mut lines = JsonLines::open(path, options)?;
        while let Some(object) = lines.next().transpose()? {
            let records = match self.name {
                "multirc" => self.answers(&object),
                "record" => queries(&object),
                _ => self.record(&object).map(|record| vec![record]),
            };
            for record in records.with_context(|| lines.place())? {
                take(Record::Labelled(record))?;
            }
        }
        Ok(())
    }

    fn record(&self, object: &Object) -> Result<LabelledRecord> {
        let (text, text_b) = self.texts;
        let mut fields = Map::new();
        for path in self.fields {
            let key = path.rsplit('.').next().unwrap_or(path);
            let found = path.split('.').try_fold(None, |value: Option<&Value>, key| {
                let inner = value.map_or(object.get(key), |value| value.get(key));
                inner.map(Some)
            });
            let value = found.flatten().with_context(|| format!("there is no {path:?}"))?;
            fields.insert(key.to_string(), value.clone());
        }
        Ok(LabelledRecord {
            text: text_of(object, text)?,
            text_b: text_b.map(|key| text_of(object, key)).transpose()?,
            fields,
            label: self.label(object)?,
        })
    }

    /// One record an answer; those of a question have its number as their group.
    fn answers(&self, object: &Object) -> Result<Vec<LabelledRecord>> {
        let passage = inner(object, "passage")?;
        let text = text_of(passage, "text")?;
        let mut records = Vec::new();
        for question in objects(passage, "questions")? {
            let asked = text_of(question, "question")?;
            for answer in objects(question, "answers")? {
                let mut fields = Map::new();
                fields.insert("question".into(), asked.clone().into());
                fields.insert("answer".into(), text_of(answer, "text")?.into());
                fields.insert("group".into(), question.get("idx").cloned().context("a question has no idx")?);
                records.push(LabelledRecord { text: text.clone(), text_b: None, fields, label: self.label(answer)? });
            }
        }
        Ok(records)
    }

    /// The class, which is stored by its name, its number or as a truth value.
    fn label(&self, object: &Object) -> Result<Option<Label>> {
        let label = match object.get("label") {
            None | Some(Value::Null) => return Ok(None),
            Some(label) => label,
        };
        let name = match label {
            Value::Bool(value) => YES_NO.get(usize::from(*value)).copied(),
            Value::String(name) => Some(name.as_str()),
            // The hub's test rows have −1.
            Value::Number(number) if number.as_i64() == Some(-1) => return Ok(None),
            Value::Number(number) => number.as_u64().and_then(|number| self.classes.get(number as usize)).copied(),
            _ => None,
        };
        let class = self.classes.iter().find(|class| name.is_some_and(|name| class.eq_ignore_ascii_case(name)));
        let class =
            class.with_context(|| format!("the label is {label}; expected one of {}", self.classes.join(", ")))?;
        Ok(Some(Label::Class(class.to_string())))
    }
}

/// One record a query of ReCoRD, with the entities to choose from and the right ones where they are given.
fn queries(object: &Object) -> Result<Vec<LabelledRecord>> {
    let passage = inner(object, "passage")?;
    let text = text_of(passage, "text")?;
    let mut entities: Vec<String> = Vec::new();
    for span in objects(passage, "entities")? {
        let place =
            |key: &str| span.get(key).and_then(Value::as_u64).with_context(|| format!("an entity has no {key}"));
        let (start, end) = (place("start")? as usize, place("end")? as usize);
        // Ends are counted in characters and inclusive.
        let entity: String = text.chars().skip(start).take((end + 1).saturating_sub(start)).collect();
        if !entities.contains(&entity) {
            entities.push(entity);
        }
    }
    let mut records = Vec::new();
    for query in objects(object, "qas")? {
        let mut fields = Map::new();
        fields.insert("query".into(), text_of(query, "query")?.into());
        fields.insert("entities".into(), entities.clone().into());
        if query.contains_key("answers") {
            let mut answers: Vec<String> = Vec::new();
            for answer in objects(query, "answers")? {
                let answer = text_of(answer, "text")?;
                if !answers.contains(&answer) {
                    answers.push(answer);
                }
            }
            fields.insert("answers".into(), answers.into());
        }
        records.push(LabelledRecord { text: text.clone(), text_b: None, fields, label: None });
    }
    Ok(records)
}

fn text_of(object: &Object, key: &str) -> Result<String> {
    let value = object.get(key).with_context(|| format!("there is no {key:?}"))?;
    value.as_str().map(str::to_string).with_context(|| format!("{key:?} is no string"))
}

fn inner<'a>(object: &'a Object, key: &str) -> Result<&'a Object> {
    object.get(key).and_then(Value::as_object).with_context(|| format!("there is no object {key:?}"))
}

fn objects<'a>(object: &'a Object, key: &str) -> Result<Vec<&'a Object>> {
    let list = object.get(key).and_then(Value::as_array).with_context(|| format!("there is no list {key:?}"))?;
    list.iter()
        .map(|element| element.as_object().with_context(|| format!("{key:?} has an element that is no object")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{converted, failed};
    use super::*;

    fn task(name: &str) -> &'static Task {
        TASKS.iter().find(|task| task.name == name).unwrap()
    }

    fn lines(name: &str, text: &str) -> Vec<String> {
        converted(text, |path, options, take| task(name).convert(path, options, take))
    }

    #[test]
    fn labels_are_names_numbers_or_truth_values() {
        let boolq = r#"{"question": "q", "passage": "p", "idx": 0, "label": true}"#;
        assert_eq!(lines("boolq", boolq), [r#"{"text":"p","text_b":"q","label":"True"}"#]);
        let copa = r#"{"premise": "p", "choice1": "a", "choice2": "b", "question": "cause", "label": 1, "idx": 2}"#;
        let expected = r#"{"text":"p","choice1":"a","choice2":"b","question":"cause","label":"choice2"}"#;
        assert_eq!(lines("copa", copa), [expected]);
        let rte = "{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": \"not_entailment\"}\n{\"premise\": \"p\", \"hypothesis\": \"h\"}";
        let expected = [r#"{"text":"p","text_b":"h","label":"not_entailment"}"#, r#"{"text":"p","text_b":"h"}"#];
        assert_eq!(lines("rte", rte), expected);
        let wsc = r#"{"text": "t", "target": {"span2_index": 2, "span1_index": 1, "span1_text": "a", "span2_text": "b"}, "label": false}"#;
        let expected =
            r#"{"text":"t","span1_text":"a","span1_index":1,"span2_text":"b","span2_index":2,"label":"False"}"#;
        assert_eq!(lines("wsc", wsc), [expected]);
        let message = failed(r#"{"premise":"p","hypothesis":"h","label":3}"#, |path, options, take| {
            task("cb").convert(path, options, take)
        });
        assert!(message.contains("line 1: the label is 3; expected one of entailment, contradiction"), "{message}");
        let message = failed(r#"{"premise":"p"}"#, |path, options, take| task("cb").convert(path, options, take));
        assert!(message.contains("line 1: there is no \"hypothesis\""), "{message}");
    }

    #[test]
    fn answers_and_queries_are_records() {
        let multirc = r#"{"passage": {"text": "t", "questions": [{"question": "q", "idx": 7, "answers": [
            {"text": "a", "label": 0}, {"text": "b", "label": 1}]}]}}"#
            .replace('\n', " ");
        let expected = [
            r#"{"text":"t","question":"q","answer":"a","group":7,"label":"False"}"#,
            r#"{"text":"t","question":"q","answer":"b","group":7,"label":"True"}"#,
        ];
        assert_eq!(lines("multirc", &multirc), expected);
        let record =
            r#"{"passage": {"text": "Ada met Bo", "entities": [{"start": 8, "end": 9}, {"start": 0, "end": 2}]},
            "qas": [{"query": "@placeholder met", "answers": [{"text": "Ada"}, {"text": "Ada"}]}]}"#
                .replace('\n', " ");
        let expected = r#"{"text":"Ada met Bo","query":"@placeholder met","entities":["Bo","Ada"],"answers":["Ada"]}"#;
        assert_eq!(lines("record", &record), [expected]);
    }
}
