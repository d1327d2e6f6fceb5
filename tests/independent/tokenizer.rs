//! `tokenizer.json`: text to tokens and back.

use serde_json::Value;

/// How a text was cut.
pub enum Tokenizer {
    /// A token per byte of UTF-8.
    Byte,
    /// A token per character; the vocabulary's entry 0 is the unknown one, its last ones may stand for no text.
    Char(Vec<String>),
}

impl Tokenizer {
    /// Parses a `tokenizer.json`.
    pub fn parse(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).expect("tokenizer.json is JSON");
        match json["kind"].as_str() {
            Some("byte") => Self::Byte,
            Some("char") => {
                let entries = json["vocabulary"].as_array().expect("a vocabulary").iter();
                let special = json["special"].as_array().into_iter().flatten();
                Self::Char(entries.chain(special).map(|entry| entry.as_str().expect("a text").to_owned()).collect())
            }
            kind => panic!("a documented tokenizer, found {kind:?}"),
        }
    }

    /// The number of tokens that there are.
    pub fn vocabulary_size(&self) -> usize {
        match self {
            Self::Byte => 256,
            Self::Char(vocabulary) => vocabulary.len(),
        }
    }

    /// The token `</s>`, which a run on records has.
    pub fn end(&self) -> usize {
        match self {
            Self::Char(vocabulary) if vocabulary.last().is_some_and(|entry| entry == "</s>") => vocabulary.len() - 1,
            _ => panic!("a vocabulary of characters and </s>"),
        }
    }

    /// The tokens of a text.
    pub fn tokens(&self, text: &str) -> Vec<usize> {
        match self {
            Self::Byte => text.bytes().map(usize::from).collect(),
            Self::Char(vocabulary) => {
                let known = vocabulary.iter().enumerate().skip(1);
                let ids: std::collections::HashMap<&str, usize> =
                    known.map(|(id, entry)| (entry.as_str(), id)).collect();
                text.chars().map(|c| ids.get(c.encode_utf8(&mut [0; 4]) as &str).copied().unwrap_or(0)).collect()
            }
        }
    }

    /// The text of tokens: U+FFFD for what is no text.
    pub fn text(&self, tokens: &[usize]) -> String {
        match self {
            Self::Byte => {
                let bytes: Vec<u8> = tokens.iter().map(|token| u8::try_from(*token).expect("a byte")).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Self::Char(vocabulary) => {
                tokens.iter().map(|token| if *token == 0 { "\u{fffd}" } else { vocabulary[*token].as_str() }).collect()
            }
        }
    }

    /// The text without its first token, as `bits_per_byte` and `word_perplexity` count it: its bytes.
    pub fn predicted_bytes<'a>(&self, text: &'a str) -> &'a [u8] {
        match self {
            Self::Byte => &text.as_bytes()[1..],
            Self::Char(_) => &text.as_bytes()[text.chars().next().map_or(0, char::len_utf8)..],
        }
    }
}
