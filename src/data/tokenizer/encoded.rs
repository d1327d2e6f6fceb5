//! What encoding gives, and the memory that makes it fast.

use std::collections::HashMap;

/// Words that a thread remembers at most.
const REMEMBERED: usize = 1 << 17;

/// Words that are longer are not remembered.
const LONGEST: usize = 64;

/// Tokens, each with the stretch of the text that it stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The ids.
    pub ids: Vec<u32>,
    /// How many bytes of the text each stands for: stretch follows stretch, and none is left out.
    pub bytes: Vec<u32>,
}

impl Encoded {
    /// Appends a token.
    pub fn push(&mut self, id: u32, bytes: u32) {
        self.ids.push(id);
        self.bytes.push(bytes);
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.ids.clear();
        self.bytes.clear();
    }
}

/// The tokens of the words that one thread has met. What is encoded does not depend on it.
#[derive(Debug, Default)]
pub struct Memory {
    words: HashMap<Box<str>, Box<[(u32, u32)]>>,
}

impl Memory {
    /// Appends the tokens of `word`, which `encode` finds where it is new.
    pub fn append(&mut self, word: &str, out: &mut Encoded, encode: impl FnOnce(&str) -> Vec<(u32, u32)>) {
        if let Some(tokens) = self.words.get(word) {
            tokens.iter().for_each(|&(id, bytes)| out.push(id, bytes));
            return;
        }
        let tokens = encode(word);
        tokens.iter().for_each(|&(id, bytes)| out.push(id, bytes));
        if word.len() <= LONGEST {
            if self.words.len() == REMEMBERED {
                self.words.clear();
            }
            self.words.insert(word.into(), tokens.into());
        }
    }
}
