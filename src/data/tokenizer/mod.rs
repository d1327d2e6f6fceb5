//! From text to token ids and back.

mod byte_pair;
mod bytes;
mod characters;
mod encoded;
mod kept;
mod pairs;
pub mod pattern;
mod sample;
mod special;
mod stored;
mod train;
mod unigram;
mod words;

#[cfg(test)]
mod tests;

pub use encoded::{Encoded, Memory};
pub use kept::StoredTokenizer;
pub use pairs::Tokenizers;
pub use special::Special;

use super::options::TokenizerKind;
use byte_pair::BytePair;
use characters::Characters;
use std::collections::BTreeSet;
use unigram::Unigram;
use words::Words;

/// Cuts text into tokens.
#[derive(Clone, PartialEq)]
pub struct Tokenizer {
    model: Model,
    /// Their ids follow those of the model.
    special: Vec<Special>,
}

/// What a token is.
#[derive(Clone, PartialEq)]
enum Model {
    /// A byte of the UTF-8 text, its id the byte's value.
    Byte,
    /// A character.
    Char(Characters),
    /// A white-space word or the end of a line.
    Word(Words),
    /// A run of bytes that often stand together.
    BytePair(Box<BytePair>),
    /// A likely piece of a word.
    Unigram(Box<Unigram>),
}

/// Encodes one text after the other, and remembers words.
pub struct Encoder<'a> {
    tokenizer: &'a Tokenizer,
    memory: Memory,
}

impl Tokenizer {
    /// The byte tokenizer.
    pub fn byte() -> Self {
        Self { model: Model::Byte, special: Vec::new() }
    }

    /// What a token is.
    pub fn kind(&self) -> TokenizerKind {
        match self.model {
            Model::Byte => TokenizerKind::Byte,
            Model::Char(_) => TokenizerKind::Char,
            Model::Word(_) => TokenizerKind::Word,
            Model::BytePair(_) => TokenizerKind::Bpe,
            Model::Unigram(_) => TokenizerKind::Unigram,
        }
    }

    /// How many ids there are, the unknown token and the special ones among them.
    pub fn vocab_size(&self) -> usize {
        self.model_size() + self.special.len()
    }

    fn model_size(&self) -> usize {
        match &self.model {
            Model::Byte => 256,
            Model::Char(characters) => characters.size(),
            Model::Word(words) => words.size(),
            Model::BytePair(model) => model.size(),
            Model::Unigram(model) => model.size(),
        }
    }

    /// The id of a special token, where the tokenizer has it.
    pub fn special(&self, special: Special) -> Option<u32> {
        let index = self.special.iter().position(|known| *known == special)?;
        Some((self.model_size() + index) as u32)
    }

    /// The id that stands for what the tokenizer does not know, where there is one.
    pub fn unknown(&self) -> Option<u32> {
        match &self.model {
            Model::Byte | Model::BytePair(_) => None,
            Model::Char(_) => Some(characters::UNKNOWN),
            Model::Word(_) => Some(words::UNKNOWN),
            Model::Unigram(_) => Some(unigram::UNKNOWN),
        }
    }

    /// Encodes many texts, each as [`encode`](Self::encode) does.
    pub fn encoder(&self) -> Encoder<'_> {
        Encoder { tokenizer: self, memory: Memory::default() }
    }

    /// The ids of a text, each below [`vocab_size`](Self::vocab_size); none of them is special.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut out = Encoded::default();
        self.encoder().append(text, &mut out);
        out.ids
    }

    /// The parts of `text` that become the unknown token: characters, words or runs of characters.
    pub fn unknown_parts(&self, text: &str) -> BTreeSet<String> {
        let mut out = Encoded::default();
        self.encoder().append(text, &mut out);
        let (mut parts, mut begin) = (BTreeSet::new(), 0);
        for (id, bytes) in out.ids.iter().zip(out.bytes) {
            let end = begin + bytes as usize;
            if Some(*id) == self.unknown() {
                parts.insert(text[begin..end].trim_start_matches(' ').to_string());
            }
            begin = end;
        }
        parts
    }

    /// The text of ids. What is no text (bytes that are not UTF-8, the unknown token, ids outside the vocabulary)
    /// becomes U+FFFD; special tokens become nothing. Byte-level BPE and bytes give every text back as it was,
    /// characters and unigram pieces where they know it; between words stands one space.
    pub fn decode(&self, ids: &[u32]) -> String {
        let size = self.model_size();
        let special = size..self.vocab_size();
        let ids = ids.iter().copied().filter(|&id| !special.contains(&(id as usize)));
        match &self.model {
            // 0xff occurs nowhere in UTF-8.
            Model::Byte => lossy(ids.map(|id| u8::try_from(id).unwrap_or(0xff)).collect()),
            Model::BytePair(model) => lossy(ids.flat_map(|id| model.text(id).unwrap_or(&[0xff])).copied().collect()),
            Model::Char(characters) => {
                ids.map(|id| characters.character(id).unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            Model::Unigram(model) => ids.map(|id| model.text(id).unwrap_or("\u{fffd}")).collect(),
            Model::Word(words) => words.decode(&ids.collect::<Vec<_>>()),
        }
    }
}

impl Encoder<'_> {
    /// Appends the tokens of `text`, as if it stood alone.
    pub fn append(&mut self, text: &str, out: &mut Encoded) {
        match &self.tokenizer.model {
            Model::Byte => text.bytes().for_each(|byte| out.push(u32::from(byte), 1)),
            Model::Char(characters) => characters.encode(text, out),
            Model::Word(words) => words.encode(text, out),
            Model::BytePair(model) => model.encode(text, &mut self.memory, out),
            Model::Unigram(model) => model.encode(text, &mut self.memory, out),
        }
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
