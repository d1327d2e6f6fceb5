//! sacrebleu's tokenizers for BLEU.

use super::text::{trim, words};
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

/// How BLEU cuts a line into words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Tokenizer {
    /// mteval-v13a: ASCII punctuation apart, but in numbers.
    #[default]
    #[serde(rename = "13a")]
    Mteval13a,
    /// mteval-v14: punctuation and symbols of all scripts apart, but punctuation in numbers.
    #[serde(rename = "intl")]
    International,
    /// Every character by itself.
    #[serde(rename = "char")]
    Character,
    /// Every Chinese character by itself, the rest as 13a.
    #[serde(rename = "zh")]
    Chinese,
    /// White space alone.
    #[serde(rename = "none")]
    None,
}

impl Tokenizer {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Mteval13a, Self::International, Self::Character, Self::Chinese, Self::None];

    /// Its name in sacrebleu and in signatures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mteval13a => "13a",
            Self::International => "intl",
            Self::Character => "char",
            Self::Chinese => "zh",
            Self::None => "none",
        }
    }

    /// The line with white space between its words, and maybe more of it around them.
    pub fn separate(self, line: &str) -> Cow<'_, str> {
        match self {
            Self::Mteval13a => mteval(&format!(" {} ", unescape(line))).into(),
            Self::International => international(line).into(),
            Self::Character => line.chars().flat_map(|c| [c, ' ']).collect::<String>().into(),
            Self::Chinese => mteval(&chinese(trim(line))).into(),
            Self::None => line.into(),
        }
    }

    /// The words of the line.
    pub fn words(self, line: &str) -> Vec<String> {
        words(&self.separate(line)).map(str::to_string).collect()
    }
}

impl fmt::Display for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tokenizer {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|tokenizer| tokenizer.name() == name);
        known.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// What 13a undoes before it cuts.
fn unescape(line: &str) -> Cow<'_, str> {
    let mut text = Cow::from(line);
    for (from, to) in [("<skipped>", ""), ("-\n", ""), ("\n", " ")] {
        if text.contains(from) {
            text = text.replace(from, to).into();
        }
    }
    if text.contains('&') {
        text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">").into();
    }
    text
}

/// The cuts that 13a and zh share, each a pass over the result of the one before. They look at ASCII alone, so bytes
/// will do: whatever is inserted stands beside an ASCII byte, never within a character.
fn mteval(line: &str) -> String {
    let mut text = Vec::with_capacity(line.len() * 2);
    for &byte in line.as_bytes() {
        match byte {
            b'{'..=b'~' | b'['..=b'`' | b' '..=b'&' | b'('..=b'+' | b':'..=b'@' | b'/' => {
                text.extend([b' ', byte, b' ']);
            }
            _ => text.push(byte),
        }
    }
    let stop = |byte: u8| matches!(byte, b'.' | b',');
    let digit = |byte: u8| byte.is_ascii_digit();
    let text = cut(&text, |first, second| !digit(first) && stop(second), |a, b| [a, b' ', b, b' ']);
    let text = cut(&text, |first, second| stop(first) && !digit(second), |a, b| [b' ', a, b' ', b]);
    let text = cut(&text, |first, second| digit(first) && second == b'-', |a, b| [a, b' ', b, b' ']);
    String::from_utf8_lossy(&text).into_owned()
}

/// Replaces pairs of bytes from left to right, none of which overlap.
fn cut(text: &[u8], is_pair: impl Fn(u8, u8) -> bool, replace: impl Fn(u8, u8) -> [u8; 4]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len() + text.len() / 4);
    let mut i = 0;
    while i < text.len() {
        match text.get(i + 1) {
            Some(&second) if is_pair(text[i], second) => {
                result.extend(replace(text[i], second));
                i += 2;
            }
            _ => {
                result.push(text[i]);
                i += 1;
            }
        }
    }
    result
}

fn international(line: &str) -> String {
    static PASSES: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
        let pattern = |text| Regex::new(text).expect("the pattern is valid");
        [(pattern(r"(\P{N})(\p{P})"), "$1 $2 "), (pattern(r"(\p{P})(\P{N})"), " $1 $2"), (pattern(r"\p{S}"), " $0 ")]
    });
    let mut text = Cow::from(line);
    for (pattern, replacement) in PASSES.iter() {
        if let Cow::Owned(cut) = pattern.replace_all(&text, *replacement) {
            text = cut.into();
        }
    }
    text.into_owned()
}

/// Sets every Chinese character apart.
fn chinese(line: &str) -> String {
    let mut text = String::with_capacity(line.len() * 2);
    for c in line.chars() {
        if is_chinese(c) {
            text.extend([' ', c, ' ']);
        } else {
            text.push(c);
        }
    }
    text
}

/// sacrebleu's table. Two of its rows were meant for ideographs beyond U+FFFF but are written as a character of four
/// digits and one more digit; compared as text they cover U+2001 to U+2A6D and U+2F81 to U+2FA1, which stands here:
/// quotation marks and dashes are cut off, ideographs beyond U+FFFF are not.
fn is_chinese(c: char) -> bool {
    matches!(c,
        '\u{2001}'..='\u{2a6d}' | '\u{2e80}'..='\u{2eff}' | '\u{2f00}'..='\u{2fdf}' | '\u{2ff0}'..='\u{303f}'
        | '\u{3100}'..='\u{312f}' | '\u{31a0}'..='\u{31bf}' | '\u{31c0}'..='\u{31ef}' | '\u{3200}'..='\u{33ff}'
        | '\u{3400}'..='\u{4db5}' | '\u{4e00}'..='\u{9fbb}' | '\u{f900}'..='\u{fa2d}' | '\u{fa30}'..='\u{fa6a}'
        | '\u{fa70}'..='\u{fad9}' | '\u{fe10}'..='\u{fe1f}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ffef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words as sacrebleu 2.6.0 gives them.
    #[test]
    fn words_are_sacrebleus() {
        let cases = [
            (
                Tokenizer::Mteval13a,
                "Hello, \"World\"! 3.14 1,000. a.b 5-6 x-y &amp; $5",
                "Hello , \" World \" ! 3.14 1,000 . a . b 5 - 6 x-y & $ 5",
            ),
            (Tokenizer::Mteval13a, "wait... né. <skipped>ok", "wait . . . né . ok"),
            (Tokenizer::International, "«Ja», 3.14 €5… x.", "« Ja » , 3.14 € 5 … x ."),
            (Tokenizer::International, "in 1999.", "in 1999."),
            (Tokenizer::Chinese, "我爱 you.好，“x”", "我 爱 you . 好 ， “ x ”"),
            (Tokenizer::Chinese, "𠀀𠀁", "𠀀𠀁"),
            (Tokenizer::Character, "a b\u{1f600}é", "a b \u{1f600} é"),
            (Tokenizer::None, " a.  b\u{1c}c ", "a. b c"),
        ];
        for (tokenizer, line, expected) in cases {
            assert_eq!(tokenizer.words(line).join(" "), expected, "{tokenizer}: {line}");
        }
    }

    #[test]
    fn names_are_read_back() {
        assert!(Tokenizer::ALL.into_iter().all(|tokenizer| tokenizer.name().parse() == Ok(tokenizer)));
        assert!("14a".parse::<Tokenizer>().unwrap_err().contains("13a, intl, char, zh, none"));
    }
}
