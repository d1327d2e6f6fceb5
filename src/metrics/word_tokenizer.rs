//! Words as NLTK's word tokenizer cuts them, which follows the Penn Treebank: `don't` is `do n't`.

use super::text;
use regex::Regex;
use std::sync::LazyLock;

/// Opening quotes apart, before [`open_quotes`].
const OPENING: [(&str, &str); 4] =
    [("[«“‘„]|`+", " $0 "), ("^\"", "``"), ("``", " $0 "), (r#"([ (\[{<])("|'{2})"#, "$1 `` ")];

/// Punctuation, brackets and dashes apart. A period is cut off at the end of the text only.
const PUNCTUATION: [(&str, &str); 12] = [
    (r#"([^.])(\.)([\])}>"'»”’ ]*)\s*$"#, "$1 $2 $3 "),
    (r"([:,])(\D)", " $1 $2"),
    ("[:,]$", " $0 "),
    (r"\.{2,}", " $0 "),
    ("[;@#$%&]", " $0 "),
    ("[\u{2012}-\u{2015}]", " $0 "),
    (r#"([^.])(\.)([\])}>"']*)\s*$"#, "$1 $2$3 "),
    ("[?!]", " $0 "),
    ("([^'])' ", "$1 ' "),
    (r"\*", " $0 "),
    (r"[\]\[(){}<>]", " $0 "),
    ("--", " -- "),
];

/// Closing quotes, endings and contractions apart, with a space on either side of the text.
const CLOSING: [(&str, &str); 16] = [
    ("[»”’]", " $0 "),
    ("''", " '' "),
    ("\"", " '' "),
    (r"\s+", " "),
    ("([^' ])('[sS]|'[mM]|'[dD]|') ", "$1 $2 "),
    ("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", "$1 $2 "),
    (r"(?i)\b(can)(not)\b", " $1 $2 "),
    (r"(?i)\b(d)('ye)\b", " $1 $2 "),
    (r"(?i)\b(gim)(me)\b", " $1 $2 "),
    (r"(?i)\b(gon)(na)\b", " $1 $2 "),
    (r"(?i)\b(got)(ta)\b", " $1 $2 "),
    (r"(?i)\b(lem)(me)\b", " $1 $2 "),
    (r"(?i)\b(more)('n)\b", " $1 $2 "),
    (r"(?i)\b(wan)(na)(\s)", " $1 $2 $3"),
    (r"(?i) ('t)(is)\b", " $1 $2 "),
    (r"(?i) ('t)(was)\b", " $1 $2 "),
];

/// Endings before which an apostrophe belongs to the word.
const ENDINGS: [&str; 8] = ["re", "ve", "ll", "m", "t", "s", "d", "n"];

/// Patterns with what takes the place of their matches, one after the other.
type Passes = Vec<(Regex, &'static str)>;

/// The tokenizer with its patterns compiled.
pub struct WordTokenizer {
    opening: Passes,
    punctuation: Passes,
    closing: Passes,
}

impl WordTokenizer {
    /// The one tokenizer that there is.
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<WordTokenizer> = LazyLock::new(|| WordTokenizer {
            opening: compile(&OPENING),
            punctuation: compile(&PUNCTUATION),
            closing: compile(&CLOSING),
        });
        &SHARED
    }

    /// The words of a text, which is taken for one sentence.
    pub fn words(&self, text: &str) -> Vec<String> {
        let text = open_quotes(&replace(text.to_string(), &self.opening));
        let text = replace(text, &self.punctuation);
        let text = replace(format!(" {text} "), &self.closing);
        text::words(&text).map(str::to_string).collect()
    }
}

fn compile(passes: &[(&str, &'static str)]) -> Passes {
    let pattern = |text: &str| Regex::new(text).expect("the patterns of this file are valid");
    passes.iter().map(|(text, replacement)| (pattern(text), *replacement)).collect()
}

fn replace(mut text: String, passes: &Passes) -> String {
    for (pattern, replacement) in passes {
        if let std::borrow::Cow::Owned(changed) = pattern.replace_all(&text, *replacement) {
            text = changed;
        }
    }
    text
}

/// Puts a space behind apostrophes that open a quotation: before a word, behind none, and not part of an ending.
fn open_quotes(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut result = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        result.push(c);
        let rest = &text[i + c.len_utf8()..];
        if c == '\'' && !text[..i].ends_with(is_word) && rest.starts_with(is_word) {
            let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
            if !ENDINGS.iter().any(|ending| word.eq_ignore_ascii_case(ending)) {
                result.push(' ');
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words as NLTK's word tokenizer gives them.
    #[test]
    fn words_are_nltks() {
        let cases = [
            ("I can't do that, sir.", "I ca n't do that , sir ."),
            ("\"Well,\" he said, 'tis (3.5%) of $5...", "`` Well , '' he said , ' tis ( 3.5 % ) of $ 5 ..."),
            ("you're gonna wanna go--now!", "you 're gon na wan na go -- now !"),
            ("they're 'quoted words' and John's.", "they 're ' quoted words ' and John 's ."),
            ("hello . how are you ?", "hello . how are you ?"),
        ];
        for (text, expected) in cases {
            assert_eq!(WordTokenizer::shared().words(text).join(" "), expected);
        }
    }
}
