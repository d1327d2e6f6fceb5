//! Byte-level BPE: GPT-2's alphabet and pattern, and merges.

use std::collections::HashMap;

use regex::Regex;

/// A vocabulary of runs of bytes.
pub struct Merges {
    /// Its entries, in GPT-2's alphabet.
    pub vocabulary: Vec<String>,
    ids: HashMap<String, usize>,
    /// The place of each pair among the merges.
    ranks: HashMap<(String, String), usize>,
}

impl Merges {
    /// That of these entries and merges, the first to be merged first.
    pub fn new(vocabulary: Vec<String>, merges: &[String]) -> Self {
        let pair = |merge: &String| {
            let (left, right) = merge.split_once(' ').expect("two entries of a merge");
            (left.to_owned(), right.to_owned())
        };
        let ranks = merges.iter().map(pair).enumerate().map(|(rank, pair)| (pair, rank)).collect();
        let ids = vocabulary.iter().enumerate().map(|(id, entry)| (entry.clone(), id)).collect();
        Self { vocabulary, ids, ranks }
    }

    /// The tokens of a text.
    pub fn tokens(&self, text: &str) -> Vec<usize> {
        pieces(text).into_iter().flat_map(|piece| self.merged(piece)).collect()
    }

    /// The text of tokens.
    pub fn text(&self, tokens: &[usize]) -> String {
        let letters = alphabet();
        let byte = |letter: char| letters.iter().position(|other| *other == letter).expect("a letter") as u8;
        let bytes: Vec<u8> = tokens.iter().flat_map(|token| self.vocabulary[*token].chars().map(byte)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A piece whose bytes are merged, pair by pair.
    fn merged(&self, piece: &str) -> Vec<usize> {
        let letters = alphabet();
        let mut parts: Vec<String> = piece.bytes().map(|byte| letters[usize::from(byte)].to_string()).collect();
        loop {
            let ranked = parts.windows(2).enumerate().filter_map(|(place, pair)| {
                let rank = self.ranks.get(&(pair[0].clone(), pair[1].clone()))?;
                Some((*rank, place))
            });
            let Some((_, place)) = ranked.min() else { break };
            let right = parts.remove(place + 1);
            parts[place] += &right;
        }
        parts.iter().map(|part| self.ids[part]).collect()
    }
}

/// The character that stands for each byte: itself where it can be seen, the others from U+0100 on.
fn alphabet() -> Vec<char> {
    let seen = |byte: u32| (33..=126).contains(&byte) || (161..=172).contains(&byte) || byte >= 174;
    let mut others = 256..;
    let letter = |byte| if seen(byte) { byte } else { others.next().expect("a number") };
    (0..256).map(letter).map(|letter| char::from_u32(letter).expect("a letter")).collect()
}

/// A text cut by GPT-2's pattern.
fn pieces(text: &str) -> Vec<&str> {
    let pattern =
        Regex::new(r"^(?:'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+)").expect("a pattern");
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(found) = pattern.find(rest) {
        let mut length = found.end();
        let spaces = &rest[..length];
        let last = spaces.chars().next_back().expect("a character").len_utf8();
        // Of white space before a word the last character stays for the word.
        if spaces.chars().all(char::is_whitespace) && length < rest.len() && last < length {
            length -= last;
        }
        let (piece, behind) = rest.split_at(length);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_as_by_gpt_2() {
        assert_eq!(pieces("a  cat's  12é!? x \n"), ["a", " ", " cat", "'s", " ", " 12", "é", "!?", " x", " \n"]);
        assert_eq!(pieces("  a"), [" ", " a"]);
        assert_eq!(pieces("\u{2003}a"), ["\u{2003}", "a"]);
    }

    #[test]
    fn pairs_are_merged_in_the_order_of_the_merges() {
        let entries = ["a", "b", "c", "bc", "ab", "Ġ", "Ġa"].map(str::to_owned).to_vec();
        let merges = Merges::new(entries, &["b c", "a b", "Ġ a"].map(str::to_owned));
        assert_eq!(merges.tokens("abcab ab"), [0, 3, 4, 5, 4]);
        assert_eq!(merges.text(&[0, 3, 6]), "abc a");
    }
}
