//! The words of the text from which a model of the tokenizers library learns.

use anyhow::Result;
use std::collections::HashMap;

/// Bytes of distinct words at most. Training keeps some 32 bytes for each: text without spaces, in which every stretch is a
/// word of its own, would else fill the memory.
const DISTINCT: usize = 32_000_000;

/// How often each word occurs in a text that comes in pieces. New words beyond a limit are left out, the first time with a
/// word about it.
///
/// # Errors
/// Those of reading the text.
pub fn count(
    text: impl Iterator<Item = Result<String>>,
    mut words: impl FnMut(&str, &mut dyn FnMut(&str)),
) -> Result<HashMap<String, u64>> {
    count_up_to(DISTINCT, text, &mut words)
}

fn count_up_to(
    most: usize,
    text: impl Iterator<Item = Result<String>>,
    words: &mut impl FnMut(&str, &mut dyn FnMut(&str)),
) -> Result<HashMap<String, u64>> {
    let (mut counts, mut bytes, mut full) = (HashMap::new(), 0, false);
    for piece in text {
        words(&piece?, &mut |word| {
            if let Some(count) = counts.get_mut(word) {
                *count += 1;
            } else if bytes + word.len() <= most {
                bytes += word.len();
                counts.insert(word.to_string(), 1);
            } else if !full {
                full = true;
                let megabytes = most as f64 / 1e6;
                tracing::warn!(
                    "the tokenizer learns from {megabytes:.0} MB of different words, further ones are left out: the text \
                     has few spaces; a smaller tokenizer.sample_bytes learns as much"
                );
            }
        });
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_words_are_left_out_beyond_the_limit() {
        let pieces = ["aa bb aa", "ccc dd aa", "bb e"].map(|piece| Ok(piece.to_string()));
        let mut words = |text: &str, take: &mut dyn FnMut(&str)| text.split(' ').for_each(take);
        let counts = count_up_to(6, pieces.into_iter(), &mut words).unwrap();
        let expected = [("aa", 3), ("bb", 2), ("dd", 1)].map(|(word, count)| (word.to_string(), count));
        assert_eq!(counts, HashMap::from(expected));
        let failing = [Ok("a".to_string()), Err(anyhow::anyhow!("broken"))];
        assert_eq!(count(failing.into_iter(), &mut words).unwrap_err().to_string(), "broken");
    }
}
