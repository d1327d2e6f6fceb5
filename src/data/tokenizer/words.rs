//! White-space words and ends of lines; what is rare is unknown.

use super::encoded::Encoded;
use anyhow::{Result, ensure};
use std::cmp::Reverse;
use std::collections::HashMap;

/// The id of what the vocabulary lacks.
pub const UNKNOWN: u32 = 0;

/// What stands for [`UNKNOWN`] in `tokenizer.json`: no word has white space in it.
const UNKNOWN_ENTRY: &str = "<unknown word>";

/// The end of a line, a word of its own.
const LINE_END: &str = "\n";

/// Words, the most frequent first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    vocabulary: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Words {
    /// Learns the words that occur `min_frequency` times or more, at most `size` entries, the unknown one among them.
    /// Of equally frequent words the lesser, by its bytes, comes first.
    ///
    /// # Errors
    /// Those of reading the text.
    pub fn train(size: Option<usize>, min_frequency: u64, text: impl Iterator<Item = Result<String>>) -> Result<Self> {
        let mut counts: HashMap<String, u64> = HashMap::new();
        for piece in text {
            for (word, _) in words(&piece?) {
                match counts.get_mut(word) {
                    Some(count) => *count += 1,
                    None => drop(counts.insert(word.into(), 1)),
                }
            }
        }
        let mut words: Vec<(Reverse<u64>, String)> = counts
            .into_iter()
            .filter(|(_, count)| *count >= min_frequency)
            .map(|(word, count)| (Reverse(count), word))
            .collect();
        words.sort();
        words.truncate(size.map_or(usize::MAX, |size| size.saturating_sub(1)));
        ensure!(!words.is_empty(), "no word of the train split occurs {min_frequency} times (tokenizer.min_frequency)");
        let vocabulary = std::iter::once(UNKNOWN_ENTRY.to_string()).chain(words.into_iter().map(|(_, word)| word));
        Self::new(vocabulary.collect())
    }

    /// From a `vocabulary`, in which an entry's index is its id and entry 0 is `"<unknown word>"`.
    ///
    /// # Errors
    /// An entry twice; another entry 0.
    pub fn new(vocabulary: Vec<String>) -> Result<Self> {
        let first = vocabulary.first().map_or("", String::as_str);
        ensure!(first == UNKNOWN_ENTRY, "vocabulary[0] is {first:?}; expected {UNKNOWN_ENTRY:?}");
        let ids: HashMap<String, u32> = vocabulary.iter().cloned().zip(0..).collect();
        ensure!(ids.len() == vocabulary.len(), "the vocabulary has an entry twice");
        Ok(Self { vocabulary, ids })
    }

    /// The vocabulary that it was made of.
    pub fn vocabulary(&self) -> &[String] {
        &self.vocabulary
    }

    /// Number of tokens.
    pub fn size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The text of a token; none of the unknown one and of an id that there is not.
    pub fn text(&self, id: u32) -> Option<&str> {
        self.vocabulary.get(id as usize).filter(|_| id != UNKNOWN).map(String::as_str)
    }

    /// Appends the tokens of `text`: one for each word and each end of a line, with the white space before it. White
    /// space at the end of all belongs to the last token.
    pub fn encode(&self, text: &str, out: &mut Encoded) {
        let (first, mut done) = (out.bytes.len(), 0);
        for (word, end) in words(text) {
            out.push(self.ids.get(word).copied().unwrap_or(UNKNOWN), (end - done) as u32);
            done = end;
        }
        if let Some(last) = out.bytes[first..].last_mut() {
            *last += (text.len() - done) as u32;
        }
    }

    /// The text of tokens: words with a space between them, lines as they end, U+FFFD for unknown words.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        for &id in ids {
            let word = self.text(id).unwrap_or("\u{fffd}");
            if !(text.is_empty() || text.ends_with('\n') || word == LINE_END) {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }
}

/// The words and ends of lines of a text, each with the place where it ends.
fn words(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let rest = &text[position..];
        let start = position + rest.find(|c: char| c == '\n' || !c.is_whitespace())?;
        let length = match text[start..].starts_with('\n') {
            true => 1,
            false => text[start..].find(char::is_whitespace).unwrap_or(text.len() - start),
        };
        position = start + length;
        Some((&text[start..position], position))
    })
}
