//! Words as numbers, so that n-grams are compared at once.

use std::collections::HashMap;

/// Numbers words from 0 in the order in which they come.
#[derive(Debug, Default)]
pub struct Vocabulary<'a> {
    numbers: HashMap<&'a str, u32>,
}

impl<'a> Vocabulary<'a> {
    /// The number of `word`, a new one where it has none yet.
    pub fn number(&mut self, word: &'a str) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(word).or_insert(next)
    }

    /// The numbers of `words`.
    pub fn numbers(&mut self, words: impl Iterator<Item = &'a str>) -> Vec<u32> {
        words.map(|word| self.number(word)).collect()
    }
    /// The numbers by word.
    pub fn into_numbers(self) -> HashMap<&'a str, u32> {
        self.numbers
    }
}
