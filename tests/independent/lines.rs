//! The lines of a text as records: their stream, and the rows that it is cut into.

use crate::logged::LoggedRow;
use crate::tokenizer::Tokenizer;

/// A text's stream, and its rows of at most so many targets, in order.
pub fn records(tokenizer: &Tokenizer, text: &str, max_length: usize) -> (Vec<usize>, Vec<LoggedRow>) {
    let (mut stream, mut rows) = (vec![tokenizer.end()], Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        // What predicts the line's first token is the end of the line before.
        let start = stream.len() - 1;
        stream.extend(tokenizer.tokens(line));
        stream.push(tokenizer.end());
        let length = stream.len() - 1 - start;
        for begin in (0..length).step_by(max_length) {
            let targets = (length - begin).min(max_length);
            rows.push(LoggedRow { number: rows.len(), offset: start + begin, targets });
        }
    }
    (stream, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_begins_at_an_end_and_a_long_one_goes_on() {
        let tokenizer = Tokenizer::of_characters(&["<unknown>", "a", "b"], &["</s>"]);
        let (stream, rows) = records(&tokenizer, "ab\r\n\nabbab\n", 4);
        assert_eq!(stream, [3, 1, 2, 3, 1, 2, 2, 1, 2, 3]);
        let rows: Vec<_> = rows.into_iter().map(|row| (row.number, row.offset, row.targets)).collect();
        assert_eq!(rows, [(0, 0, 3), (1, 3, 4), (2, 7, 2)]);
    }
}
