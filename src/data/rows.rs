//! A language model's data: a stream of tokens cut into rows, and batches of them.

use super::tokens::Tokens;
use anyhow::{Result, bail, ensure};

/// The target where there is nothing to predict; losses leave it out.
pub const IGNORED: i64 = -100;

/// The input where a row has ended.
const PADDING: i64 = 0;

/// A stream t of tokens in rows that follow each other: a row from s on of n targets predicts t[s+1 ..= s+n] from
/// t[s ..= s+n-1]. Every token is predicted once but the first, which nothing comes before.
#[derive(Debug)]
pub struct Rows {
    tokens: Tokens,
    longest: usize,
    places: Places,
    end: Option<u32>,
}

/// Where rows begin, and how many targets they have.
#[derive(Debug)]
enum Places {
    /// Every row has `longest` targets, but for the last, which may have fewer.
    Blocks,
    /// By row.
    Listed { begins: Vec<u64>, targets: Vec<u32> },
}

/// What becomes of a record that is longer than a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Long {
    /// It is cut into rows, which follow each other.
    Cut,
    /// It is left out.
    Skip,
}

/// Rows stacked, in row-major order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[rows, length]`; 0 after a row's end.
    pub inputs: Vec<i64>,
    /// The ids to predict, `[rows, length]`; [`IGNORED`] where there is none.
    pub targets: Vec<i64>,
    /// Number of rows.
    pub rows: usize,
    /// Tokens per row.
    pub length: usize,
    /// Targets that are not [`IGNORED`].
    pub target_tokens: usize,
    /// Where the rows come from, in their order; of rows of padding there is nothing.
    pub places: Vec<Place>,
}

/// Where a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub row: usize,
    /// The place of its first input in the stream.
    pub begin: u64,
    /// Its number of targets.
    pub targets: usize,
}

impl Rows {
    /// Cuts a stream into blocks of `block` tokens; the last may be shorter.
    ///
    /// # Errors
    /// Fewer than two tokens (there is nothing to predict), or a block of none.
    pub fn blocks(tokens: Tokens, block: usize) -> Result<Self> {
        let count = tokens.count();
        ensure!(count >= 2, "found {count} token(s); a language model needs two at least, one to predict the other");
        ensure!(block > 0, "blocks of 0 tokens; expected 1 or more");
        Ok(Self { tokens, longest: block, places: Places::Blocks, end: None })
    }

    /// Cuts a stream of records, each of which ends with the token `end`, into a row for each. Before the first record
    /// stands an end, too. A row has `longest` targets at most; `long` says what becomes of longer records.
    ///
    /// # Errors
    /// A stream without a record, or without one that is short enough.
    pub fn records(tokens: Tokens, longest: usize, end: u32, long: Long) -> Result<Self> {
        let (mut begins, mut targets) = (Vec::new(), Vec::new());
        let mut row = 0..0;
        let mut record_begin = 0;
        each(&tokens, |position, id| {
            if position == 0 {
                return;
            }
            row.end = position;
            let ends = id == i64::from(end);
            if ends || row.end - row.start == longest as u64 {
                begins.push(row.start);
                targets.push((row.end - row.start) as u32);
                row.start = row.end;
            }
            if ends {
                if long == Long::Skip && begins.len() - record_begin > 1 {
                    begins.truncate(record_begin);
                    targets.truncate(record_begin);
                }
                record_begin = begins.len();
            }
        })?;
        if begins.is_empty() {
            bail!(
                "found no record{}",
                if tokens.count() > 1 { " that is short enough for model.max_length" } else { "" }
            );
        }
        ensure!(u32::try_from(begins.len()).is_ok(), "found {} rows, expected fewer than 2^32", begins.len());
        Ok(Self { tokens, longest, places: Places::Listed { begins, targets }, end: Some(end) })
    }

    /// How many rows there are; one at least.
    pub fn count(&self) -> usize {
        match &self.places {
            Places::Blocks => (self.tokens.count() - 1).div_ceil(self.longest as u64) as usize,
            Places::Listed { begins, .. } => begins.len(),
        }
    }

