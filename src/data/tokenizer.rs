//! From text to token ids and back.

use super::options::TokenizerKind;
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The char tokenizer's id of every character that the train split lacks.
pub const UNKNOWN: u32 = 0;

/// What stands for [`UNKNOWN`] in `tokenizer.json`: longer than one character, so it can be none.
const UNKNOWN_ENTRY: &str = "<unknown>";

/// Cuts text into tokens. The same train text always gives the same tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tokenizer {
    /// A token is a byte of the UTF-8 text, its id the byte's value.
    Byte,
    /// A token is a character.
    Char(CharVocabulary),
}

/// The characters that a char tokenizer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharVocabulary {
    /// Ascending; the character at `i` has the id `i + 1`, for [`UNKNOWN`] comes before all.
    characters: Vec<char>,
    /// The id of every code point up to the last character's: a text is encoded without hashing.
    ids: Vec<u32>,
}

/// `tokenizer.json`. In `vocabulary` an entry's index is its id.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Stored {
    Byte {},
    Char { vocabulary: Vec<String> },
}

impl Tokenizer {
    /// The tokenizer of this kind for a model that learns from `train_text`.
    ///
    /// # Errors
    /// A char tokenizer of no text.
    pub fn build(kind: TokenizerKind, train_text: &str) -> Result<Self> {
        match kind {
            TokenizerKind::Byte => Ok(Self::Byte),
            TokenizerKind::Char if train_text.is_empty() => {
                bail!("the train split is empty: a char tokenizer needs its characters")
            }
            TokenizerKind::Char => Ok(Self::Char(CharVocabulary::new(distinct_characters(train_text)))),
        }
    }

    /// What a token is.
    pub fn kind(&self) -> TokenizerKind {
        match self {
            Self::Byte => TokenizerKind::Byte,
            Self::Char(_) => TokenizerKind::Char,
        }
    }

    /// The ids of a text, each below [`vocab_size`](Self::vocab_size).
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match self {
            Self::Byte => text.bytes().map(u32::from).collect(),
            Self::Char(vocabulary) => text.chars().map(|character| vocabulary.id(character)).collect(),
        }
    }

    /// The text of ids. What is no text (bytes that are not UTF-8, the unknown character, ids outside the
    /// vocabulary) becomes U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        match self {
            // 0xff occurs nowhere in UTF-8.
            Self::Byte => {
                let bytes: Vec<u8> = ids.iter().map(|&id| u8::try_from(id).unwrap_or(0xff)).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::Char(vocabulary) => ids.iter().map(|&id| vocabulary.character(id)).collect(),
        }
    }

    /// The id that stands for what the tokenizer does not know, where there is one.
    pub fn unknown(&self) -> Option<u32> {
        match self {
            Self::Byte => None,
            Self::Char(_) => Some(UNKNOWN),
        }
    }

    /// The characters of `text` that become the unknown id.
    pub fn unknown_characters(&self, text: &str) -> BTreeSet<char> {
        match self {
            Self::Byte => BTreeSet::new(),
            Self::Char(vocabulary) => text.chars().filter(|&character| vocabulary.id(character) == UNKNOWN).collect(),
        }
    }

    /// The bytes of `text` that its tokens `from .. from + count` stand for.
    pub fn bytes_of<'a>(&self, text: &'a str, from: usize, count: usize) -> &'a [u8] {
        let offset = |tokens: usize| match self {
            Self::Byte => tokens.min(text.len()),
            Self::Char(_) => text.char_indices().nth(tokens).map_or(text.len(), |(offset, _)| offset),
        };
        &text.as_bytes()[offset(from)..offset(from.saturating_add(count))]
    }

    /// How many ids there are; the char tokenizer's unknown character counts.
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::Byte => 256,
            Self::Char(vocabulary) => vocabulary.characters.len() + 1,
        }
    }

    /// The content of `tokenizer.json`: `{"kind": "byte"}`, or `{"kind": "char", "vocabulary": […]}` where
    /// an entry's index is its id, `"<unknown>"` comes first and every other entry is one character.
    ///
    /// # Errors
    /// None that these two kinds can cause.
    pub fn to_json(&self) -> Result<String> {
        let stored = match self {
            Self::Byte => Stored::Byte {},
            Self::Char(vocabulary) => {
                let characters = vocabulary.characters.iter().map(char::to_string);
                Stored::Char { vocabulary: std::iter::once(UNKNOWN_ENTRY.to_string()).chain(characters).collect() }
            }
        };
        let mut json = serde_json::to_string(&stored).context("cannot write the tokenizer as JSON")?;
        json.push('\n');
        Ok(json)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// Anything else. The message does not know the file: the caller names it.
    pub fn from_json(json: &str) -> Result<Self> {
        match serde_json::from_str(json).context("not a tokenizer of synth")? {
            Stored::Byte {} => Ok(Self::Byte),
            Stored::Char { vocabulary } => Ok(Self::Char(CharVocabulary::from_entries(&vocabulary)?)),
        }
    }
}

impl CharVocabulary {
    /// `characters` ascend.
    fn new(characters: Vec<char>) -> Self {
        let mut ids = vec![UNKNOWN; characters.last().map_or(0, |&last| last as usize + 1)];
        for (&character, id) in characters.iter().zip(1..) {
            ids[character as usize] = id;
        }
        Self { characters, ids }
    }

