//! distinct-1 and distinct-2 (Li et al., 2016): how varied outputs are. No reference is needed.

use super::ngrams;
use super::text::words;
use super::vocabulary::Vocabulary;
use std::collections::HashSet;

/// Different n-grams of `order` words (1 or 2) in all `texts` per 100 words of them, as the paper defines it: the
/// divisor counts words for distinct-2 too. Words are what stands between white space; 0 where there is none.
pub fn distinct(texts: &[&str], order: usize) -> f64 {
    let mut vocabulary = Vocabulary::default();
    let (mut different, mut total) = (HashSet::new(), 0);
    for text in texts {
        let words = vocabulary.numbers(words(text));
        total += words.len();
        different.extend(ngrams::of_words(&words, order).into_iter().map(|(key, _)| key));
    }
    if total == 0 { 0.0 } else { 100.0 * different.len() as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_ngrams_per_word() {
        assert_eq!(distinct(&["a b a", "a b"], 1), 40.0);
        assert_eq!(distinct(&["a b a", "a b"], 2), 40.0);
        assert_eq!(distinct(&["", " "], 1), 0.0);
    }
}
