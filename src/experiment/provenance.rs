//! Where each key of a configuration came from, so that an error can name file and line.

use super::keys::{is_below, join};
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use toml::de::{DeTable, DeValue};

/// What gave a key its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of a file.
    File {
        /// The file as the user named it.
        file: String,
        /// Counted from 1.
        line: usize,
        /// Bytes before the key, which order the keys of one line.
        offset: usize,
    },
    /// `--set TEXT`.
    Set(String),
    /// Another argument as the user gave it, or may give it, such as `--models 512x6x8x2048`.
    Argument(String),
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { file, line, .. } => write!(f, "{file}:{line}"),
            Origin::Set(text) => write!(f, "--set {text}"),
            Origin::Argument(text) => f.write_str(text),
        }
    }
}

/// The origins of a configuration's keys, by dotted key.
#[derive(Debug, Clone)]
pub(crate) struct Provenance {
    file: String,
    origins: BTreeMap<String, Origin>,
}

impl Provenance {
    /// The lines of `table`, which was parsed from `text`, the contents of `file`.
    pub(crate) fn of_file(file: &str, text: &str, table: &DeTable<'_>) -> Self {
        let mut provenance = Self { file: file.to_owned(), origins: BTreeMap::new() };
        provenance.add_table("", text, table);
        provenance
    }

    /// No origins yet; `command` stands where a file's name would.
    pub(crate) fn of_command(command: &str) -> Self {
        Self { file: command.to_owned(), origins: BTreeMap::new() }
    }

    fn add_table(&mut self, prefix: &str, text: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            self.add(join(prefix, key.get_ref()), text, key.span().start, value.get_ref());
        }
    }

    fn add(&mut self, key: String, text: &str, offset: usize, value: &DeValue<'_>) {
        match value {
            DeValue::Table(inner) => self.add_table(&key, text, inner),
            DeValue::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    self.add(format!("{key}[{index}]"), text, element.span().start, element.get_ref());
                }
            }
            _ => {}
        }
        let origin = Origin::File { file: self.file.clone(), line: line_at(text, offset), offset };
        self.origins.insert(key, origin);
    }

    /// Gives one key an origin.
    pub(crate) fn set(&mut self, key: &str, origin: Origin) {
        self.origins.insert(key.to_owned(), origin);
    }

    /// Drops a key and all below it: another value took their place.
    pub(crate) fn forget(&mut self, key: &str) {
        self.origins.retain(|known, _| known != key && !is_below(known, key));
    }

    /// Takes over the origins, and the name, of a file whose keys stand over this one's.
    pub(crate) fn extend(&mut self, over: Provenance) {
        self.file = over.file;
        self.origins.extend(over.origins);
    }

    /// The origin of the key itself, or of the first key below it.
    pub(crate) fn given(&self, key: &str) -> Option<&Origin> {
        let below = || self.origins.iter().find(|(known, _)| is_below(known, key)).map(|(_, origin)| origin);
        self.origins.get(key).or_else(below)
    }

    /// The origin of the key, or of the nearest table around it.
    fn nearest(&self, key: &str) -> Option<&Origin> {
        let mut key = key;
        loop {
            if let Some(origin) = self.given(key) {
                return Some(origin);
            }
            key = &key[..key.rfind(['.', '['])?];
        }
    }

    /// A refusal in one line, `ORIGIN: KEY: what`, placed where the key was given.
    pub(crate) fn refusal(&self, key: &str, what: impl Display) -> anyhow::Error {
        self.refusal_of(&[key], what)
    }

    /// As [`Self::refusal`], about the first of `keys`; placed at the first of them that was given.
    pub(crate) fn refusal_of(&self, keys: &[&str], what: impl Display) -> anyhow::Error {
        let key = keys.first().copied().unwrap_or_default();
        match self.place(keys) {
            // Such a text starts with the key.
            Some(Origin::Set(text)) if text.starts_with(&format!("{key}=")) => {
                one_line(&format!("--set {text}: {what}"))
            }
            _ => self.refusal_at(keys, format!("{key}: {what}")),
        }
    }

    /// A refusal in one line, `ORIGIN: message`, placed at the first of `keys` that was given.
    pub(crate) fn refusal_at(&self, keys: &[&str], message: impl Display) -> anyhow::Error {
        match self.place(keys) {
            Some(origin) => one_line(&format!("{origin}: {message}")),
            None => one_line(&format!("{}: {message}", self.file)),
        }
    }

    fn place(&self, keys: &[&str]) -> Option<&Origin> {
        keys.iter().find_map(|key| self.given(key)).or_else(|| self.nearest(keys.first()?))
    }
}

/// A refusal whose control characters, such as the line ends of a quoted text, are escaped.
pub(crate) fn one_line(message: &str) -> anyhow::Error {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    crate::refusal!("{}", message.chars().map(escape).collect::<String>())
}

/// The line, from 1, of a byte offset.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(text: &str) -> Provenance {
        Provenance::of_file("x.toml", text, DeTable::parse(text).unwrap().get_ref())
    }

    #[test]
    fn every_form_of_key_has_its_line() {
        let text = "name = \"a\"\n\n[model]\nheads = 4\n[train]\nbest.mode = \"min\"\nlist = [\n1,\n2]\n[[cell]]\n[[cell]]\nset = { \"a.b\" = 1 }\n";
        let origins = origins(text);
        let cases = [
            ("name", 1),
            ("model", 3),
            ("model.heads", 4),
            ("train.best", 6),
            ("train.best.mode", 6),
            ("train.list", 7),
            ("train.list[1]", 9),
            ("cell[0]", 10),
            ("cell[1].set.\"a.b\"", 12),
        ];
        for (key, line) in cases {
            assert_eq!(origins.given(key).unwrap().to_string(), format!("x.toml:{line}"), "{key}");
        }
    }

    #[test]
    fn a_refusal_stands_at_the_key_or_the_table_around_it() {
        let mut origins = origins("[model]\nheads = 4\n");
        assert_eq!(origins.refusal("model.heads", "bad").to_string(), "x.toml:2: model.heads: bad");
        assert_eq!(origins.refusal("model.norm", "bad").to_string(), "x.toml:1: model.norm: bad");
        assert_eq!(origins.refusal("train.steps", "bad\n").to_string(), "x.toml: train.steps: bad\\n");
        assert_eq!(origins.refusal_of(&["seed", "model.heads"], "bad").to_string(), "x.toml:2: seed: bad");
        origins.set("model.heads", Origin::Set("model.heads=5".into()));
        assert_eq!(origins.refusal("model.heads", "bad").to_string(), "--set model.heads=5: bad");
        origins.forget("model");
        assert!(origins.given("model.heads").is_none());
    }
}
