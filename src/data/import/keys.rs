//! JSON lines and parquet files with any keys.

use super::Take;
use super::roles::{Keys, Roles, guess, label_of_value};
use crate::data::record::{LabelledRecord, PairRecord, Record, TextRecord};
use crate::data::source::{JsonLines, ReadOptions, parquet};
use crate::refusal;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

type Object = Map<String, Value>;

/// The key that the dataset hub gives to pairs of languages.
const TRANSLATION: &str = "translation";

/// What kind of file holds the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    JsonLines,
    Parquet,
}

/// The objects of a file, one after another.
enum Objects {
    JsonLines(JsonLines),
    Parquet { path: PathBuf, rows: parquet::Rows, number: u64, progress: RowProgress },
}

/// Tells the bytes of a parquet file that were read, as if all its rows had the same size.
struct RowProgress {
    bytes: u64,
    rows: u64,
    told: u64,
    counter: Arc<AtomicU64>,
}

impl RowProgress {
    fn new(path: &Path, rows: u64, options: &ReadOptions) -> Result<Self> {
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { bytes: metadata.len(), rows, told: 0, counter: options.progress.clone() })
    }

    /// So many rows were read.
    fn reach(&mut self, rows: u64) {
        let done = u128::from(self.bytes) * u128::from(rows.min(self.rows)) / u128::from(self.rows.max(1));
        let done = u64::try_from(done).unwrap_or(self.bytes);
        self.counter.fetch_add(done - self.told, Ordering::Relaxed);
        self.told = done;
    }
}

impl Objects {
    fn open(path: &Path, container: Container, options: &ReadOptions) -> Result<Self> {
        Ok(match container {
            Container::JsonLines => Self::JsonLines(JsonLines::open(path, options)?),
            Container::Parquet => {
                let rows = parquet::rows(path, &[])?;
                let progress = RowProgress::new(path, rows.total(), options)?;
                Self::Parquet { path: path.into(), rows, number: 0, progress }
            }
        })
    }

    fn next(&mut self) -> Result<Option<Object>> {
        match self {
            Self::JsonLines(lines) => lines.next().transpose(),
            Self::Parquet { rows, number, progress, .. } => {
                progress.reach(*number);
                *number += 1;
                rows.next().transpose()
            }
        }
    }

    fn place(&self) -> String {
        match self {
            Self::JsonLines(lines) => lines.place(),
            Self::Parquet { path, number, .. } => format!("{}, row {number}", path.display()),
        }
    }
}

/// What the keys are, in all files of a set.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub container: Container,
    pub roles: Roles<String>,
    numeric: bool,
}

/// Finds out from the first object of the first file what the keys are: what the user says, else what they are in
/// well-known sets.
///
/// # Errors
/// A refusal where they cannot be told; files that cannot be read.
pub(super) fn plan(
    first: &Path,
    container: Container,
    keys: &Keys,
    numeric: bool,
    options: &ReadOptions,
) -> Result<Plan> {
    let Some(object) = Objects::open(first, container, options)?.next()? else {
        bail!("{} is empty; expected records", first.display())
    };
    let names = || object.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let roles = match keys.roles()? {
        Some(roles) => roles,
        None => guess(|name| find(&object, name).or(find(&object, &format!("{name}1"))).is_some()).ok_or_else(|| {
            refusal!(
                "{}: cannot tell which keys to take; say it with --text and --label, or --source and --target; the first \
                 record has {}",
                first.display(),
                names()
            )
        })?,
    };
    let missing = |key: &String| refusal!("{}: the first record has no {key:?}; it has {}", first.display(), names());
    let known = |key: &String| {
        let there = find(&object, key).or(find(&object, &format!("{key}1")));
        there.map(drop).ok_or_else(|| missing(key))
    };
    roles.try_map(known, |_| Ok(Some(())))?;
    Ok(Plan { container, roles, numeric })
}

/// The value of a key, of a path such as `a.b`, or of a language in the hub's pairs.
fn find<'a>(object: &'a Object, key: &str) -> Option<&'a Value> {
    if let Some(value) = object.get(key) {
        return Some(value);
    }
    if let Some((first, rest)) = key.split_once('.') {
        return find(object.get(first)?.as_object()?, rest);
    }
    object.get(TRANSLATION)?.as_object()?.get(key)
}

impl Plan {
    /// Gives the objects of a file as records. Further keys of labelled ones are further fields.
    pub fn convert(&self, path: &Path, options: &ReadOptions, take: Take) -> Result<()> {
        let mut objects = Objects::open(path, self.container, options)?;
        while let Some(object) = objects.next()? {
            take(self.record(object).with_context(|| objects.place())?)?;
        }
        Ok(())
    }

    fn record(&self, object: Object) -> Result<Record> {
        Ok(match &self.roles {
            Roles::Text { text } => Record::Text(TextRecord { text: text_of(&object, text)? }),
            Roles::Pairs { source, target } => {
                let pair = PairRecord::new(text_of(&object, source)?, targets(&object, target)?);
                Record::Pair(pair.with_context(|| format!("there is no {target:?}"))?)
            }
            Roles::Labelled { text, text_b, label } => {
                let label = label.as_ref().and_then(|key| find(&object, key));
                let label = label.map(|value| label_of_value(value, self.numeric)).transpose()?.flatten();
                let text_b = text_b.as_ref().map(|key| text_of(&object, key)).transpose()?;
                Record::Labelled(LabelledRecord {
                    text: text_of(&object, text)?,
                    text_b,
                    fields: self.others(object),
                    label,
                })
            }
        })
    }

