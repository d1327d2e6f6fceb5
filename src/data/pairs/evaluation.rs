//! A split of pairs that is measured: every pair once, in batches.

use super::rows::{PairBatch, PairRows, PairShape};
use super::splits::RawPairs;
use crate::data::batches::{BatchSize, Buckets};
use crate::data::order::FixedOrder;
use anyhow::{Result, ensure};
use std::sync::Arc;

/// A split's pairs in the order in which they are measured: batches of like lengths, in an order that mixes lengths. Row i
/// is pair i.
#[derive(Debug)]
pub struct PairEvaluation {
    rows: PairRows,
    raw: Arc<RawPairs>,
    order: FixedOrder<PairShape>,
}

impl PairEvaluation {
    /// The pairs of a split, none of which was left out, with what they are as texts.
    ///
    /// # Errors
    /// Other numbers of rows than of texts.
    pub fn new(rows: PairRows, raw: Arc<RawPairs>, size: BatchSize) -> Result<Self> {
        let texts = [raw.sources.len(), raw.references.len()];
        ensure!(texts == [rows.count(); 2], "{} rows of {} sources and {} targets", rows.count(), texts[0], texts[1]);
        let order = FixedOrder::of_buckets(Buckets::of_pairs(&rows, size));
        Ok(Self { rows, raw, order })
    }

    /// The pairs that are measured.
    pub fn rows(&self) -> &PairRows {
        &self.rows
    }

    /// How many batches hold all pairs once.
    pub fn count(&self) -> usize {
        self.order.count()
    }

    /// Batch `number`, with the numbers of its rows; rows of padding may follow them.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn batch(&self, number: usize) -> Result<(PairBatch, Vec<usize>)> {
        let members = self.order.batch(number);
        Ok((self.rows.batch(members.all(), members.shape)?, members.rows))
    }

    /// The source of a row as it is.
    pub fn source(&self, row: usize) -> &str {
        &self.raw.sources[row]
    }

    /// Every target of a row that counts as right, the target itself first.
    pub fn references(&self, row: usize) -> &[String] {
        &self.raw.references[row]
    }

    /// Rows and columns of the batches, each once, the shortest first.
    pub fn shapes(&self) -> Vec<(usize, PairShape)> {
        let buckets = self.order.buckets().into_iter().flat_map(Buckets::all);
        buckets.map(|bucket| (bucket.rows, bucket.shape)).collect()
    }

    /// Which share of the batches' places, of sources and of targets, holds no token.
    pub fn padding(&self) -> f64 {
        self.order.buckets().map_or(0.0, |buckets| buckets.padding_of_pairs(&self.rows))
    }
}
