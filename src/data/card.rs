//! `card.json`: what a prepared dataset is and what its files must be.

mod splits;

pub use splits::{CardSplits, SplitCard, split_order};

use super::hash;
use super::record::Shape;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

/// The names of the usual splits, in order.
pub const SPLITS: [&str; 3] = ["train", "validation", "test"];

/// The file's name in the dataset's folder.
pub const CARD_FILE: &str = "card.json";

/// A card has a few dozen lines; what is larger is none, and is not read.
const MAX_CARD_BYTES: u64 = 1 << 20;

/// The content of `card.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The dataset's name, that of its folder too.
    pub name: String,
    /// What the texts are, and how they were chosen and split.
    pub description: String,
    /// What the files of the splits are.
    #[serde(default)]
    pub layout: Layout,
    /// What the records hold; absent in running text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// The classes that records are labelled with, in order, where they are classes and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// The language of the sources, such as `en`, in pairs of two languages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_language: Option<String>,
    /// The language of the targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_language: Option<String>,
    /// Where they come from.
    pub source: String,
    /// The revision of the source that was taken, where it has revisions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Under which terms they stand.
    pub licence: String,
    /// Whether those terms allow research only.
    #[serde(default)]
    pub research_only: bool,
    /// When the set was prepared (RFC 3339).
    pub created: String,
    /// The version of synth that prepared it; empty for those before 0.2, which did not say.
    #[serde(default)]
    pub synth: String,
    /// The splits' files.
    pub splits: CardSplits,
    /// SHA-256 over the list of the source files, in hexadecimal: the same list, the same texts.
    pub list_sha256: String,
}

/// What the file of a split is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Running text, `<split>.txt`.
    #[default]
    Text,
    /// One JSON object a line, `<split>.jsonl`.
    Records,
}

/// The name of a split's file.
pub fn split_file(split: &str, layout: Layout) -> String {
    match layout {
        Layout::Text => format!("{split}.txt"),
        Layout::Records => format!("{split}.jsonl"),
    }
}

impl Card {
    /// A card of this moment and this version, of a set without splits; the texts are to be filled in.
    pub fn new(name: &str, layout: Layout, shape: Option<Shape>) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            layout,
            shape,
            labels: None,
            source_language: None,
            target_language: None,
            source: String::new(),
            revision: None,
            licence: String::new(),
            research_only: false,
            created: jiff::Timestamp::now().to_string(),
            synth: env!("CARGO_PKG_VERSION").into(),
            splits: CardSplits::default(),
            list_sha256: String::new(),
        }
    }

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
        let card = Self::read_alone(folder, name)?;
        for (split, expected) in card.splits.iter() {
            check_size(&folder.join(split_file(split, card.layout)), expected.bytes)?;
        }
        Ok(card)
    }

    /// Reads the card in `folder` without a look at the files.
    ///
    /// # Errors
    /// No card, one that cannot be read, or another set's.
    pub fn read_alone(folder: &Path, name: &str) -> Result<Self> {
        let card: Self = serde_json::from_str(&read_capped(&folder.join(CARD_FILE))?).context(CARD_FILE)?;
        ensure!(card.name == name, "{CARD_FILE} is that of {:?}", card.name);
        let created: Result<jiff::Timestamp, _> = card.created.parse();
        created.with_context(|| format!("{CARD_FILE}: created is {:?}", card.created))?;
        let fits = card.shape.is_some() == (card.layout == Layout::Records);
        ensure!(fits, "{CARD_FILE}: a shape stands with the layout records, and with that only");
        Ok(card)
    }

    /// Compares the file of a split with the card's hash, streaming.
    ///
    /// # Errors
    /// Another split, a file that cannot be read, or one that was changed.
    pub fn verify(&self, folder: &Path, split: &str) -> Result<()> {
        let file = split_file(split, self.layout);
        let Some(expected) = self.splits.get(split) else {
            bail!("dataset {} has no split {split:?}; it has {}", self.name, self.splits.names().join(", "))
        };
        let found = hash::sha256_file(&folder.join(&file))?;
        ensure!(found == expected.sha256, "{file} was changed");
        Ok(())
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
        let mut card = Card::new(name, Layout::Text, None);
        for (split, text) in [("train", "abcde"), ("validation", "f"), ("test", "gh")] {
            fs::write(folder.join(split_file(split, Layout::Text)), text).unwrap();
            let bytes = text.len() as u64;
            card.splits.insert(split, SplitCard { files: 1, records: 1, bytes, sha256: sha256_hex(text.as_bytes()) });
        }
        card.description = "letters".into();
        card.created = "2026-01-02T03:04:05Z".into();
        card.list_sha256 = sha256_hex(b"list");
        card.write(folder).unwrap();
        card
    }

    #[test]
    fn written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let card = write_set(folder.path(), "letters");
        assert_eq!(Card::read(folder.path(), "letters").unwrap(), card);
        assert!(format!("{:#}", Card::read(folder.path(), "digits").unwrap_err()).contains("letters"));
        card.verify(folder.path(), "test").unwrap();
        fs::write(folder.path().join("test.txt"), "gx").unwrap();
        assert_eq!(card.verify(folder.path(), "test").unwrap_err().to_string(), "test.txt was changed");
        let message = card.verify(folder.path(), "dev").unwrap_err().to_string();
        assert!(message.contains("has no split \"dev\"; it has train, validation, test"), "{message}");
    }

    /// As the first version wrote it.
    #[test]
    fn older_cards_are_running_text() {
        let folder = tempfile::tempdir().unwrap();
        let split = r#"{"files": 1, "bytes": 5, "sha256": "x"}"#;
        let json = format!(
            r#"{{"name": "old", "description": "", "source": "", "licence": "", "created": "2026-01-02T03:04:05Z",
            "splits": {{"train": {split}}}, "list_sha256": ""}}"#
        );
        fs::write(folder.path().join(CARD_FILE), json).unwrap();
        fs::write(folder.path().join("train.txt"), "abcde").unwrap();
        let card = Card::read(folder.path(), "old").unwrap();
        assert_eq!((card.layout, card.shape, card.synth.as_str()), (Layout::Text, None, ""));
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
        card.shape = Some(Shape::Text);
        card.write(folder.path()).unwrap();
        assert!(message().contains("a shape stands"));
        card.created = "yesterday".into();
        card.write(folder.path()).unwrap();
        assert!(message().contains("created is \"yesterday\""));
        fs::write(folder.path().join(CARD_FILE), "{\"name\":").unwrap();
        assert!(message().starts_with("card.json: EOF"));
        fs::write(folder.path().join(CARD_FILE), " ".repeat(MAX_CARD_BYTES as usize + 1)).unwrap();
        assert!(message().contains("larger than"));
    }
}
