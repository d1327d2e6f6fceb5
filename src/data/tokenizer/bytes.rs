//! GPT-2's alphabet: a printable character for each byte, so that merges and vocabularies are text.

use std::sync::LazyLock;

/// The character of each byte: itself where it is printable and no space, else one from U+0100 on.
static ALPHABET: LazyLock<[char; 256]> = LazyLock::new(|| {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        let byte = byte as u8;
        if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
            return char::from(byte);
        }
        next += 1;
        char::from_u32(next - 1).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
});

/// The character that stands for a byte.
pub fn character(byte: u8) -> char {
    ALPHABET[usize::from(byte)]
}

/// Writes `text` in the alphabet into `out`, whose content goes.
pub fn write(text: &str, out: &mut String) {
    out.clear();
    out.extend(text.bytes().map(character));
}

/// The bytes that a word of the alphabet stands for.
pub fn read(word: &str) -> Option<Vec<u8>> {
    let byte = |letter| ALPHABET.iter().position(|&known| known == letter).map(|byte| byte as u8);
    word.chars().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_in_gpt_2() {
        let mut word = String::new();
        write(" é\n\u{7f}\u{ad}!", &mut word);
        assert_eq!(word, "ĠÃ©Ċġ\u{c2}\u{143}!");
        assert_eq!(read(&word).unwrap(), " é\n\u{7f}\u{ad}!".as_bytes());
        assert_eq!(read("a b"), None);
        let library = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        assert_eq!(ALPHABET.iter().copied().collect::<std::collections::HashSet<_>>().len(), 256);
        assert!(ALPHABET.iter().all(|letter| library.contains(letter)));
    }
}
