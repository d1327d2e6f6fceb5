//! The order in which training reads rows: endless, shuffled anew each epoch, a function of the seed.

mod numbers;

pub use numbers::{FixedOrder, Members, Order};

use super::batches::{BatchSize, Buckets};
use super::rows::{Batch, Rows};
use anyhow::Result;

/// An endless sequence of batches of a language model's rows.
#[derive(Debug)]
pub struct TrainOrder {
    rows: Rows,
    order: Order<usize>,
}

impl TrainOrder {
    /// The order of blocks, so many to a batch.
    pub fn of_blocks(rows: Rows, batch: usize, seed: u64) -> Self {
        let order = Order::of_rows(rows.count(), batch, rows.longest(), seed);
        Self { rows, order }
    }

    /// The order of records, in batches of like lengths.
    pub fn of_records(rows: Rows, size: BatchSize, seed: u64) -> Self {
        let order = Order::of_buckets(Buckets::of_rows(&rows, size), seed);
        Self { rows, order }
    }

    /// The rows that are ordered.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// What an epoch sees each once: rows, or batches of buckets.
    pub fn examples(&self) -> u64 {
        self.order.examples()
    }

    /// How many of these a batch is.
    pub fn examples_per_batch(&self) -> u64 {
        self.order.examples_per_batch()
    }

    /// Rows and length of the largest batches.
    pub fn largest(&self) -> (usize, usize) {
        let shapes = self.order.shapes().into_iter();
        shapes.max_by_key(|(rows, length)| rows * length).unwrap_or((1, self.rows.longest()))
    }

    /// Which share of the batches' places holds no target; none where rows are blocks.
    pub fn padding(&self) -> Option<f64> {
        self.order.buckets().map(|buckets| buckets.padding(&self.rows))
    }

    /// Batch `index` since training began.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn batch(&self, index: u64) -> Result<Batch> {
        let members = self.order.batch(index);
        self.rows.batch(members.all(), members.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::rows::{IGNORED, Long};
    use crate::data::tokens::Tokens;

    /// Block i holds the one token i.
    fn order(count: u32, rows: usize, seed: u64) -> TrainOrder {
        let blocks = Rows::blocks(Tokens::of(&Vec::from_iter(0..=count)), 1).unwrap();
        TrainOrder::of_blocks(blocks, rows, seed)
    }

    /// The blocks of some batches.
    fn read(order: &TrainOrder, batches: std::ops::Range<u64>) -> Vec<i64> {
        batches.flat_map(|index| order.batch(index).unwrap().inputs).collect()
    }

    #[test]
    fn an_epoch_is_a_permutation_and_epochs_differ() {
        let order = order(50, 50, 1);
        let epochs: Vec<Vec<i64>> = (0..4).map(|epoch| read(&order, epoch..epoch + 1)).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2] && epochs[0] != (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_position_does_not_depend_on_what_was_read_before() {
        let straight = read(&order(7, 1, 3), 0..70);
        let visited = order(7, 3, 3);
        for index in [20, 0, 11, 2, 4, 13, 20, 1] {
            let start = 3 * index as usize;
            assert_eq!(read(&visited, index..index + 1), straight[start..start + 3]);
        }
        assert_ne!(read(&order(7, 1, 4), 0..70), straight);
    }

    #[test]
    fn a_batch_may_span_several_epochs() {
        let one = order(1, 3, 1);
        assert_eq!(read(&one, 5..6), [0, 0, 0]);
        assert_eq!(one.batch(5).unwrap().rows, 3);
    }

    /// Computed by an independent program. Stored runs depend on these numbers: to change them is to change the
    /// format.
    #[test]
    fn the_order_stays_what_it_was() {
        assert_eq!(read(&order(8, 4, 1), 0..4), [4, 6, 0, 3, 2, 1, 7, 5, 4, 6, 1, 0, 3, 5, 2, 7]);
    }

    /// Record i is the token i, some times, and an end.
    fn records(seed: u64) -> TrainOrder {
        let mut ids = vec![0];
        for record in 1..=100 {
            ids.extend(std::iter::repeat_n(record, record as usize * 37 % 40));
            ids.push(0);
        }
        let rows = Rows::records(Tokens::of(&ids), 64, 0, Long::Cut).unwrap();
        TrainOrder::of_records(rows, BatchSize::Tokens(100), seed)
    }

    #[test]
    fn batches_of_records_see_each_once_an_epoch() {
        let order = records(1);
        let targets = |epoch: u64| {
            let indices = epoch * order.examples()..(epoch + 1) * order.examples();
            let batches: Vec<Batch> = indices.map(|index| order.batch(index).unwrap()).collect();
            batches.into_iter().flat_map(|batch| {
                assert!(batch.rows * batch.length <= 100 && batch.target_tokens > 0);
                batch.targets
            })
        };
        let epochs: Vec<Vec<i64>> = (0..3).map(|epoch| targets(epoch).filter(|&id| id != IGNORED).collect()).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort();
            let expected = (1..=100).flat_map(|record| vec![record; record as usize * 37 % 40]);
            assert_eq!(sorted, [0; 100].into_iter().chain(expected).collect::<Vec<i64>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
        let padding = order.padding().unwrap();
        assert!(padding > 0.0 && padding < 0.3, "{padding}");
        assert!(order.largest().0 * order.largest().1 <= 100);
    }

    #[test]
    fn batches_of_records_follow_from_seed_and_index() {
        let straight = records(2);
        let all: Vec<Batch> = (0..3 * straight.examples()).map(|index| straight.batch(index).unwrap()).collect();
        let visited = records(2);
        for index in [70, 0, 44, 45, 1, all.len() - 1] {
            assert_eq!(visited.batch(index as u64).unwrap(), all[index]);
        }
        assert_ne!(records(3).batch(0).unwrap(), all[0]);
    }
}