    /// What is no text and no label.
    fn others(&self, mut object: Object) -> Object {
        if let Roles::Labelled { text, text_b, label } = &self.roles {
            let used = [Some(text), text_b.as_ref(), label.as_ref()];
            object.retain(|key, _| !used.contains(&Some(key)) && !["text", "text_b", "label"].contains(&key.as_str()));
        }
        object
    }
}

/// A string; a list of strings is joined by spaces, and a number stands as it is written.
fn text_of(object: &Object, key: &str) -> Result<String> {
    let value = find(object, key).with_context(|| format!("there is no {key:?}"))?;
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(_) => strings(value).map(|texts| texts.join(" ")),
        _ => None,
    }
    .with_context(|| format!("{key:?} is {}; expected a string", kind(value)))
}

/// The targets: `key`, one or a list, or `key1`, `key2` and so on.
fn targets(object: &Object, key: &str) -> Result<Vec<String>> {
    match find(object, key) {
        Some(list @ Value::Array(_)) => {
            strings(list).with_context(|| format!("{key:?} has an element that is no string"))
        }
        Some(_) => Ok(vec![text_of(object, key)?]),
        None => {
            let numbered = (1..).map(|number| format!("{key}{number}"));
            numbered.take_while(|key| find(object, key).is_some()).map(|key| text_of(object, &key)).collect()
        }
    }
}

fn strings(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|element| element.as_str().map(str::to_string)).collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{converted, failed};
    use super::*;
    use crate::data::parquet_file;

    fn convert(path: &Path, keys: &Keys, options: &ReadOptions, take: Take) -> Result<()> {
        plan(path, Container::JsonLines, keys, false, options)?.convert(path, options, take)
    }

    fn lines(text: &str, keys: &Keys) -> Vec<String> {
        converted(text, |path, options, take| convert(path, keys, options, take))
    }

    fn message(text: &str, keys: &Keys) -> String {
        failed(text, |path, options, take| convert(path, keys, options, take))
    }

    fn pair(source: &str, target: &str) -> Keys {
        Keys { source: Some(source.into()), target: Some(target.into()), ..Keys::default() }
    }

    #[test]
    fn one_summary_or_several() {
        let text = "{\"dialogue\": \"d\", \"summary\": \"s\", \"topic\": \"t\"}\n\
                    {\"dialogue\": \"d\", \"summary1\": \"a\", \"topic1\": \"t\", \"summary2\": \"b\"}\n";
        let expected = [r#"{"source":"d","target":"s"}"#, r#"{"source":"d","target":"a","references":["a","b"]}"#];
        assert_eq!(lines(text, &Keys::default()), expected);
        assert_eq!(lines(text, &pair("dialogue", "summary")), expected);
        let text = "{\"dialogue\": \"d\", \"summary\": \"s\"}\n{\"dialogue\": \"d\"}\n";
        assert!(message(text, &Keys::default()).contains("line 2: there is no \"summary\""));
    }

    #[test]
    fn rows_of_parquet_move_the_progress_to_the_end_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let column = parquet_file::texts(&["a", "b", "c"]);
        let schema = "message m { optional binary text (UTF8); }";
        fs::write(&path, parquet_file::file(schema, parquet_file::snappy(), &[vec![column]])).unwrap();
        let plan = plan(&path, Container::Parquet, &Keys::default(), false, &ReadOptions::default()).unwrap();
        let (options, mut seen) = (ReadOptions::default(), Vec::new());
        let done = || options.progress.load(Ordering::Relaxed);
        let mut take = |_| {
            seen.push(done());
            Ok(())
        };
        plan.convert(&path, &options, &mut take).unwrap();
        let bytes = fs::metadata(&path).unwrap().len();
        assert_eq!((seen, done()), (vec![0, bytes / 3, 2 * bytes / 3], bytes));
    }

    #[test]
    fn keys_may_be_nested() {
        let text = r#"{"translation": {"de": "Tag", "en": "day"}}"#;
        let expected = [r#"{"source":"day","target":"Tag"}"#];
        assert_eq!(lines(text, &pair("en", "de")), expected);
        assert_eq!(lines(text, &pair("translation.en", "translation.de")), expected);
        assert!(message(text, &pair("en", "fr")).contains("the first record has no \"fr\"; it has translation"));
        assert!(message(text, &Keys::default()).contains("cannot tell which keys to take"));
    }

    #[test]
    fn labelled_records_keep_their_other_keys() {
        let text = r#"{"id": 7, "text": "a", "label": 1, "more": ["x"]}"#;
        assert_eq!(lines(text, &Keys::default()), [r#"{"text":"a","id":7,"more":["x"],"label":"1"}"#]);
        let keys = Keys { text: Some("more".into()), label: Some("id".into()), ..Keys::default() };
        assert_eq!(lines(text, &keys), [r#"{"text":"x","label":"7"}"#]);
        assert!(
            message(r#"{"text": null, "label": 1}"#, &Keys::default())
                .contains("line 1: \"text\" is null; expected a string")
        );
    }
}