    /// How many tokens are predicted in one pass.
    pub fn target_count(&self) -> u64 {
        match &self.places {
            Places::Blocks => self.tokens.count() - 1,
            Places::Listed { targets, .. } => targets.iter().map(|&targets| u64::from(targets)).sum(),
        }
    }

    /// Targets of a row at most: N of blocks.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The stream.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// How many targets a row has; none from [`count`](Self::count) on.
    pub fn targets(&self, row: usize) -> usize {
        self.place(row).1
    }

    /// Whether a row ends its record: another row of the same record follows where not. Blocks never do.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn ends_record(&self, row: usize) -> Result<bool> {
        let Some(end) = self.end else { return Ok(false) };
        let ((begin, targets), mut last) = (self.place(row), Vec::new());
        self.tokens.read(begin + targets as u64..begin + targets as u64 + 1, &mut last)?;
        Ok(last == [i64::from(end)])
    }

    /// Where a row begins, and its number of targets.
    fn place(&self, row: usize) -> (u64, usize) {
        match &self.places {
            Places::Blocks => {
                let last = self.tokens.count() - 1;
                let begin = (row as u64).saturating_mul(self.longest as u64).min(last);
                (begin, (last - begin).min(self.longest as u64) as usize)
            }
            Places::Listed { begins, targets } => match (begins.get(row), targets.get(row)) {
                (Some(begin), Some(targets)) => (*begin, *targets as usize),
                _ => (0, 0),
            },
        }
    }

    /// The rows of these numbers, in this order, filled up to `length`. Numbers from [`count`](Self::count) on are rows of
    /// padding.
    ///
    /// # Errors
    /// A token file that cannot be read; a row longer than `length`.
    pub fn batch(&self, rows: impl IntoIterator<Item = usize>, length: usize) -> Result<Batch> {
        let mut batch = Batch { length, ..Default::default() };
        for row in rows {
            let (begin, targets) = self.place(row);
            ensure!(targets <= length, "a row of {targets} tokens in a batch of length {length}");
            batch.places.extend((targets > 0).then_some(Place { row, begin, targets }));
            self.append(begin, targets, &mut batch)?;
        }
        Ok(batch)
    }

    fn append(&self, begin: u64, targets: usize, batch: &mut Batch) -> Result<()> {
        batch.rows += 1;
        batch.target_tokens += targets;
        let end = batch.rows * batch.length;
        if targets > 0 {
            // One read for both: the inputs are the targets, one place on.
            let first = batch.inputs.len();
            self.tokens.read(begin..begin + targets as u64 + 1, &mut batch.inputs)?;
            batch.targets.extend_from_slice(&batch.inputs[first + 1..]);
            batch.inputs.pop();
        }
        batch.inputs.resize(end, PADDING);
        batch.targets.resize(end, IGNORED);
        Ok(())
    }
}

