//! The one place that writes to stdout.

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use serde::Serialize;
use std::io::{ErrorKind, Write};

/// Prints text and a newline on stdout. A reader that has gone away is no error.
pub fn print(text: &str) -> Result<()> {
    print_whole(text.trim_end_matches('\n')).map(drop)
}

/// As [`print`], but for the text's own newlines at its end, which stay. Answers whether there still is a reader.
pub fn print_whole(text: &str) -> Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// Prints a value as one JSON object.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// A count with thousands separated, such as 1,234,567.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table that Markdown takes too.
pub fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table
}

/// A figure in so many decimals, or a dash.
pub fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.digits$}"))
}

/// A count, or a dash.
pub fn whole(value: Option<u64>) -> String {
    value.map_or_else(|| "–".into(), thousands)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
