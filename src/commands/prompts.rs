//! The prompts that a user gives on stdin or in a file.

use crate::data::options::TokenizerKind;
use crate::data::source::{input_name, is_stdin, open_input};
use crate::data::tokenizer::Tokenizer;
use crate::refuse;
use anyhow::{Context, Result, anyhow, ensure};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;

/// Bytes, unpacked. More is no prompt but a mistake.
const LARGEST_INPUT: u64 = 64 << 20;

/// Unknown parts of texts that a warning names.
const NAMED: usize = 8;

/// Reads a file, or stdin where its name is `-`, plain or gzipped, to its end: a prompt per line, or all of it as one
/// where it is to be taken `whole`. Warns of what the tokenizer lacks.
///
/// # Errors
/// Refuses a file that is not there, an input that is empty, and an empty line where the tokenizer knows no line break;
/// what is no text, or too much of it.
pub fn read(file: &Path, whole: bool, tokenizer: &Tokenizer) -> Result<Vec<String>> {
    if is_stdin(file) && std::io::stdin().is_terminal() {
        let what = if whole { "a prompt" } else { "prompts, one per line," };
        tracing::info!("reading {what} until Ctrl-D");
    }
    let name = input_name(file);
    let prompts = cut(&text(open_input(file, &Arc::default())?, &name)?, &name, whole, tokenizer)?;
    warn_of_unknown(&prompts, tokenizer);
    Ok(prompts)
}

/// Reads sources as [`read`] reads prompts; an empty line is an empty source.
///
/// # Errors
/// As there, but for empty lines.
pub fn read_sources(file: &Path, whole: bool, tokenizer: &Tokenizer) -> Result<Vec<String>> {
    if is_stdin(file) && std::io::stdin().is_terminal() {
        tracing::info!("reading {} until Ctrl-D", if whole { "a source" } else { "sources, one per line," });
    }
    let name = input_name(file);
    let text = text(open_input(file, &Arc::default())?, &name)?;
    if text.is_empty() {
        refuse!("{name} is empty: expected a source per line, as in `echo \"Hello\" | synth generate RUN`");
    }
    let sources = if whole {
        vec![text.strip_suffix('\n').unwrap_or(&text).to_string()]
    } else {
        text.lines().map(str::to_string).collect()
    };
    warn_of_unknown(&sources, tokenizer);
    Ok(sources)
}

fn text(input: impl Read, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    input.take(LARGEST_INPUT + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    ensure!(bytes.len() as u64 <= LARGEST_INPUT, "{name} holds more than {} MiB", LARGEST_INPUT >> 20);
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        anyhow!("{name} is not UTF-8 text: the byte at offset {offset} is out of place")
    })
}

fn cut(input: &str, name: &str, whole: bool, tokenizer: &Tokenizer) -> Result<Vec<String>> {
    if input.is_empty() {
        refuse!("{name} is empty: expected a prompt per line, as in `echo \"The\" | synth generate RUN`");
    }
    if whole {
        return Ok(vec![input.to_string()]);
    }
    let knows_line_breaks = tokenizer.unknown_parts("\n").is_empty();
    if let (false, Some(index)) = (knows_line_breaks, input.lines().position(str::is_empty)) {
        let number = index + 1;
        refuse!("line {number} of {name} is empty and the run's tokenizer knows no line break: expected a character");
    }
    Ok(input.lines().map(|line| if line.is_empty() { "\n" } else { line }.to_string()).collect())
}

fn warn_of_unknown(prompts: &[String], tokenizer: &Tokenizer) {
    let unknown: BTreeSet<String> = prompts.iter().flat_map(|prompt| tokenizer.unknown_parts(prompt)).collect();
    if unknown.is_empty() {
        return;
    }
    let named: Vec<String> = unknown.iter().take(NAMED).map(|part| quoted(part)).collect();
    let more = match unknown.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = if tokenizer.kind() == TokenizerKind::Char { "character" } else { "token" };
    tracing::warn!("the run's tokenizer lacks {}{more}: read as its unknown {what}", named.join(", "));
}

/// A character in single quotes, a longer text in double ones.
fn quoted(part: &str) -> String {
    let mut characters = part.chars();
    match (characters.next(), characters.next()) {
        (Some(only), None) => format!("{only:?}"),
        _ => format!("{part:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::options::TokenizerOptions;
    use crate::exit;
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write;

    #[test]
    fn lines_are_prompts() {
        let cut = |input, whole| cut(input, "stdin", whole, &Tokenizer::byte()).unwrap();
        assert_eq!(cut("a b\nc", false), ["a b", "c"]);
        assert_eq!(cut("a\n\n b \r\n", false), ["a", "\n", " b "]);
        assert_eq!(cut("\n", false), ["\n"]);
        assert_eq!(cut("a\n\nb\n", true), ["a\n\nb\n"]);
    }

    #[test]
    fn what_is_no_prompt() {
        let options = TokenizerOptions { kind: TokenizerKind::Char, ..Default::default() };
        let letters = Tokenizer::of_text(&options, "abc").unwrap();
        for (input, whole, expected) in
            [("", false, "stdin is empty"), ("", true, "stdin is empty"), ("a\n\nb", false, "line 2 of stdin")]
        {
            let error = cut(input, "stdin", whole, &letters).unwrap_err();
            assert_eq!(exit::code(&error), 2);
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert_eq!(cut("a\n\nb", "stdin", true, &letters).unwrap().len(), 1);
        let error = |bytes: &[u8]| text(bytes, "a.txt").unwrap_err().to_string();
        assert!(error(b"ab\xff").contains("a.txt is not UTF-8 text: the byte at offset 2"));
        assert!(error(&vec![b'a'; LARGEST_INPUT as usize + 1]).contains("a.txt holds more than 64 MiB"));
    }

    #[test]
    fn files_are_unpacked_and_capped_like_stdin() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &[u8]| {
            let mut packed = GzEncoder::new(fs::File::create(file.path()).unwrap(), Compression::fast());
            packed.write_all(text).unwrap();
            packed.finish().unwrap();
            super::read(file.path(), true, &Tokenizer::byte())
        };
        assert_eq!(read("\u{feff}a\nb".as_bytes()).unwrap(), ["a\nb"]);
        let text: Vec<u8> =
            (0..LARGEST_INPUT as u32 / 4).flat_map(|number| format!("{number:07}\n").into_bytes()).collect();
        assert!(read(&text).unwrap_err().to_string().contains("more than 64 MiB"));
    }
}