/// Gives every id of a stream to `take`, with its position.
fn each(tokens: &Tokens, mut take: impl FnMut(u64, i64)) -> Result<()> {
    const AT_ONCE: u64 = 1 << 16;
    let mut ids = Vec::new();
    for begin in (0..tokens.count()).step_by(AT_ONCE as usize) {
        ids.clear();
        tokens.read(begin..tokens.count().min(begin + AT_ONCE), &mut ids)?;
        (begin..).zip(&ids).for_each(|(position, id)| take(position, *id));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens 10, 11, 12 …
    fn blocks(tokens: u32, block: usize) -> Rows {
        Rows::blocks(Tokens::of(&Vec::from_iter(10..10 + tokens)), block).unwrap()
    }

    #[test]
    fn a_stream_that_the_block_divides_needs_one_token_more() {
        let blocks = blocks(7, 3);
        assert_eq!((blocks.count(), blocks.target_count()), (2, 6));
        let batch = blocks.batch(0..2, 3).unwrap();
        assert_eq!(batch.inputs, [10, 11, 12, 13, 14, 15]);
        assert_eq!(batch.targets, [11, 12, 13, 14, 15, 16]);
        assert_eq!((batch.rows, batch.length, batch.target_tokens), (2, 3, 6));
    }

    #[test]
    fn the_last_block_may_be_shorter() {
        let exact = blocks(6, 3);
        assert_eq!(exact.count(), 2);
        assert_eq!(exact.batch([1], 3).unwrap().inputs, [13, 14, 0]);
        assert_eq!(exact.batch([1], 3).unwrap().targets, [14, 15, IGNORED]);
        let one_left = blocks(8, 3);
        assert_eq!((one_left.count(), one_left.targets(2), one_left.targets(3)), (3, 1, 0));
        let batch = one_left.batch([2, 0], 3).unwrap();
        assert_eq!(batch.inputs, [16, 0, 0, 10, 11, 12]);
        assert_eq!(batch.targets, [17, IGNORED, IGNORED, 11, 12, 13]);
        assert_eq!(batch.target_tokens, 4);
        let places = [(2, 6, 1), (0, 0, 3)].map(|(row, begin, targets)| Place { row, begin, targets });
        assert_eq!(batch.places, places);
    }

    #[test]
    fn a_block_longer_than_the_stream_and_rows_of_padding() {
        let batch = blocks(2, 4).batch([0, 1, usize::MAX], 4).unwrap();
        assert_eq!(batch.inputs, [10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(batch.targets[..2], [11, IGNORED]);
        assert_eq!((batch.rows, batch.target_tokens), (3, 1));
        assert_eq!(batch.places, [Place { row: 0, begin: 0, targets: 1 }]);
    }

    #[test]
    fn too_little_is_an_error() {
        let blocks = |ids: &[u32], block| Rows::blocks(Tokens::of(ids), block);
        assert!(blocks(&[], 4).is_err());
        assert!(blocks(&[1], 4).unwrap_err().to_string().contains("found 1 token"));
        assert!(blocks(&[1, 2], 0).is_err());
    }

    #[test]
    fn a_record_is_a_row_and_a_long_one_several() {
        let records = |ids: &[u32], long| Rows::records(Tokens::of(ids), 3, 9, long);
        let stream = [9, 1, 2, 9, 3, 9, 4, 5, 6, 7, 9, 8, 7, 9];
        let rows = records(&stream, Long::Cut).unwrap();
        assert_eq!((0..rows.count()).map(|row| rows.targets(row)).collect::<Vec<_>>(), [3, 2, 3, 2, 3]);
        assert_eq!(rows.target_count(), 13);
        let batch = rows.batch([1, 3, 5], 4).unwrap();
        assert_eq!(batch.inputs, [9, 3, 0, 0, 6, 7, 0, 0, 0, 0, 0, 0]);
        assert_eq!(batch.targets[..8], [3, 9, IGNORED, IGNORED, 7, 9, IGNORED, IGNORED]);
        let places = [(1, 3, 2), (3, 8, 2)].map(|(row, begin, targets)| Place { row, begin, targets });
        assert_eq!(batch.places, places);
        assert!(rows.batch([0], 2).is_err());
        assert_eq!([0, 1, 2, 3, 4].map(|row| rows.ends_record(row).unwrap()), [true, true, false, true, true]);
        let rows = records(&stream, Long::Skip).unwrap();
        assert_eq!(rows.batch(0..rows.count(), 3).unwrap().targets, [1, 2, 9, 3, 9, IGNORED, 8, 7, 9]);
        let error = records(&[9, 1, 2, 3, 4, 9], Long::Skip).unwrap_err().to_string();
        assert!(error.contains("short enough"), "{error}");
        assert_eq!(records(&[9], Long::Cut).unwrap_err().to_string(), "found no record");
    }

    #[test]
    fn rows_predict_every_token_once() {
        let ids: Vec<u32> =
            std::iter::once(0).chain((1..200_000).map(|i| u32::from(i % 7 != 0) * i)).chain([0]).collect();
        let rows = [Rows::blocks(Tokens::of(&ids), 97), Rows::records(Tokens::of(&ids), 5, 0, Long::Cut)];
        for rows in rows.map(Result::unwrap) {
            let batch = rows.batch(0..rows.count(), rows.longest()).unwrap();
            let predicted: Vec<i64> = batch.targets.into_iter().filter(|&target| target != IGNORED).collect();
            assert!(predicted == ids[1..].iter().map(|&id| i64::from(id)).collect::<Vec<_>>());
            assert_eq!(rows.target_count(), predicted.len() as u64);
        }
    }
}
