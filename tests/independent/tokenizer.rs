//! `tokenizer.json`: text to tokens and back.

use std::collections::HashMap;

use serde_json::Value;

use crate::merges::Merges;

/// How a text was cut.
pub struct Tokenizer {
    kind: Kind,
    /// Tokens that stand for no text, whose ids follow those of the vocabulary.
    special: Vec<String>,
}

/// The tokenizers of a run.
pub struct Tokenizers {
    /// That of the sources, where there are sources.
    pub source: Tokenizer,
    /// That of the targets, or of all.
    pub target: Tokenizer,
}

impl Tokenizers {
    /// Parses a `tokenizer.json`.
    pub fn parse(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).expect("tokenizer.json is JSON");
        let [source, target] = match json["kind"].as_str() {
            Some("separate") => [&json["source"], &json["target"]],
            _ => [&json; 2],
        };
        Self { source: Tokenizer::new(source), target: Tokenizer::new(target) }
    }
}

/// What a token is.
enum Kind {
    /// A byte of UTF-8.
    Byte,
    /// A character; entry 0 is the unknown one.
    Char(Vec<String>),
    /// A word between white space; entry 0 is the unknown one.
    Word(Vec<String>),
    /// A run of bytes.
    Bpe(Merges),
}

impl Tokenizer {
    fn new(json: &Value) -> Self {
        let entries = |key: &str| {
            let entries = json[key].as_array().into_iter().flatten();
            entries.map(|entry| entry.as_str().expect("a text").to_owned()).collect::<Vec<_>>()
        };
        let kind = match json["kind"].as_str() {
            Some("byte") => Kind::Byte,
            Some("char") => Kind::Char(entries("vocabulary")),
            Some("word") => Kind::Word(entries("vocabulary")),
            Some("bpe") => Kind::Bpe(Merges::new(entries("vocabulary"), &entries("merges"))),
            kind => panic!("a documented tokenizer, found {kind:?}"),
        };
        Self { kind, special: entries("special") }
    }

    /// One of characters.
    #[cfg(test)]
    pub fn of_characters(vocabulary: &[&str], special: &[&str]) -> Self {
        let owned = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
        Self { kind: Kind::Char(owned(vocabulary)), special: owned(special) }
    }

    /// The number of tokens that there are.
    pub fn vocabulary_size(&self) -> usize {
        self.texts() + self.special.len()
    }

    /// The number of tokens that stand for text.
    pub fn texts(&self) -> usize {
        match &self.kind {
            Kind::Byte => 256,
            Kind::Char(vocabulary) | Kind::Word(vocabulary) => vocabulary.len(),
            Kind::Bpe(merges) => merges.vocabulary.len(),
        }
    }

    /// The token that stands for what the vocabulary lacks, where anything can.
    pub fn unknown(&self) -> Option<usize> {
        matches!(self.kind, Kind::Char(_) | Kind::Word(_)).then_some(0)
    }

    /// The token `<s>`, which a run on pairs has.
    pub fn begin(&self) -> usize {
        self.special("<s>")
    }

    /// The token `</s>`, which a run on records or pairs has.
    pub fn end(&self) -> usize {
        self.special("</s>")
    }

    fn special(&self, name: &str) -> usize {
        let place = self.special.iter().position(|entry| entry == name);
        self.texts() + place.unwrap_or_else(|| panic!("{name} in the vocabulary"))
    }

    /// The tokens of a text.
    pub fn tokens(&self, text: &str) -> Vec<usize> {
        let find = |vocabulary: &[String], pieces: Vec<String>| {
            let known = vocabulary.iter().enumerate().skip(1);
            let ids: HashMap<&str, usize> = known.map(|(id, entry)| (entry.as_str(), id)).collect();
            pieces.iter().map(|piece| ids.get(piece.as_str()).copied().unwrap_or(0)).collect()
        };
        match &self.kind {
            Kind::Byte => text.bytes().map(usize::from).collect(),
            Kind::Char(vocabulary) => find(vocabulary, text.chars().map(String::from).collect()),
            Kind::Word(vocabulary) => {
                let lines = text.split('\n').map(|line| line.split_whitespace().map(str::to_owned).collect());
                find(vocabulary, lines.collect::<Vec<Vec<_>>>().join(&"\n".to_owned()))
            }
            Kind::Bpe(merges) => merges.tokens(text),
        }
    }

    /// The text of tokens: U+FFFD for what is no text.
    pub fn text(&self, tokens: &[usize]) -> String {
        let text = |vocabulary: &[String], token: &usize| match token {
            0 => "\u{fffd}".to_owned(),
            token => vocabulary.get(*token).unwrap_or_else(|| &self.special[token - vocabulary.len()]).clone(),
        };
        match &self.kind {
            Kind::Byte => {
                let bytes: Vec<u8> = tokens.iter().map(|token| u8::try_from(*token).expect("a byte")).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Kind::Char(vocabulary) => tokens.iter().map(|token| text(vocabulary, token)).collect(),
            Kind::Word(vocabulary) => tokens.iter().map(|token| text(vocabulary, token)).collect::<Vec<_>>().join(" "),
            Kind::Bpe(merges) => merges.text(tokens),
        }
    }

    /// The text without its first token, as `bits_per_byte` and `word_perplexity` count it: its bytes.
    pub fn predicted_bytes<'a>(&self, text: &'a str) -> &'a [u8] {
        match self.kind {
            Kind::Byte => &text.as_bytes()[1..],
            Kind::Char(_) => &text.as_bytes()[text.chars().next().map_or(0, char::len_utf8)..],
            Kind::Word(_) | Kind::Bpe(_) => panic!("bytes or characters"),
        }
    }
}
