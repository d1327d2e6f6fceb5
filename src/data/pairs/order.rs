//! The order in which training reads pairs: endless, shuffled anew each epoch, a function of the seed.

use super::rows::{PairBatch, PairRows, PairShape};
use crate::data::batches::{BatchSize, Buckets};
use crate::data::order::Order;
use anyhow::Result;

/// An endless sequence of batches of pairs. What stands at a position follows from the seed and the position alone.
#[derive(Debug)]
pub struct PairOrder {
    rows: PairRows,
    order: Order<PairShape>,
}

impl PairOrder {
    /// The order of batches of pairs of like lengths.
    pub fn new(rows: PairRows, size: BatchSize, seed: u64) -> Self {
        let order = Order::of_buckets(Buckets::of_pairs(&rows, size), seed);
        Self { rows, order }
    }

    /// The pairs that are ordered.
    pub fn rows(&self) -> &PairRows {
        &self.rows
    }

    /// What an epoch sees each once: batches.
    pub fn examples(&self) -> u64 {
        self.order.examples()
    }

    /// How many of these a batch is.
    pub fn examples_per_batch(&self) -> u64 {
        self.order.examples_per_batch()
    }

    /// Rows and columns of the batches, each once, the shortest first.
    pub fn shapes(&self) -> Vec<(usize, PairShape)> {
        self.order.shapes()
    }

    /// Rows and columns of the batches with the most rows · max(M, N), of these with the most places, of these the longest.
    pub fn largest(&self) -> (usize, PairShape) {
        let size = |(rows, (m, n)): &(usize, PairShape)| (rows * m.max(n), rows * (m + n));
        self.shapes().into_iter().max_by_key(size).unwrap_or((1, self.rows.longest()))
    }

    /// Which share of the batches' places, of sources and of targets, holds no token.
    pub fn padding(&self) -> f64 {
        self.order.buckets().map_or(0.0, |buckets| buckets.padding_of_pairs(&self.rows))
    }

    /// Batch `index` since training began.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn batch(&self, index: u64) -> Result<PairBatch> {
        let members = self.order.batch(index);
        self.rows.batch(members.all(), members.shape)
    }
}