    fn from_entries(entries: &[String]) -> Result<Self> {
        let Some((UNKNOWN_ENTRY, entries)) = entries.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
            bail!("vocabulary[0] must be {UNKNOWN_ENTRY:?}");
        };
        let characters = entries.iter().enumerate().map(|(index, entry)| {
            let mut characters = entry.chars();
            match (characters.next(), characters.next()) {
                (Some(character), None) => Ok(character),
                _ => Err(anyhow!("vocabulary[{}] is {entry:?}; expected one character", index + 1)),
            }
        });
        let characters = characters.collect::<Result<Vec<char>>>()?;
        if let Some(index) = characters.windows(2).position(|pair| pair[0] >= pair[1]) {
            bail!("vocabulary[{}] does not come after the entry before it; expected ascending characters", index + 2);
        }
        Ok(Self::new(characters))
    }

    fn id(&self, character: char) -> u32 {
        self.ids.get(character as usize).copied().unwrap_or(UNKNOWN)
    }

    fn character(&self, id: u32) -> char {
        let index = (id as usize).checked_sub(1);
        index.and_then(|index| self.characters.get(index)).copied().unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

/// The characters of `text`, each once, ascending.
fn distinct_characters(text: &str) -> Vec<char> {
    let mut seen = vec![false; char::MAX as usize + 1];
    for character in text.chars() {
        seen[character as usize] = true;
    }
    (char::MIN..=char::MAX).filter(|&character| seen[character as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_for_bytes_of_the_text() {
        let text = "aß€z";
        let char = Tokenizer::build(TokenizerKind::Char, text).unwrap();
        assert_eq!(char.bytes_of(text, 1, 2), "ß€".as_bytes());
        assert_eq!(char.bytes_of(text, 1, 9), "ß€z".as_bytes());
        assert_eq!(Tokenizer::Byte.bytes_of(text, 1, 2), "ß".as_bytes());
        assert_eq!(Tokenizer::Byte.bytes_of(text, 1, usize::MAX), "ß€z".as_bytes());
    }

    #[test]
    fn bytes_and_back() {
        let tokenizer = Tokenizer::build(TokenizerKind::Byte, "anything").unwrap();
        assert_eq!(tokenizer.encode("aé"), [0x61, 0xc3, 0xa9]);
        assert_eq!(tokenizer.decode(&[0x61, 0xc3, 0xa9]), "aé");
        assert_eq!(tokenizer.decode(&[0x61, 0xc3, 0x62, 300]), "a\u{fffd}b\u{fffd}");
        assert_eq!(tokenizer.vocab_size(), 256);
        assert_eq!((tokenizer.unknown(), tokenizer.unknown_characters("é").len()), (None, 0));
    }

    #[test]
    fn characters_and_back() {
        let tokenizer = Tokenizer::build(TokenizerKind::Char, "öbacab\n").unwrap();
        assert_eq!(tokenizer.vocab_size(), 6);
        assert_eq!(tokenizer.encode("\nabcö"), [1, 2, 3, 4, 5]);
        assert_eq!(tokenizer.encode("xa"), [UNKNOWN, 2]);
        assert_eq!(Vec::from_iter(tokenizer.unknown_characters("zaxbx\u{10ffff}")), ['x', 'z', '\u{10ffff}']);
        assert_eq!(tokenizer.unknown(), Some(UNKNOWN));
        assert_eq!(tokenizer.decode(&tokenizer.encode("cab\n öxa")), "cab\n\u{fffd}ö\u{fffd}a");
        assert_eq!(tokenizer.decode(&[99]), "\u{fffd}");
        assert!(Tokenizer::build(TokenizerKind::Char, "").is_err());
    }

    #[test]
    fn json_and_back() {
        for (kind, json) in [
            (TokenizerKind::Byte, "{\"kind\":\"byte\"}\n"),
            (TokenizerKind::Char, "{\"kind\":\"char\",\"vocabulary\":[\"<unknown>\",\"\\n\",\"\\\"\",\"a\",\"é\"]}\n"),
        ] {
            let tokenizer = Tokenizer::build(kind, "aé\"\n").unwrap();
            assert_eq!(tokenizer.to_json().unwrap(), json);
            assert_eq!(Tokenizer::from_json(json).unwrap(), tokenizer);
        }
    }

    #[test]
    fn other_json_is_an_error() {
        for (json, expected) in [
            (r#"{"kind":"char","vocabulary":["<unknown>","b","a"]}"#, "vocabulary[2]"),
            (r#"{"kind":"char","vocabulary":["<unknown>","a","a"]}"#, "vocabulary[2]"),
            (r#"{"kind":"char","vocabulary":["<unknown>","ab"]}"#, "vocabulary[1]"),
            (r#"{"kind":"char","vocabulary":["a"]}"#, "vocabulary[0]"),
            (r#"{"kind":"char","vocabulary":[]}"#, "vocabulary[0]"),
            (r#"{"kind":"char"}"#, "vocabulary"),
            (r#"{"kind":"bpe"}"#, "bpe"),
            (r#"{"kind":"byte","vocabulary":[]}"#, "vocabulary"),
            ("{", "not a tokenizer"),
        ] {
            let message = format!("{:#}", Tokenizer::from_json(json).unwrap_err());
            assert!(message.contains(expected), "{json}: {message}");
        }
    }
}
