//! Text as the reference programs see it: they are written in Python, whose idea of white space differs a little.

/// Whether Python's `str.isspace` holds of the character: Unicode's white space and the separators U+001C to U+001F.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The words between white space, as Python's `str.split()`.
pub fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(is_space).filter(|word| !word.is_empty())
}

/// The line without white space at its end, as Python's `str.rstrip()`.
pub fn trim_end(line: &str) -> &str {
    line.trim_end_matches(is_space)
}

/// The line without white space at its ends, as Python's `str.strip()`.
pub fn trim(line: &str) -> &str {
    line.trim_matches(is_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_pythons() {
        assert_eq!(words(" a\u{1c}b\u{85}\u{a0}c\u{3000}\r").collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(words("a\u{200b}b\u{feff}").count(), 1);
        assert_eq!(trim_end(" a \u{1f}\r"), " a");
        assert_eq!(trim("\t a \u{2028}"), "a");
    }
}
