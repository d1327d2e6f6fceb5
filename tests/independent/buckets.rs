//! Buckets of pairs of like lengths, and the order in which their batches are read.

use crate::bitext::{Pair, bounds};
use crate::config::Config;
use crate::random::shuffle;

/// A bucket: its columns of sources and targets, and the places of its rows among all pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// M and N.
    pub shape: [usize; 2],
    /// The rows.
    pub rows: Vec<usize>,
}

/// A batch: its columns and rows.
pub type Batch = Bucket;

/// How buckets are made.
struct Sizes {
    /// The tokens of a step on each side.
    steps: [usize; 2],
    bounds: [usize; 2],
    batch: Size,
}

/// The size of a batch.
enum Size {
    Rows(usize),
    Tokens(usize),
}

impl Sizes {
    fn new(config: &Config, lengths: &[[usize; 2]]) -> Self {
        let longest = |side: usize| lengths.iter().map(|lengths| lengths[side]).max().expect("pairs");
        Self {
            steps: [0, 1].map(|side| longest(side).div_ceil(256).div_ceil(8) * 8),
            bounds: bounds(config),
            batch: match config.count("train.batch_tokens") {
                Some(tokens) => Size::Tokens(tokens),
                None => Size::Rows(config.required_count("train.batch_size")),
            },
        }
    }

    /// The rows of a batch of this shape.
    fn rows(&self, [source, target]: [usize; 2]) -> usize {
        match self.batch {
            Size::Rows(rows) => rows,
            Size::Tokens(tokens) => (tokens / source.max(target)).max(1),
        }
    }

    fn bucket(&self, steps: &[[usize; 2]], rows: Vec<usize>) -> Bucket {
        let shape = [0, 1].map(|side| {
            let most = rows.iter().map(|row| steps[*row][side]).max().expect("rows");
            (most * self.steps[side]).min(self.bounds[side])
        });
        Bucket { shape, rows }
    }

    /// The places of all batches of a bucket.
    fn places(&self, bucket: &Bucket) -> usize {
        let rows = self.rows(bucket.shape);
        bucket.rows.len().div_ceil(rows) * rows * bucket.shape.iter().sum::<usize>()
    }
}

/// The buckets of pairs of these lengths.
fn buckets(config: &Config, lengths: &[[usize; 2]]) -> (Sizes, Vec<Bucket>) {
    let sizes = Sizes::new(config, lengths);
    let steps: Vec<[usize; 2]> =
        lengths.iter().map(|lengths| [0, 1].map(|side| lengths[side].div_ceil(sizes.steps[side]))).collect();
    let mut buckets = vec![sizes.bucket(&steps, (0..lengths.len()).collect())];
    while buckets.len() < 16 {
        let mut best: Option<(usize, usize, [Bucket; 2])> = None;
        for (place, bucket) in buckets.iter().enumerate() {
            for side in 0..2 {
                let most = bucket.rows.iter().map(|row| steps[*row][side]).max().expect("rows");
                for few in 1..most {
                    let (less, more): (Vec<usize>, Vec<usize>) =
                        bucket.rows.iter().partition(|row| steps[**row][side] <= few);
                    if less.is_empty() {
                        continue;
                    }
                    let halves = [less, more].map(|rows| sizes.bucket(&steps, rows));
                    let places = halves.iter().map(|half| sizes.places(half)).sum();
                    let saved = sizes.places(bucket).saturating_sub(places);
                    if saved > best.as_ref().map_or(0, |best| best.0) {
                        best = Some((saved, place, halves));
                    }
                }
            }
        }
        let Some((_, place, [less, more])) = best else { break };
        buckets[place] = less;
        buckets.push(more);
    }
    buckets.sort_by_key(|bucket| bucket.shape);
    (sizes, buckets)
}

fn cut(sizes: &Sizes, bucket: &Bucket) -> Vec<Batch> {
    let batches = bucket.rows.chunks(sizes.rows(bucket.shape));
    batches.map(|rows| Batch { shape: bucket.shape, rows: rows.to_vec() }).collect()
}

/// The rows of a batch of this shape.
pub fn rows_of_batch(config: &Config, shape: [usize; 2]) -> usize {
    Sizes::new(config, &[shape]).rows(shape)
}

/// The batches of an epoch, in order.
pub fn epoch(config: &Config, pairs: &[Pair], seed: u64, epoch: u64) -> Vec<Batch> {
    let (sizes, mut buckets) = buckets(config, &pairs.iter().map(Pair::lengths).collect::<Vec<_>>());
    for (number, bucket) in (0..).zip(&mut buckets) {
        shuffle(&mut bucket.rows, "train-bucket", &[seed, epoch, number]);
    }
    let mut batches: Vec<Batch> = buckets.iter().flat_map(|bucket| cut(&sizes, bucket)).collect();
    shuffle(&mut batches, "train-batches", &[seed, epoch]);
    batches
}

/// The batches of an evaluation, in order.
pub fn evaluation(config: &Config, pairs: &[Pair]) -> Vec<Batch> {
    let (sizes, buckets) = buckets(config, &pairs.iter().map(Pair::lengths).collect::<Vec<_>>());
    let mut batches: Vec<Batch> = buckets.iter().flat_map(|bucket| cut(&sizes, bucket)).collect();
    shuffle(&mut batches, "evaluation-batches", &[]);
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_split_where_that_saves_the_most_places() {
        let config = Config::parse("model.max_length = 30\ntrain.batch_size = 2");
        let buckets = |lengths: &[[usize; 2]]| {
            let (_, buckets) = buckets(&config, lengths);
            buckets.into_iter().map(|bucket| (bucket.shape, bucket.rows)).collect::<Vec<_>>()
        };
        // Two batches of two rows either way: the long targets stand together.
        let expected = [([8, 8], vec![0, 2]), ([16, 30], vec![1, 3])];
        assert_eq!(buckets(&[[3, 3], [9, 29], [8, 8], [3, 27]]), expected);
        // A third batch would cost more.
        assert_eq!(buckets(&[[3, 3], [9, 9]]), [([16, 16], vec![0, 1])]);
    }
}
