//! Which keys or columns of general tables and JSON hold what.

use crate::data::record::{Label, Shape};
use crate::refuse;
use anyhow::{Context, Result};
use serde_json::Value;

/// What the user says of keys and columns: a name, a path such as `translation.en`, or in tables a number from 1 on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// The source of a pair; of files in two languages, its language.
    pub source: Option<String>,
    /// The target of a pair.
    pub target: Option<String>,
    /// The text.
    pub text: Option<String>,
    /// The second text.
    pub text_b: Option<String>,
    /// The label.
    pub label: Option<String>,
}

/// What records are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roles<T> {
    Pairs { source: T, target: T },
    Labelled { text: T, text_b: Option<T>, label: Option<T> },
    Text { text: T },
}

/// The names that pairs have in well-known sets.
const PAIRS: [(&str, &str); 8] = [
    ("source", "target"),
    ("src", "tgt"),
    ("dialogue", "summary"),
    ("article", "highlights"),
    ("article", "summary"),
    ("document", "summary"),
    ("text", "summary"),
    ("question", "answer"),
];
/// The names that two texts have in well-known sets.
const TWO_TEXTS: [(&str, &str); 4] =
    [("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("text", "text_b")];
const TEXTS: [&str; 6] = ["text", "sentence", "review", "content", "document", "question"];
const LABELS: [&str; 6] = ["label", "labels", "class", "category", "sentiment", "score"];

impl Keys {
    /// What the user says, if that is enough to make records of.
    ///
    /// # Errors
    /// A refusal of keys that do not go together.
    pub(super) fn roles(&self) -> Result<Option<Roles<String>>> {
        match self {
            Self { source: None, target: None, text: None, text_b: None, label: None } => Ok(None),
            Self { source: Some(source), target: Some(target), text: None, text_b: None, label: None } => {
                Ok(Some(Roles::Pairs { source: source.clone(), target: target.clone() }))
            }
            Self { source: None, target: None, text: Some(text), text_b: None, label: None } => {
                Ok(Some(Roles::Text { text: text.clone() }))
            }
            Self { source: None, target: None, text: Some(text), text_b, label } => {
                let (text, text_b, label) = (text.clone(), text_b.clone(), label.clone());
                Ok(Some(Roles::Labelled { text, text_b, label }))
            }
            _ => refuse!(
                "expected --source and --target, or --text with --text-b and --label where there are such; no others together"
            ),
        }
    }
}

/// What the names of keys or columns show, by the names of well-known sets. `has` answers whether a name is there.
pub(super) fn guess(has: impl Fn(&str) -> bool) -> Option<Roles<String>> {
    let own = |name: &str| name.to_string();
    let label = LABELS.into_iter().find(|name| has(name)).map(own);
    if label.is_none()
        && let Some((source, target)) = PAIRS.into_iter().find(|(source, target)| has(source) && has(target))
    {
        return Some(Roles::Pairs { source: own(source), target: own(target) });
    }
    if let Some((text, text_b)) = TWO_TEXTS.into_iter().find(|(text, text_b)| has(text) && has(text_b)) {
        return Some(Roles::Labelled { text: own(text), text_b: Some(own(text_b)), label });
    }
    let text = own(TEXTS.into_iter().find(|name| has(name))?);
    Some(match label {
        Some(_) => Roles::Labelled { text, text_b: None, label },
        None => Roles::Text { text },
    })
}

impl<T> Roles<T> {
    /// The shape of the records.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Pairs { .. } => Shape::Pairs,
            Self::Labelled { .. } => Shape::Labelled,
            Self::Text { .. } => Shape::Text,
        }
    }

    /// The same with other names; `find` is told whether the thing may be missing.
    pub fn try_map<U>(
        &self,
        find: impl Fn(&T) -> Result<U>,
        find_label: impl Fn(&T) -> Result<Option<U>>,
    ) -> Result<Roles<U>> {
        Ok(match self {
            Self::Pairs { source, target } => Roles::Pairs { source: find(source)?, target: find(target)? },
            Self::Text { text } => Roles::Text { text: find(text)? },
            Self::Labelled { text, text_b, label } => Roles::Labelled {
                text: find(text)?,
                text_b: text_b.as_ref().map(&find).transpose()?,
                label: label.as_ref().map(find_label).transpose()?.flatten(),
            },
        })
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Roles<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pairs { source, target } => write!(f, "source {source}, target {target}"),
            Self::Text { text } => write!(f, "text {text}"),
            Self::Labelled { text, text_b, label } => {
                write!(f, "text {text}")?;
                text_b.iter().try_for_each(|text| write!(f, ", text_b {text}"))?;
                label.iter().try_for_each(|label| write!(f, ", label {label}"))
            }
        }
    }
}

