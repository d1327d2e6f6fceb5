//! The data of tasks with a source and a target: splits of pairs, their rows, their batches.

mod buckets;
mod evaluation;
mod order;
mod records;
mod rows;
mod splits;

pub use evaluation::PairEvaluation;
pub use order::PairOrder;
pub use rows::{Bounds, Keep, Lengths, PairBatch, PairIds, PairRows, PairShape, Train};
pub use splits::{PairSplit, PairSplits, RawPairs, check, load};
