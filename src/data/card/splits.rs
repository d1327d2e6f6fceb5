//! The splits of a card: an object of JSON whose keys keep their order.

use super::SPLITS;
use crate::runs::is_name;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// What one split's file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCard {
    /// How many source files it holds.
    pub files: u64,
    /// How many records, or lines of running text; 0 in cards that do not say.
    #[serde(default)]
    pub records: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

/// The splits with their names: train, validation and test where there are such, then others by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CardSplits(Vec<(String, SplitCard)>);

impl CardSplits {
    /// Adds a split at its place, or replaces the one of that name.
    pub fn insert(&mut self, name: &str, split: SplitCard) {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_string(), split));
        self.0.sort_by(|(a, _), (b, _)| split_order(a).cmp(&split_order(b)));
    }

    /// The names with what they name, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SplitCard)> {
        self.0.iter().map(|(name, split)| (name.as_str(), split))
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<&str> {
        self.iter().map(|(name, _)| name).collect()
    }

    /// The split of that name.
    pub fn get(&self, name: &str) -> Option<&SplitCard> {
        self.iter().find(|(other, _)| *other == name).map(|(_, split)| split)
    }
}

/// What splits are sorted by.
pub fn split_order(name: &str) -> (usize, &str) {
    (SPLITS.iter().position(|usual| *usual == name).unwrap_or(SPLITS.len()), name)
}

impl Serialize for CardSplits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for CardSplits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SplitsVisitor)
    }
}

struct SplitsVisitor;

impl<'de> Visitor<'de> for SplitsVisitor {
    type Value = CardSplits;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the splits by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CardSplits, A::Error> {
        let mut splits = CardSplits::default();
        while let Some((name, split)) = map.next_entry::<String, SplitCard>()? {
            // The name becomes that of a file: nothing outside the folder may be meant.
            if !is_name(&name) {
                return Err(A::Error::custom(format!("{name:?} is no name of a split")));
            }
            splits.insert(&name, split);
        }
        Ok(splits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(bytes: u64) -> SplitCard {
        SplitCard { files: 1, records: 2, bytes, sha256: "x".into() }
    }

    #[test]
    fn splits_have_one_order() {
        let mut splits = CardSplits::default();
        for name in ["test_2017", "test", "dev32", "train", "validation"] {
            splits.insert(name, split(1));
        }
        splits.insert("test", split(2));
        assert_eq!(splits.names(), ["train", "validation", "test", "dev32", "test_2017"]);
        assert_eq!(splits.get("test"), Some(&split(2)));
        let json = serde_json::to_string(&splits).unwrap();
        assert!(json.starts_with(r#"{"train":{"files":1,"records":2,"bytes":1,"sha256":"x"},"validation""#), "{json}");
        assert_eq!(serde_json::from_str::<CardSplits>(&json).unwrap(), splits);
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        let json = r#"{"../train":{"files":1,"records":2,"bytes":1,"sha256":"x"}}"#;
        assert!(serde_json::from_str::<CardSplits>(json).unwrap_err().to_string().contains("no name of a split"));
    }
}
