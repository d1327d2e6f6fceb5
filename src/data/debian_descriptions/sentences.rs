//! From the body of a description to paragraphs, and from those to sentences.

/// Words of more than a letter that end with a dot and no sentence.
const ABBREVIATIONS: [&str; 23] = [
    "e.g.", "i.e.", "etc.", "vs.", "cf.", "approx.", "resp.", "incl.", "no.", "st.", "dr.", "mr.", "fig.", "bzw.",
    "usw.", "ca.", "nr.", "evtl.", "ggf.", "inkl.", "c.-à-d.", "env.", "art.",
];

/// The paragraphs and list items of a body: lines with a space before them, ` .` between paragraphs, list items with a
/// sign or more space before them.
pub(super) fn paragraphs(body: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    // What a line without a sign of its own goes on with.
    let mut open = Open::Nothing;
    for line in body.lines() {
        let line = line.strip_prefix(' ').unwrap_or(line);
        let text = line.trim();
        if text.is_empty() || text == "." {
            open = Open::Nothing;
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        let item = item_text(text);
        let goes_on = match open {
            Open::Nothing => false,
            Open::Paragraph => !indented && item.is_none(),
            Open::Item => indented && item.is_none(),
        };
        match found.last_mut().filter(|_| goes_on) {
            Some(last) => {
                last.push(' ');
                last.push_str(text);
            }
            None => {
                found.push(item.unwrap_or(text).to_string());
                open = if item.is_some() || indented { Open::Item } else { Open::Paragraph };
            }
        }
    }
    found.into_iter().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Paragraph,
    Item,
}

/// The text of a list item, without its sign.
fn item_text(text: &str) -> Option<&str> {
    let (sign, rest) = text.split_once(' ')?;
    let number = sign.strip_suffix(['.', ')']).is_some_and(|digits| digits.len() < 3 && digits.parse::<u8>().is_ok());
    (number || ["*", "-", "+", "o", "•", "--"].contains(&sign)).then(|| rest.trim_start())
}

/// The sentences of a paragraph: it is cut after `.`, `!` or `?` before a space and a capital, unless the word is an
/// abbreviation.
pub(super) fn sentences(paragraph: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (place, _) in paragraph.match_indices(' ') {
        let (before, after) = (&paragraph[start..place], &paragraph[place + 1..]);
        if ends_sentence(before) && starts_sentence(after) {
            found.push(before);
            start = place + 1;
        }
    }
    found.push(&paragraph[start..]);
    found
}

fn ends_sentence(text: &str) -> bool {
    if text.ends_with(['!', '?']) {
        return true;
    }
    let bare = text.trim_end_matches([')', '"', '\'', '»', '“']);
    if !bare.ends_with('.') || bare.ends_with("..") {
        return false;
    }
    let word = text.rsplit(' ').next().unwrap_or(text).trim_start_matches(['(', '"']).to_lowercase();
    // z. B., d.h., p. ex., J. Doe: a letter before the dot and none before it.
    let letters: Vec<char> = word.trim_end_matches('.').chars().rev().take(2).collect();
    let initial = letters.first().is_some_and(|c| c.is_alphabetic()) && letters.get(1).is_none_or(|&c| c == '.');
    !initial && !ABBREVIATIONS.contains(&word.as_str())
}

fn starts_sentence(text: &str) -> bool {
    text.trim_start_matches(['"', '\'', '(', '«', '„', '“']).chars().next().is_some_and(char::is_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_items_are_told_apart() {
        let body = " One line\n goes on.\n .\n Features:\n  * first item\n    goes on\n  * second\n - third\n After it.\n .\n \
                    1. numbered\n   verbatim  text";
        let expected = [
            "One line goes on.",
            "Features:",
            "first item goes on",
            "second",
            "third",
            "After it.",
            "numbered verbatim text",
        ];
        assert_eq!(paragraphs(body), expected);
        assert!(paragraphs("").is_empty());
    }

    #[test]
    fn sentences_end_before_capitals() {
        assert_eq!(sentences("One. Two! three? Four"), ["One.", "Two! three?", "Four"]);
        assert_eq!(sentences("Dies ist z. B. Text, d.h. Deutsch. Ja."), ["Dies ist z. B. Text, d.h. Deutsch.", "Ja."]);
        assert_eq!(
            sentences("Tools, e.g. Emacs etc. And version 1.0. (New.) Ok"),
            ["Tools, e.g. Emacs etc. And version 1.0.", "(New.)", "Ok"]
        );
        assert_eq!(sentences("Wait... What"), ["Wait... What"]);
        assert_eq!(sentences("The no. 1. Item"), ["The no. 1.", "Item"]);
        assert_eq!(sentences(""), [""]);
    }
}
