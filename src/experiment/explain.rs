//! What serde and garde say, told as one line: where, which key, what was found, what was expected.

use super::keys::{find, join};
use super::provenance::Provenance;
use serde_path_to_error::{Path, Segment};
use toml::Table;

/// Keys without a default.
const REQUIRED: &str = "required are name, task.kind, [data] and train.steps or train.epochs";

/// How serde names a type, and what a user would call it.
const TYPES: [(&str, &str); 9] = [
    ("i64", "an integer"),
    ("u64", "an integer from 0 to 9223372036854775807"),
    ("usize", "an integer from 0 to 9223372036854775807"),
    ("f64", "a number"),
    ("a boolean", "true or false"),
    ("path string", "a path in quotes"),
    ("a string", "a text in quotes"),
    ("a sequence", "a list"),
    ("string only", "one of its names in quotes"),
];

/// A key that the schema lacks, a value of another type, or a key that is missing.
pub(super) fn wrong_shape(error: &serde_path_to_error::Error<toml::de::Error>, origins: &Provenance) -> anyhow::Error {
    let key = dotted(error.path());
    let message = error.inner().message();
    if let Some(name) = message.strip_prefix("missing field ").and_then(|rest| quoted(rest).into_iter().next()) {
        return origins.refusal(&join(&key, &name), format!("missing; {REQUIRED}"));
    }
    if message.starts_with("unknown field ") {
        return origins.refusal(&key, format!("unknown key{}", expected_names(message)));
    }
    if message.starts_with("unknown variant ") {
        let found = quoted(message).into_iter().next().unwrap_or_default();
        return origins.refusal(&key, format!("found {found:?}{}", expected_names(message)));
    }
    let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    match wrong.and_then(|wrong| wrong.rsplit_once(", expected ")) {
        Some((found, expected)) => {
            let found = found.replace('`', "").replace("floating point", "number");
            origins.refusal(&key, format!("found {found}, expected {}", type_name(expected)))
        }
        None if key.is_empty() => origins.refusal("the file", message),
        None => origins.refusal(&key, message),
    }
}

/// A value outside its range. The first is told: the rest shows when that one is right.
pub(super) fn out_of_range(report: &garde::Report, table: &Table, origins: &Provenance) -> anyhow::Error {
    let Some((path, error)) = report.iter().next() else { return crate::refusal!("a value is out of range") };
    let key = spelled(&path.to_string(), table);
    let found = find(table, &key).map_or(String::new(), |value| format!("found {value}, "));
    let expected =
        error.message().replace("lower than", "expected at least").replace("greater than", "expected at most");
    origins.refusal(&key, format!("{found}{expected}"))
}

/// The key as the table spells it: garde has a field's name in Rust, which may not be that in the TOML.
fn spelled(key: &str, table: &Table) -> String {
    key.split('.').fold(String::new(), |above, name| {
        let below = |name: &str| if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") };
        let hyphens = below(&name.replace('_', "-"));
        if find(table, &hyphens).is_some() { hyphens } else { below(name) }
    })
}

/// The names that the configuration takes for a value of type `T`, an enum of names.
pub(super) fn names_of<T: serde::de::DeserializeOwned>() -> Vec<String> {
    match T::deserialize(toml::Value::String(String::new())) {
        Ok(_) => Vec::new(),
        Err(error) => quoted(error.message()).into_iter().skip(1).collect(),
    }
}

/// The dotted key that serde had reached.
fn dotted(path: &Path) -> String {
    path.iter().fold(String::new(), |key, segment| match segment {
        Segment::Map { key: name } => join(&key, name),
        Segment::Seq { index } => format!("{key}[{index}]"),
        // The name of a variant stands in the value, not in the key.
        Segment::Enum { .. } | Segment::Unknown => key,
    })
}

fn type_name(expected: &str) -> &str {
    if expected.starts_with("struct ") {
        return "a table";
    }
    TYPES.iter().find(|(serde, _)| *serde == expected).map_or(expected, |(_, told)| told)
}

/// `; did you mean "heads"? expected layers, heads`, from serde's list of names.
fn expected_names(message: &str) -> String {
    let mut names = quoted(message).into_iter();
    let found = names.next().unwrap_or_default();
    let names: Vec<String> = names.collect();
    if names.is_empty() {
        return String::new();
    }
    let near = names.iter().map(|name| (distance(&found, name), name)).min();
    let hint = match near {
        // A name of two letters is two edits from every other.
        Some((edits, name)) if edits <= 2 && edits < name.len() => format!("; did you mean {name:?}? expected "),
        _ => ", expected ".to_owned(),
    };
    format!("{hint}{}", names.join(", "))
}

/// The texts between backticks.
fn quoted(message: &str) -> Vec<String> {
    message.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Levenshtein's distance: the insertions, deletions and replacements between two texts.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::kind::Kind;

    #[test]
    fn distances_count_edits() {
        assert_eq!(distance("haeds", "heads"), 2);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("lr", "lr"), 0);
    }

    #[test]
    fn types_have_a_users_names() {
        assert_eq!(type_name("u64"), "an integer from 0 to 9223372036854775807");
        assert_eq!(type_name("struct ModelOptions"), "a table");
        assert_eq!(type_name("an array of length 2"), "an array of length 2");
    }

    #[test]
    fn names_come_from_the_enum_itself() {
        assert_eq!(names_of::<Kind>(), Kind::pure().map(|kind| kind.to_string()).collect::<Vec<_>>());
        assert_eq!(names_of::<crate::model::options::Architecture>(), ["decoder", "encoder-decoder"]);
    }

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        let near = expected_names("unknown field `haeds`, expected one of `layers`, `heads`");
        assert_eq!(near, "; did you mean \"heads\"? expected layers, heads");
        let far = expected_names("unknown field `width`, expected one of `layers`, `heads`");
        assert_eq!(far, ", expected layers, heads");
        assert_eq!(expected_names("unknown field `xy`, expected `lr`"), ", expected lr");
    }
}