/// The label that a cell holds; an empty one has none. `numeric`: labels are numbers, not classes.
pub(super) fn label_of_cell(cell: &str, numeric: bool) -> Result<Option<Label>> {
    match cell.trim() {
        "" => Ok(None),
        cell if numeric => {
            let number = cell.parse().ok().filter(|number: &f64| number.is_finite());
            number.map(|number| Some(Label::Number(number))).with_context(|| not_a_number(cell))
        }
        cell => Ok(Some(Label::Class(cell.to_string()))),
    }
}

/// The label that a JSON value stands for. Whole numbers and truth values are classes unless labels are `numeric`.
pub(super) fn label_of_value(value: &Value, numeric: bool) -> Result<Option<Label>> {
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::String(text) => return label_of_cell(text, numeric),
        Value::Number(number) if numeric || !(number.is_i64() || number.is_u64()) => {
            Label::Number(number.as_f64().filter(|number| number.is_finite()).with_context(|| not_a_number(value))?)
        }
        Value::Number(_) | Value::Bool(_) if !numeric => Label::Class(value.to_string()),
        _ => anyhow::bail!("the label is {value}; expected a string, a number or nothing"),
    }))
}

fn not_a_number(found: impl std::fmt::Display) -> String {
    format!("the label is {found}; expected a number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn guessed(names: &[&str]) -> String {
        guess(|name| names.contains(&name)).map_or("nothing".into(), |roles| roles.to_string())
    }

    #[test]
    fn names_of_well_known_sets_are_known() {
        assert_eq!(guessed(&["id", "source", "target"]), "source source, target target");
        assert_eq!(guessed(&["fname", "dialogue", "summary", "topic"]), "source dialogue, target summary");
        assert_eq!(guessed(&["label", "sentence1", "sentence2"]), "text sentence1, text_b sentence2, label label");
        assert_eq!(guessed(&["text", "label"]), "text text, label label");
        assert_eq!(guessed(&["text", "url"]), "text text");
        assert_eq!(guessed(&["a", "b"]), "nothing");
    }

    #[test]
    fn what_is_said_must_go_together() {
        let keys = |source: bool, target: bool, text: bool, label: bool| {
            let name = |given: bool, name: &str| given.then(|| name.to_string());
            Keys {
                source: name(source, "s"),
                target: name(target, "t"),
                text: name(text, "x"),
                text_b: None,
                label: name(label, "l"),
            }
        };
        assert_eq!(keys(false, false, false, false).roles().unwrap(), None);
        assert_eq!(keys(true, true, false, false).roles().unwrap().unwrap().to_string(), "source s, target t");
        assert_eq!(keys(false, false, true, true).roles().unwrap().unwrap().to_string(), "text x, label l");
        for wrong in [keys(true, false, false, false), keys(true, true, true, false), keys(false, false, false, true)] {
            assert_eq!(crate::exit::code(&wrong.roles().unwrap_err()), 2);
        }
    }

    #[test]
    fn whole_numbers_are_classes_unless_numbers_are_wanted() {
        let label = |value: Value, numeric| label_of_value(&value, numeric).unwrap();
        assert_eq!(label(json!(3), false), Some(Label::Class("3".into())));
        assert_eq!(label(json!(true), false), Some(Label::Class("true".into())));
        assert_eq!(label(json!(3), true), Some(Label::Number(3.0)));
        assert_eq!(label(json!(0.5), false), Some(Label::Number(0.5)));
        assert_eq!(label(json!("3.5"), true), Some(Label::Number(3.5)));
        assert_eq!((label(Value::Null, false), label(json!(""), true)), (None, None));
        assert!(label_of_value(&json!([1]), false).is_err() && label_of_value(&json!("x"), true).is_err());
        assert!(label_of_cell("nan", true).is_err());
    }
}
