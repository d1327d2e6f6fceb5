//! Where texts are cut before any vocabulary is asked: GPT-2's pattern, and borders at which a stream may be cut.

use regex::Regex;
use std::sync::LazyLock;

/// GPT-2's pattern without its lookahead `\s+(?!\S)`, which [`Pieces`] adds: English contractions; letters, digits or
/// other characters, each with one space before them; white space.
static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    const TEXT: &str = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+";
    Regex::new(TEXT).expect("a valid pattern")
});

/// The pieces of a text, from the first on; joined they are the text.
pub struct Pieces<'a> {
    text: &'a str,
    position: usize,
}

/// Cuts `text` by GPT-2's pattern.
pub fn pieces(text: &str) -> Pieces<'_> {
    Pieces { text, position: 0 }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if let Some(length) = ascii_piece(&self.text.as_bytes()[self.position..]) {
            let begin = self.position;
            self.position += length;
            return Some(&self.text[begin..self.position]);
        }
        // Every character belongs to one of the alternatives: the match begins at the position.
        let end = PATTERN.find_at(self.text, self.position)?.end();
        let piece = &self.text[self.position..end];
        let piece = if end == self.text.len() { piece } else { without_last_space(piece) };
        self.position += piece.len();
        Some(piece)
    }
}

/// The length of the first piece where ASCII alone decides on it, which is most of the time and several times as fast as
/// the pattern.
fn ascii_piece(text: &[u8]) -> Option<usize> {
    let &first = text.first()?;
    if first == b'\'' {
        let rest = &text[1..];
        let contraction = ["s", "t", "re", "ve", "m", "ll", "d"].iter().find(|end| rest.starts_with(end.as_bytes()));
        if let Some(end) = contraction {
            return Some(1 + end.len());
        }
    }
    // One space belongs to what follows it, where that is no white space.
    let start = usize::from(first == b' ' && text.get(1).is_some_and(|next| Class::of(*next) != Some(Class::Space)));
    let class = Class::of(text[start])?;
    let end = text[start..].iter().position(|byte| Class::of(*byte) != Some(class)).map(|length| start + length);
    match end {
        None => Some(text.len()),
        Some(end) if !text[end].is_ascii() => None,
        Some(end) if class == Class::Space && end > 1 => Some(end - 1),
        end => end,
    }
}

/// What the pattern tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Space,
    Other,
}

impl Class {
    /// That of an ASCII character.
    fn of(byte: u8) -> Option<Self> {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Some(Self::Letter),
            b'0'..=b'9' => Some(Self::Digit),
            b'\t'..=b'\r' | b' ' => Some(Self::Space),
            0x80.. => None,
            _ => Some(Self::Other),
        }
    }
}

/// White space before a word leaves its last character to the word.
fn without_last_space(piece: &str) -> &str {
    let mut characters = piece.chars();
    match characters.next_back() {
        Some(last) if last.is_whitespace() && !characters.as_str().is_empty() => characters.as_str(),
        _ => piece,
    }
}

/// The last place of `text` at which it may be cut without a change of any tokenizer's tokens: before a space or a line
/// feed that follows another character. There the pattern above ends a piece, whatever comes before or after.
pub fn last_border(text: &str) -> Option<usize> {
    let places = text.bytes().enumerate().rev().filter(|(_, byte)| matches!(byte, b' ' | b'\n'));
    places.map(|(place, _)| place).find(|&place| text[..place].chars().next_back().is_some_and(|c| !c.is_whitespace()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    const TEXTS: [&str; 11] = [
        "Hello world",
        " it's  John's,\n\n  don't 'tis 'll we'LL\t\tx ",
        "a\n\n\nb\r\n\r\nc   \n d\u{a0}\u{a0}e\u{3000}f",
        "x1y22 33 ½ ² ٣ Ⅷ ⓐ",
        "日本語テキスト。と  English",
        "naïve cafe\u{301} Straße ǅ ª",
        "!!! ...?? (a) [b] {c} <d> --e--",
        "\u{85}\u{2028}z\u{180e}q\u{200b}r\u{feff}",
        "   ",
        "'s't're've'm'll'd'x''s '",
        "\u{1}\u{1c}\u{1f}\u{7f}\u{b}\u{c} a\u{e9} 1\u{bd} !\u{a1}",
    ];

    /// What the tokenizers library does.
    fn of_the_library(text: &str) -> Vec<String> {
        let mut split = PreTokenizedString::from(text);
        ByteLevel::new(false, true, true).pre_tokenize(&mut split).unwrap();
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.iter().map(|(_, (start, end), _)| text[*start..*end].to_string()).collect()
    }

    #[test]
    fn pieces_are_those_of_the_tokenizers_library() {
        for text in TEXTS {
            assert_eq!(pieces(text).collect::<Vec<_>>(), of_the_library(text), "{text:?}");
        }
        assert_eq!(pieces("").next(), None);
    }

    #[test]
    fn a_cut_at_a_border_changes_no_piece() {
        for text in TEXTS.iter().flat_map(|a| TEXTS.iter().map(move |b| format!("{a}{b}"))) {
            let whole: Vec<&str> = pieces(&text).collect();
            let mut left = text.as_str();
            while let Some(border) = last_border(left) {
                left = &text[..border];
                let parts: Vec<&str> = pieces(left).chain(pieces(&text[border..])).collect();
                assert_eq!(parts, whole, "{text:?} at {border}");
            }
        }
        assert_eq!(last_border("ab \n c"), Some(5 - 3));
        assert_eq!(last_border(" ab"), None);
    }
}
