//! A language model's data: one stream of tokens cut into contiguous blocks, and batches of them.

use anyhow::{Result, bail};

/// The target where there is nothing to predict; losses leave it out.
pub const IGNORED: i64 = -100;

/// The input where the stream has ended.
const PADDING: i64 = 0;

/// A stream t of tokens as blocks of N: block i predicts t[iN+1 ..= iN+N] from t[iN ..= iN+N-1]. The last
/// block may be shorter. Every token is predicted once but the first, which nothing comes before.
#[derive(Debug, Clone)]
pub struct Blocks {
    tokens: Vec<u32>,
    block: usize,
}

/// Blocks stacked as rows, in row-major order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, `[rows, length]`; 0 after the stream's end.
    pub inputs: Vec<i64>,
    /// The ids to predict, `[rows, length]`; [`IGNORED`] where there is none.
    pub targets: Vec<i64>,
    /// Number of blocks.
    pub rows: usize,
    /// Tokens per block (N).
    pub length: usize,
    /// Targets that are not [`IGNORED`].
    pub target_tokens: usize,
}

impl Blocks {
    /// Cuts `tokens` into blocks of `block` tokens.
    ///
    /// # Errors
    /// Fewer than two tokens (there is nothing to predict), or a block of none.
    pub fn new(tokens: Vec<u32>, block: usize) -> Result<Self> {
        if tokens.len() < 2 {
            bail!("found {} token(s); a language model needs two at least, one to predict the other", tokens.len());
        }
        if block == 0 {
            bail!("blocks of 0 tokens; expected 1 or more");
        }
        Ok(Self { tokens, block })
    }

    /// How many blocks there are; one at least.
    pub fn count(&self) -> usize {
        self.target_count().div_ceil(self.block)
    }

    /// How many tokens are predicted in one pass.
    pub fn target_count(&self) -> usize {
        self.tokens.len() - 1
    }

    /// Tokens per block (N).
    pub fn block(&self) -> usize {
        self.block
    }

    /// The blocks of these numbers, in this order. Numbers from [`count`](Self::count) on are rows of padding.
    pub fn batch(&self, indices: impl IntoIterator<Item = usize>) -> Batch {
        let mut batch =
            Batch { inputs: Vec::new(), targets: Vec::new(), rows: 0, length: self.block, target_tokens: 0 };
        for index in indices {
            self.append(index, &mut batch);
        }
        batch
    }

    fn append(&self, index: usize, batch: &mut Batch) {
        let start = index.saturating_mul(self.block).min(self.target_count());
        let end = start.saturating_add(self.block).min(self.target_count());
        batch.rows += 1;
        batch.target_tokens += end - start;
        batch.inputs.extend(self.tokens[start..end].iter().map(|&token| i64::from(token)));
        batch.targets.extend(self.tokens[start + 1..=end].iter().map(|&token| i64::from(token)));
        batch.inputs.resize(batch.rows * self.block, PADDING);
        batch.targets.resize(batch.rows * self.block, IGNORED);
    }

    /// How many batches of `rows` blocks hold all blocks once.
    pub fn evaluation_count(&self, rows: usize) -> usize {
        self.count().div_ceil(rows)
    }

    /// Batch `number` of all blocks in order, `rows` at a time; the last may have fewer, and only the last block padding.
    pub fn evaluation_batch(&self, number: usize, rows: usize) -> Batch {
        let first = number * rows;
        self.batch(first..self.count().min(first + rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tokens 10, 11, 12 …
    fn blocks(tokens: u32, block: usize) -> Blocks {
        Blocks::new((10..10 + tokens).collect(), block).unwrap()
    }

    #[test]
    fn a_stream_that_the_block_divides_needs_one_token_more() {
        let blocks = blocks(7, 3);
        assert_eq!((blocks.count(), blocks.target_count()), (2, 6));
        let batch = blocks.batch(0..2);
        assert_eq!(batch.inputs, [10, 11, 12, 13, 14, 15]);
        assert_eq!(batch.targets, [11, 12, 13, 14, 15, 16]);
        assert_eq!((batch.rows, batch.length, batch.target_tokens), (2, 3, 6));
    }

    #[test]
    fn the_last_block_may_be_shorter() {
        let exact = blocks(6, 3);
        assert_eq!(exact.count(), 2);
        assert_eq!(exact.batch([1]).inputs, [13, 14, 0]);
        assert_eq!(exact.batch([1]).targets, [14, 15, IGNORED]);
        let one_left = blocks(8, 3);
        assert_eq!(one_left.count(), 3);
        let batch = one_left.batch([2, 0]);
        assert_eq!(batch.inputs, [16, 0, 0, 10, 11, 12]);
        assert_eq!(batch.targets, [17, IGNORED, IGNORED, 11, 12, 13]);
        assert_eq!(batch.target_tokens, 4);
    }

    #[test]
    fn a_block_longer_than_the_stream() {
        let batch = blocks(2, 4).batch([0]);
        assert_eq!((batch.inputs, batch.targets), (vec![10, 0, 0, 0], vec![11, IGNORED, IGNORED, IGNORED]));
    }

    #[test]
    fn too_little_is_an_error() {
        assert!(Blocks::new(vec![], 4).is_err());
        assert!(Blocks::new(vec![1], 4).unwrap_err().to_string().contains("found 1 token"));
        assert!(Blocks::new(vec![1, 2], 0).is_err());
    }

    #[test]
    fn an_evaluation_predicts_every_token_once() {
        for (tokens, block, rows) in [(2, 1, 1), (7, 3, 2), (8, 3, 2), (23, 4, 3), (25, 4, 3), (26, 4, 9)] {
            let blocks = blocks(tokens, block);
            let numbers = 0..blocks.evaluation_count(rows);
            let batches: Vec<Batch> = numbers.map(|number| blocks.evaluation_batch(number, rows)).collect();
            let predicted: Vec<i64> =
                batches.iter().flat_map(|batch| batch.targets.clone()).filter(|&target| target != IGNORED).collect();
            assert_eq!(predicted, (11..10 + i64::from(tokens)).collect::<Vec<_>>());
            assert_eq!(batches.iter().map(|batch| batch.target_tokens).sum::<usize>(), predicted.len());
            assert_eq!(batches.iter().map(|batch| batch.rows).sum::<usize>(), blocks.count());
            let (last, whole) = batches.split_last().unwrap();
            assert!(whole.iter().all(|batch| batch.rows == rows && !batch.targets.contains(&IGNORED)));
            assert!(last.rows <= rows);
        }
    }
}
