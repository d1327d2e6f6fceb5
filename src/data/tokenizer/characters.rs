//! Each character a token.

use super::encoded::Encoded;
use anyhow::{Result, anyhow, bail, ensure};

/// The id of every character that the train split lacks.
pub const UNKNOWN: u32 = 0;

/// What stands for [`UNKNOWN`] in `tokenizer.json`: longer than one character, so it can be none.
const UNKNOWN_ENTRY: &str = "<unknown>";

/// The characters that a tokenizer knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Characters {
    /// Ascending; the character at `i` has the id `i + 1`, for [`UNKNOWN`] comes before all.
    characters: Vec<char>,
    /// The id of every code point up to the last character's: a text is encoded without hashing.
    ids: Vec<u32>,
}

impl Characters {
    /// Those of a text that comes in pieces.
    ///
    /// # Errors
    /// Those of reading the text; no text.
    pub fn train(text: impl Iterator<Item = Result<String>>) -> Result<Self> {
        let mut seen = vec![false; char::MAX as usize + 1];
        for piece in text {
            piece?.chars().for_each(|character| seen[character as usize] = true);
        }
        let characters: Vec<char> = (char::MIN..=char::MAX).filter(|&character| seen[character as usize]).collect();
        ensure!(!characters.is_empty(), "the train split is empty: a char tokenizer needs its characters");
        Ok(Self::new(characters))
    }

    /// `characters` ascend.
    fn new(characters: Vec<char>) -> Self {
        let mut ids = vec![UNKNOWN; characters.last().map_or(0, |&last| last as usize + 1)];
        for (&character, id) in characters.iter().zip(1..) {
            ids[character as usize] = id;
        }
        Self { characters, ids }
    }

    /// What [`entries`](Self::entries) gave.
    ///
    /// # Errors
    /// Another entry 0; entries that are not one character each, in their order.
    pub fn from_entries(entries: &[String]) -> Result<Self> {
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

    /// The vocabulary: an entry's index is its id.
    pub fn entries(&self) -> Vec<String> {
        let characters = self.characters.iter().map(char::to_string);
        std::iter::once(UNKNOWN_ENTRY.to_string()).chain(characters).collect()
    }

    /// Number of tokens.
    pub fn size(&self) -> usize {
        self.characters.len() + 1
    }

    /// The character of a token; none of the unknown one and of an id that there is not.
    pub fn character(&self, id: u32) -> Option<char> {
        self.characters.get((id as usize).checked_sub(1)?).copied()
    }

    /// Appends the tokens of `text`.
    pub fn encode(&self, text: &str, out: &mut Encoded) {
        for character in text.chars() {
            let id = self.ids.get(character as usize).copied().unwrap_or(UNKNOWN);
            out.push(id, character.len_utf8() as u32);
        }
    }
}
