//! A split that is measured: every row once, in batches.

use super::batches::{BatchSize, Buckets};
use super::order::FixedOrder;
use super::rows::{Batch, Rows};
use super::tokens::Measure;
use anyhow::Result;

/// A split's rows in the order in which they are measured.
#[derive(Debug)]
pub struct Evaluation {
    rows: Rows,
    order: FixedOrder<usize>,
}

impl Evaluation {
    /// Blocks, so many to a batch.
    pub fn of_blocks(rows: Rows, batch: usize) -> Self {
        let order = FixedOrder::of_rows(rows.count(), batch, rows.longest());
        Self { rows, order }
    }

    /// Records, in batches of like lengths, in an order that mixes lengths.
    pub fn of_records(rows: Rows, size: BatchSize) -> Self {
        let order = FixedOrder::of_buckets(Buckets::of_rows(&rows, size));
        Self { rows, order }
    }

    /// The rows that are measured.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// How many batches hold all rows once.
    pub fn count(&self) -> usize {
        self.order.count()
    }

    /// Batch `number`, with the numbers of its rows; rows of padding may follow them.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn batch(&self, number: usize) -> Result<(Batch, Vec<usize>)> {
        let members = self.order.batch(number);
        Ok((self.rows.batch(members.all(), members.shape)?, members.rows))
    }

    /// What the targets of a row stand for.
    pub fn measure(&self, row: usize) -> Measure {
        self.rows.tokens().measures().get(row).copied().unwrap_or_default()
    }

    /// Which share of the batches' places holds no target; none where rows are blocks.
    pub fn padding(&self) -> Option<f64> {
        self.order.buckets().map(|buckets| buckets.padding(&self.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rows::{IGNORED, Long};
    use crate::data::tokens::Tokens;

    #[test]
    fn an_evaluation_predicts_every_token_once() {
        for (tokens, block, rows) in [(2, 1, 1), (7, 3, 2), (8, 3, 2), (23, 4, 3), (25, 4, 3), (26, 4, 9)] {
            let blocks = Rows::blocks(Tokens::of(&Vec::from_iter(10..10 + tokens)), block).unwrap();
            let split = Evaluation::of_blocks(blocks, rows);
            let batches: Vec<Batch> = (0..split.count()).map(|number| split.batch(number).unwrap().0).collect();
            let predicted: Vec<i64> =
                batches.iter().flat_map(|batch| batch.targets.clone()).filter(|&target| target != IGNORED).collect();
            assert_eq!(predicted, (11..10 + i64::from(tokens)).collect::<Vec<_>>());
            assert_eq!(batches.iter().map(|batch| batch.target_tokens).sum::<usize>(), predicted.len());
            assert_eq!(batches.iter().map(|batch| batch.rows).sum::<usize>(), split.rows().count());
            let (last, whole) = batches.split_last().unwrap();
            assert!(whole.iter().all(|batch| batch.rows == rows && !batch.targets.contains(&IGNORED)));
            assert!(last.rows <= rows);
        }
    }

    #[test]
    fn records_are_measured_once_and_mixed() {
        let mut ids = vec![0];
        for record in 1..=200u32 {
            ids.extend(std::iter::repeat_n(record, record as usize % 60));
            ids.push(0);
        }
        let rows = Rows::records(Tokens::of(&ids), 32, 0, Long::Cut).unwrap();
        let split = Evaluation::of_records(rows, BatchSize::Rows(8));
        let (mut seen, mut lengths, mut targets) = (Vec::new(), Vec::new(), 0);
        for number in 0..split.count() {
            let (batch, rows) = split.batch(number).unwrap();
            assert_eq!(batch.rows, 8, "as many rows in each batch, of padding in the end");
            assert_eq!(batch.target_tokens, rows.iter().map(|row| split.rows().targets(*row)).sum::<usize>());
            targets += batch.target_tokens as u64;
            lengths.push(batch.length);
            seen.extend(rows);
        }
        seen.sort();
        assert!(seen.iter().copied().eq(0..split.rows().count()));
        assert_eq!(targets, split.rows().target_count());
        assert!(!lengths.is_sorted() && split.padding().unwrap() < 0.3);
    }
}
