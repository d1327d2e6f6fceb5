//! chrF (Popović, 2015) and chrF++ (Popović, 2017) as sacrebleu 2.6 computes them.

use super::ngrams::{self, Counts};
use super::segments::SegmentMetric;
use super::signature::yes_or_no;
use super::text::{is_space, words};
use super::vocabulary::Vocabulary;

/// The longest n-gram of characters that counts.
const CHARACTERS: usize = 6;
/// Bits of a character in a key: six of 21 bits fit into 128, and 0 stays free for no character.
const BITS: usize = 21;
/// The square of how much recall counts beside precision.
const BETA_SQUARED: f64 = 4.0;

/// chrF or chrF++ in points from 0 to 100.
#[derive(Debug, Clone, Default)]
pub struct Chrf {
    /// The longest n-gram of words that counts too: 0 for chrF, 2 for chrF++.
    pub word_order: usize,
    /// Whether case is ignored.
    pub lowercase: bool,
}

impl Chrf {
    /// chrF++: n-grams of one and two words beside those of characters.
    pub fn plus_plus() -> Self {
        Self { word_order: 2, lowercase: false }
    }

    /// The n-grams of a line: by order those of characters, then those of words.
    fn ngrams<'a>(&self, line: &'a str, vocabulary: &mut Vocabulary<'a>) -> Vec<Counts> {
        let mut orders = of_characters(line);
        if self.word_order > 0 {
            let words = vocabulary.numbers(punctuation_apart(line).into_iter());
            orders.extend((1..=self.word_order).map(|order| ngrams::of_words(&words, order)));
        }
        orders
    }

    fn case<'a>(&self, line: &'a str) -> std::borrow::Cow<'a, str> {
        if self.lowercase { line.to_lowercase().into() } else { line.into() }
    }
}

/// By order, the n-grams of the characters that are no white space. A key holds the six characters from one position
/// on; sorted once, its first n are the n-grams of order n in order.
fn of_characters(line: &str) -> Vec<Counts> {
    let characters: Vec<u128> = line.chars().filter(|c| !is_space(*c)).map(|c| c as u128 + 1).collect();
    let key = |start| {
        let next = |i: usize| characters.get(start + i).copied().unwrap_or(0);
        (0..CHARACTERS).fold(0, |key, i| key << BITS | next(i))
    };
    let mut keys: Vec<u128> = (0..characters.len()).map(key).collect();
    keys.sort_unstable();
    let of_order = |order: usize| {
        let prefixes = keys.iter().map(|key| key >> (BITS * (CHARACTERS - order)));
        // Near the end of the line there are fewer characters than the order.
        ngrams::count_sorted(prefixes.filter(|prefix| prefix & ((1 << BITS) - 1) != 0))
    };
    (1..=CHARACTERS).map(of_order).collect()
}

/// The words of a line, each with one mark of ASCII punctuation cut off at its end, else at its start.
fn punctuation_apart(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for word in words(line) {
        let last = word.len() - 1;
        if word.chars().nth(1).is_none() {
            parts.push(word);
        } else if word.as_bytes()[last].is_ascii_punctuation() {
            parts.extend([&word[..last], &word[last..]]);
        } else if word.as_bytes()[0].is_ascii_punctuation() {
            parts.extend([&word[..1], &word[1..]]);
        } else {
            parts.push(word);
        }
    }
    parts
}

/// F from, by order, the n-grams of the hypothesis, of the reference and of both; in points. Orders that one of the
/// two is too short for are left out.
fn f_score(statistics: &[f64]) -> f64 {
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for order in statistics.chunks_exact(3) {
        if order[0] > 0.0 && order[1] > 0.0 {
            precision += order[2] / order[0];
            recall += order[2] / order[1];
            orders += 1.0;
        }
    }
    if precision + recall == 0.0 {
        return 0.0;
    }
    precision /= orders;
    recall /= orders;
    // In this order, to the last bit: of references that are equally good, rounding says which is the best.
    100.0 * ((1.0 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall))
}

impl SegmentMetric for Chrf {
    /// Of the reference with the best score: by order the n-grams of the hypothesis, of the reference and of both.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = self.case(hypothesis);
        let references: Vec<_> = references.iter().map(|reference| self.case(reference)).collect();
        let mut vocabulary = Vocabulary::default();
        let own = self.ngrams(&hypothesis, &mut vocabulary);
        let mut best = vec![0.0; 3 * own.len()];
        let mut best_score = -1.0;
        for reference in &references {
            let other = self.ngrams(reference, &mut vocabulary);
            let statistics: Vec<f64> = own.iter().zip(&other).flat_map(|(own, other)| compare(own, other)).collect();
            let score = f_score(&statistics);
            if score > best_score {
                (best, best_score) = (statistics, score);
            }
        }
        best
    }

    fn score(&self, sums: &[f64]) -> f64 {
        f_score(sums)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("case", if self.lowercase { "lc" } else { "mixed" }.to_string()),
            ("eff", yes_or_no(true)),
            ("nc", CHARACTERS.to_string()),
            ("nw", self.word_order.to_string()),
            ("space", yes_or_no(false)),
        ]
    }
}

/// The n-grams of one order: those of the hypothesis, which count only where the reference has some, those of the
/// reference, those of both.
fn compare(hypothesis: &Counts, reference: &Counts) -> [f64; 3] {
    let counted = if reference.is_empty() { 0 } else { ngrams::total(hypothesis) };
    [counted, ngrams::total(reference), ngrams::matches(hypothesis, reference)].map(|count| count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::segments::tests::score_of;

    /// Figures of sacrebleu 2.6.0.
    #[test]
    fn figures_are_sacrebleus() {
        let texts = ["the cat sat on the mat", "a b c x"];
        let found = score_of(&Chrf::default(), &texts, &[&["the cat sat on a mat"], &["a b c d"]]);
        assert!((found - 69.72931011445502).abs() < 1e-9);
        let found = score_of(&Chrf::plus_plus(), &["(hi) cat."], &[&["hi cat ."]]);
        assert!((found - 43.870664267015705).abs() < 1e-9);
    }

    #[test]
    fn one_mark_is_cut_off_a_word() {
        assert_eq!(punctuation_apart("(hi) \"x cat. . é!"), ["(hi", ")", "\"", "x", "cat", ".", ".", "é", "!"]);
    }
}
