//! The order in which training reads rows: endless, shuffled anew each epoch, a function of the seed.

use super::batches::{BatchSize, Buckets};
use super::rows::{Batch, Rows};
use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Orders kept at hand: that of the current epoch, and that of the one before or after it for batches across the border.
const CACHED: usize = 2;

/// What an order is drawn for.
const BLOCKS: &[u8] = b"train-order";
const BATCHES: &[u8] = b"train-batches";
const BUCKET: &[u8] = b"train-bucket";

/// An endless sequence of batches. What stands at a position follows from the seed and the position alone, never from
/// what was read before.
#[derive(Debug)]
pub struct TrainOrder {
    rows: Rows,
    seed: u64,
    plan: Plan,
    cache: Mutex<VecDeque<(u64, Arc<Epoch>)>>,
}

/// How batches are made of rows.
#[derive(Debug)]
enum Plan {
    /// So many rows follow each other, across the border of an epoch where it comes to that. An epoch is a permutation of
    /// all rows.
    Blocks(usize),
    /// An epoch is a permutation of all batches, in each of which stand rows of one bucket, permuted too.
    Buckets(Buckets),
}

/// The order of an epoch.
#[derive(Debug)]
struct Epoch {
    /// Rows, or batches of buckets.
    order: Vec<u32>,
    /// Rows of each bucket.
    buckets: Vec<Vec<u32>>,
}

impl TrainOrder {
    /// The order of blocks, so many to a batch.
    pub fn of_blocks(rows: Rows, batch: usize, seed: u64) -> Self {
        Self { rows, seed, plan: Plan::Blocks(batch), cache: Mutex::default() }
    }

    /// The order of records, in batches of like lengths.
    pub fn of_records(rows: Rows, size: BatchSize, seed: u64) -> Self {
        let plan = Plan::Buckets(Buckets::new(&rows, size));
        Self { rows, seed, plan, cache: Mutex::default() }
    }

    /// The rows that are ordered.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// What an epoch sees each once: rows, or batches of buckets.
    pub fn examples(&self) -> u64 {
        match &self.plan {
            Plan::Blocks(_) => self.rows.count() as u64,
            Plan::Buckets(buckets) => buckets.batches() as u64,
        }
    }

    /// How many of these a batch is.
    pub fn examples_per_batch(&self) -> u64 {
        match &self.plan {
            Plan::Blocks(rows) => *rows as u64,
            Plan::Buckets(_) => 1,
        }
    }

    /// Rows and length of the largest batches.
    pub fn largest(&self) -> (usize, usize) {
        match &self.plan {
            Plan::Blocks(rows) => (*rows, self.rows.longest()),
            Plan::Buckets(buckets) => {
                let shapes = buckets.all().iter().map(|bucket| (bucket.rows, bucket.length));
                shapes.max_by_key(|(rows, length)| rows * length).unwrap_or((1, self.rows.longest()))
            }
        }
    }

    /// Which share of the batches' places holds no target; none where rows are blocks.
    pub fn padding(&self) -> Option<f64> {
        match &self.plan {
            Plan::Blocks(_) => None,
            Plan::Buckets(buckets) => Some(buckets.padding(&self.rows)),
        }
    }

    /// Batch `index` since training began.
    ///
    /// # Errors
    /// A token file that cannot be read.
    pub fn batch(&self, index: u64) -> Result<Batch> {
        match &self.plan {
            Plan::Blocks(rows) => {
                let positions = (index * *rows as u64..).take(*rows);
                self.rows.batch(positions.map(|position| self.at(position).1 as usize), self.rows.longest())
            }
            Plan::Buckets(buckets) => {
                let (epoch, number) = self.at(index);
                let (bucket, first) = buckets.batch(number as usize);
                let members = &epoch.buckets[bucket];
                let bucket = &buckets.all()[bucket];
                let row = |place| members.get(place).map_or(usize::MAX, |row: &u32| *row as usize);
                self.rows.batch((first..first + bucket.rows).map(row), bucket.length)
            }
        }
    }

    /// The epoch of a position, and what stands there.
    fn at(&self, position: u64) -> (Arc<Epoch>, u32) {
        let count = self.examples();
        let epoch = self.epoch(position / count);
        // The remainder is below the number of examples, a usize.
        let found = epoch.order[(position % count) as usize];
        (epoch, found)
    }

    fn epoch(&self, number: u64) -> Arc<Epoch> {
        // A thread that panicked in here left the cache whole: entries are made before they are put in.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, epoch)) = cache.iter().find(|(cached, _)| *cached == number) {
            return epoch.clone();
        }
        let epoch = Arc::new(self.draw(number));
        cache.truncate(CACHED - 1);
        cache.push_front((number, epoch.clone()));
        epoch
    }

    fn draw(&self, epoch: u64) -> Epoch {
        let count = self.examples() as usize;
        let Plan::Buckets(buckets) = &self.plan else {
            return Epoch { order: permutation(count, seed_for(BLOCKS, &[self.seed, epoch])), buckets: Vec::new() };
        };
        let members = (0..).zip(buckets.all()).map(|(index, bucket)| {
            let mut members = bucket.members.clone();
            shuffle(&mut members, seed_for(BUCKET, &[self.seed, epoch, index]));
            members
        });
        Epoch { order: permutation(count, seed_for(BATCHES, &[self.seed, epoch])), buckets: members.collect() }
    }
}

/// The seed of a permutation: SHA-256 of what it is for and of numbers, each as 8 bytes, little endian. An epoch's blocks
/// are drawn for `"train-order"`, the run's seed and the epoch.
fn seed_for(purpose: &[u8], numbers: &[u64]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(purpose);
    numbers.iter().for_each(|number| hash.update(number.to_le_bytes()));
    hash.finalize().into()
}

/// `0..count` in an order that only its length decides: what is measured in part is so in all lengths.
pub fn fixed_order(count: usize) -> Vec<u32> {
    permutation(count, seed_for(b"evaluation-batches", &[]))
}

fn permutation(count: usize, seed: [u8; 32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    shuffle(&mut order, seed);
    order
}

/// Shuffles by Fisher and Yates' method. Written out, for a library's own shuffle may change from one version to the
/// next, and stored runs must go on in the order that they began in.
fn shuffle(order: &mut [u32], seed: [u8; 32]) {
    let mut random = ChaCha8Rng::from_seed(seed);
    for last in (1..order.len()).rev() {
        order.swap(last, below(&mut random, last as u64 + 1) as usize);
    }
}

/// A number below `bound`, each as likely as the next: draws past the last whole multiple are drawn again.
fn below(random: &mut ChaCha8Rng, bound: u64) -> u64 {
    let whole = u64::MAX - u64::MAX % bound;
    loop {
        let drawn = random.next_u64();
        if drawn < whole {
            return drawn % bound;
        }
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

    #[test]
    fn every_place_is_as_likely() {
        let mut places = [0; 5];
        for epoch in 0..5000 {
            let permutation = permutation(5, seed_for(BLOCKS, &[9, epoch]));
            places[permutation.iter().position(|&block| block == 0).unwrap()] += 1;
        }
        // Six standard deviations of a count with mean 1000.
        assert!(places.iter().all(|count: &i32| (count - 1000).abs() < 170), "{places:?}");
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
        assert_eq!(fixed_order(5), fixed_order(5));
    }
}
