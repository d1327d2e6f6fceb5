//! A path, or one for the source and one for the target.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where the text of a split lies: in one place, or, of a task with a source and a target, in two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Paths {
    /// One text.
    One(PathBuf),
    /// The source and the target, line by line.
    Pair([PathBuf; 2]),
}

impl Paths {
    /// Each of them.
    pub fn all(&self) -> &[PathBuf] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Pair(paths) => paths,
        }
    }

    /// The one path.
    pub fn one(&self) -> Option<&Path> {
        match self {
            Self::One(path) => Some(path),
            Self::Pair(_) => None,
        }
    }

    /// Source and target.
    pub fn pair(&self) -> Option<&[PathBuf; 2]> {
        match self {
            Self::One(_) => None,
            Self::Pair(paths) => Some(paths),
        }
    }
}

impl From<PathBuf> for Paths {
    fn from(path: PathBuf) -> Self {
        Self::One(path)
    }
}

impl From<&str> for Paths {
    fn from(path: &str) -> Self {
        Self::One(path.into())
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

/// Reads either form; serde's own for untagged enums would not say what was found.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Paths;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, path: &str) -> Result<Paths, E> {
        Ok(Paths::One(path.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Paths, A::Error> {
        let mut paths = Vec::new();
        while let Some(path) = list.next_element::<PathBuf>()? {
            paths.push(path);
        }
        match <[PathBuf; 2]>::try_from(paths) {
            Ok(pair) => Ok(Paths::Pair(pair)),
            Err(paths) => Err(A::Error::custom(format!("found a list of {}, expected {EXPECTED}", paths.len()))),
        }
    }
}

/// What a key of this type takes.
const EXPECTED: &str = "a path in quotes or a pair [\"SOURCE\", \"TARGET\"]";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Table {
        train: Paths,
    }

    #[test]
    fn one_path_and_two_are_read_and_written() {
        for text in ["train = \"a\"\n", "train = [\"a.en\", \"a.de\"]\n"] {
            let table: Table = toml::from_str(text).unwrap();
            assert_eq!(toml::to_string(&table).unwrap(), text);
        }
        let pair = Paths::Pair(["a".into(), "b".into()]);
        assert_eq!((pair.one(), pair.all().len()), (None, 2));
        assert_eq!((Paths::from("a").pair(), Paths::from("a").all().len()), (None, 1));
    }

    #[test]
    fn other_forms_name_what_was_found_and_expected() {
        for (text, found) in [
            ("train = 5", "invalid type: integer `5`"),
            ("train = []", "found a list of 0"),
            ("train = [\"a\"]", "found a list of 1"),
            ("train = [\"a\", \"b\", \"c\"]", "found a list of 3"),
            ("train = [\"a\", 5]", "invalid type: integer `5`, expected path string"),
        ] {
            let message = toml::from_str::<Table>(text).unwrap_err().message().to_string();
            assert!(message.starts_with(found), "{message}");
            assert!(message.ends_with(EXPECTED) || text.contains("\"a\", 5"), "{message}");
        }
    }
}
