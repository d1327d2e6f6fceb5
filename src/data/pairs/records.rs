//! The records of a stream of tokens, one after the other.

use crate::data::tokens::Tokens;
use anyhow::{Result, bail};

/// Ids read at a time.
const AT_ONCE: u64 = 1 << 16;

/// Where a record lies in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The place of its first token, or of its end where it has none.
    pub begin: u64,
    /// How many tokens it has, its end not counted.
    pub tokens: u64,
}

/// The records of a stream that begins with `end`, and in which each record is followed by one.
pub struct Records<'a> {
    tokens: &'a Tokens,
    end: i64,
    /// Ids from `first` on.
    ids: Vec<i64>,
    first: u64,
    /// The place that is looked at next.
    next: u64,
}

impl<'a> Records<'a> {
    /// All of a stream.
    pub fn new(tokens: &'a Tokens, end: u32) -> Self {
        Self { tokens, end: end.into(), ids: Vec::new(), first: 0, next: 1 }
    }

    fn read(&mut self) -> Result<Option<Record>> {
        let begin = self.next;
        loop {
            let place = (self.next - self.first) as usize;
            if let Some(length) = self.ids.get(place..).and_then(|ids| ids.iter().position(|&id| id == self.end)) {
                let end = self.next + length as u64;
                self.next = end + 1;
                return Ok(Some(Record { begin, tokens: end - begin }));
            }
            self.next = self.next.max(self.first + self.ids.len() as u64);
            if self.next >= self.tokens.count() {
                if begin < self.tokens.count() {
                    bail!("the tokens from place {begin} on have no end");
                }
                return Ok(None);
            }
            self.first = self.next;
            self.ids.clear();
            self.tokens.read(self.first..self.tokens.count().min(self.first + AT_ONCE), &mut self.ids)?;
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(ids: &[u32]) -> Result<Vec<(u64, u64)>> {
        let tokens = Tokens::of(ids);
        Records::new(&tokens, 9).map(|record| record.map(|record| (record.begin, record.tokens))).collect()
    }

    #[test]
    fn records_lie_between_ends() {
        assert_eq!(records(&[9, 1, 2, 9, 9, 3, 9]).unwrap(), [(1, 2), (4, 0), (5, 1)]);
        assert_eq!(records(&[9]).unwrap(), []);
        assert_eq!(records(&[9, 9]).unwrap(), [(1, 0)]);
        assert!(Records::new(&Tokens::of(&[9, 1]), 9).next().unwrap().is_err());
    }

    #[test]
    fn a_record_may_lie_across_reads() {
        let ids: Vec<u32> = (0..200_000).map(|i| if i % 65_537 == 0 || i == 199_999 { 9 } else { 1 }).collect();
        let expected = [(1, 65_536), (65_538, 65_536), (131_075, 65_536), (196_612, 3_387)];
        assert_eq!(records(&ids).unwrap(), expected);
    }
}
