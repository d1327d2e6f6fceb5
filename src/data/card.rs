//! `card.json`: what a prepared dataset is and what its files must be.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

/// The names of the splits, in order.
pub const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// The file's name in the dataset's folder.
pub const CARD_FILE: &str = "card.json";

/// A card has a dozen lines; what is larger is none, and is not read.
const MAX_CARD_BYTES: u64 = 1 << 20;

/// The content of `card.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The dataset's name, that of its folder too.
    pub name: String,
    /// What the texts are, and how they were chosen and split.
    pub description: String,
    /// Where they come from.
    pub source: String,
    /// Under which terms they stand.
    pub licence: String,
    /// When the set was prepared (RFC 3339).
    pub created: String,
    /// The three files.
    pub splits: CardSplits,
    /// SHA-256 over the list of the source files, in hexadecimal: the same list, the same texts.
    pub list_sha256: String,
}

/// One entry per split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardSplits {
    /// `train.txt`.
    pub train: SplitCard,
    /// `validation.txt`.
    pub validation: SplitCard,
    /// `test.txt`.
    pub test: SplitCard,
}

/// What one split's file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitCard {
    /// How many source files it holds.
    pub files: u64,
    /// Its size.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
}

impl CardSplits {
    /// The entries with their splits' names, in order.
    pub fn named(&self) -> [(&'static str, &SplitCard); 3] {
        [("train", &self.train), ("validation", &self.validation), ("test", &self.test)]
    }
}

/// The name of a split's file.
pub fn split_file(split: &str) -> String {
    format!("{split}.txt")
}

impl Card {
    /// Writes `card.json` into `folder`.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(CARD_FILE);
        let write = || -> Result<()> {
            let mut file = File::create(&path)?;
            serde_json::to_writer_pretty(&file, self)?;
            file.write_all(b"\n")?;
            Ok(file.sync_all()?)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads the card in `folder` and compares the files' sizes with it.
    ///
    /// # Errors
    /// The first thing that is not as the card and the `name` say. The caller adds what to do about it.
    pub fn read(folder: &Path, name: &str) -> Result<Self> {
        let card: Self = serde_json::from_str(&read_capped(&folder.join(CARD_FILE))?).context(CARD_FILE)?;
        ensure!(card.name == name, "{CARD_FILE} is that of {:?}", card.name);
        let created: Result<jiff::Timestamp, _> = card.created.parse();
        created.with_context(|| format!("{CARD_FILE}: created is {:?}", card.created))?;
        for (split, expected) in card.splits.named() {
            check_size(&folder.join(split_file(split)), expected.bytes)?;
        }
        Ok(card)
    }
}

fn read_capped(path: &Path) -> Result<String> {
    regular_size(path)?;
    let mut json = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_CARD_BYTES + 1).read_to_string(&mut json));
    let bytes = read.with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(bytes as u64 <= MAX_CARD_BYTES, "{CARD_FILE} is larger than {MAX_CARD_BYTES} bytes");
    Ok(json)
}

fn check_size(path: &Path, expected: u64) -> Result<()> {
    let bytes = regular_size(path)?;
    let name = path.file_name().unwrap_or_default().display();
    ensure!(bytes == expected, "{name} has {bytes} bytes and should have {expected}");
    Ok(())
}

/// The size of a regular file.
fn regular_size(path: &Path) -> Result<u64> {
    let name = path.file_name().unwrap_or_default().display();
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {name}"))?;
    if !metadata.is_file() {
        bail!("{name} is not a regular file");
    }
    Ok(metadata.len())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::hash::sha256_hex;

    /// A card and its files: 5, 1 and 2 bytes.
    pub fn write_set(folder: &Path, name: &str) -> Card {
        let split = |split: &str, text: &str| {
            fs::write(folder.join(split_file(split)), text).unwrap();
            SplitCard { files: 1, bytes: text.len() as u64, sha256: sha256_hex(text.as_bytes()) }
        };
        let splits = CardSplits {
            train: split("train", "abcde"),
            validation: split("validation", "f"),
            test: split("test", "gh"),
        };
        let card = Card {
            name: name.into(),
            description: "letters".into(),
            source: "the alphabet".into(),
            licence: "free".into(),
            created: "2026-01-02T03:04:05Z".into(),
            splits,
            list_sha256: sha256_hex(b"list"),
        };
        card.write(folder).unwrap();
        card
    }

    #[test]
    fn written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let card = write_set(folder.path(), "letters");
        assert_eq!(Card::read(folder.path(), "letters").unwrap(), card);
        assert!(format!("{:#}", Card::read(folder.path(), "digits").unwrap_err()).contains("letters"));
    }

    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let mut card = write_set(folder.path(), "letters");
        let message = || format!("{:#}", Card::read(folder.path(), "letters").unwrap_err());
        fs::write(folder.path().join("test.txt"), "g").unwrap();
        assert_eq!(message(), "test.txt has 1 bytes and should have 2");
        fs::remove_file(folder.path().join("test.txt")).unwrap();
        assert!(message().starts_with("cannot read test.txt"));
        card.created = "yesterday".into();
        card.write(folder.path()).unwrap();
        assert!(message().contains("created is \"yesterday\""));
        fs::write(folder.path().join(CARD_FILE), "{\"name\":").unwrap();
        assert!(message().starts_with("card.json: EOF"));
        fs::write(folder.path().join(CARD_FILE), " ".repeat(MAX_CARD_BYTES as usize + 1)).unwrap();
        assert!(message().contains("larger than"));
    }
}
