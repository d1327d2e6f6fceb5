//! The prompts that a user gives on stdin or in a file.

use crate::data::options::TokenizerKind;
use crate::data::source;
use crate::data::tokenizer::Tokenizer;
use crate::refuse;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Read};
use std::path::Path;

/// More is no prompt but a mistake.
const LARGEST_INPUT: u64 = 64 << 20;

/// Unknown parts of texts that a warning names.
const NAMED: usize = 8;

/// Reads a file, or stdin where its name is `-`, to its end: a prompt per line, or all of it as one where it is to be
/// taken `whole`. Warns of what the tokenizer lacks.
///
/// # Errors
/// Refuses a file that is not there, an empty stdin, and an empty line where the tokenizer knows no line break; what is no
/// text.
pub fn read(file: &Path, whole: bool, tokenizer: &Tokenizer) -> Result<Vec<String>> {
    let (input, name) = match file == Path::new("-") {
        true => (stdin(whole)?, "stdin".to_string()),
        false => (source::read(file)?, file.display().to_string()),
    };
    let prompts = cut(&input, &name, whole, tokenizer)?;
    warn_of_unknown(&prompts, tokenizer);
    Ok(prompts)
}

fn stdin(whole: bool) -> Result<String> {
    let stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        let what = if whole { "a prompt" } else { "prompts, one per line," };
        tracing::info!("reading {what} until Ctrl-D");
    }
    let mut bytes = Vec::new();
    stdin.take(LARGEST_INPUT + 1).read_to_end(&mut bytes).context("cannot read stdin")?;
    ensure!(bytes.len() as u64 <= LARGEST_INPUT, "stdin holds more than {} MiB of prompts", LARGEST_INPUT >> 20);
    text(bytes)
}

fn text(bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        anyhow::anyhow!("stdin is not UTF-8 text: the byte at offset {offset} is out of place")
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
        assert!(text(b"ab\xff".to_vec()).unwrap_err().to_string().contains("offset 2"));
    }
}
