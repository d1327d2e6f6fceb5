//! Which rows stand in which batch: numbers alone, whatever the rows are.

use crate::data::batches::Buckets;
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

/// An endless sequence of batches, shuffled anew each epoch. What stands at a position follows from the seed and the position
/// alone, never from what was read before.
#[derive(Debug)]
pub struct Order<S> {
    plan: Plan<S>,
    seed: u64,
    cache: Mutex<VecDeque<(u64, Arc<Epoch>)>>,
}

/// The rows of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members<S> {
    /// Their numbers.
    pub rows: Vec<usize>,
    /// How many rows of padding follow them.
    pub padding: usize,
    /// The columns of the batch.
    pub shape: S,
}

/// How batches are made of rows.
#[derive(Debug)]
enum Plan<S> {
    /// So many rows of the same shape follow each other, across the border of an epoch where it comes to that. An epoch is a
    /// permutation of all rows.
    Rows { count: usize, batch: usize, shape: S },
    /// An epoch is a permutation of all batches, in each of which stand rows of one bucket, permuted too.
    Buckets(Buckets<S>),
}

/// The order of an epoch.
#[derive(Debug)]
struct Epoch {
    /// Rows, or batches of buckets.
    order: Vec<u32>,
    /// Rows of each bucket.
    buckets: Vec<Vec<u32>>,
}

impl<S> Members<S> {
    /// The rows' numbers, and for each row of padding one that no row has.
    pub fn all(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().copied().chain(std::iter::repeat_n(usize::MAX, self.padding))
    }
}

impl<S: Copy> Order<S> {
    /// The order of `count` rows of one shape, so many to a batch.
    pub fn of_rows(count: usize, batch: usize, shape: S, seed: u64) -> Self {
        Self { plan: Plan::Rows { count, batch, shape }, seed, cache: Mutex::default() }
    }

    /// The order of batches of like rows.
    pub fn of_buckets(buckets: Buckets<S>, seed: u64) -> Self {
        Self { plan: Plan::Buckets(buckets), seed, cache: Mutex::default() }
    }

    /// The buckets, where there are any.
    pub fn buckets(&self) -> Option<&Buckets<S>> {
        match &self.plan {
            Plan::Rows { .. } => None,
            Plan::Buckets(buckets) => Some(buckets),
        }
    }

    /// What an epoch sees each once: rows, or batches of buckets.
    pub fn examples(&self) -> u64 {
        match &self.plan {
            Plan::Rows { count, .. } => *count as u64,
            Plan::Buckets(buckets) => buckets.batches() as u64,
        }
    }

    /// How many of these a batch is.
    pub fn examples_per_batch(&self) -> u64 {
        match &self.plan {
            Plan::Rows { batch, .. } => *batch as u64,
            Plan::Buckets(_) => 1,
        }
    }

    /// Rows and columns of the batches, each once.
    pub fn shapes(&self) -> Vec<(usize, S)> {
        match &self.plan {
            Plan::Rows { batch, shape, .. } => vec![(*batch, *shape)],
            Plan::Buckets(buckets) => buckets.all().iter().map(|bucket| (bucket.rows, bucket.shape)).collect(),
        }
    }

    /// The rows of batch `index` since training began.
    pub fn batch(&self, index: u64) -> Members<S> {
        match &self.plan {
            Plan::Rows { batch, shape, .. } => {
                let positions = (index * *batch as u64..).take(*batch);
                let rows = positions.map(|position| self.at(position).1 as usize).collect();
                Members { rows, padding: 0, shape: *shape }
            }
            Plan::Buckets(buckets) => {
                let (epoch, number) = self.at(index);
                let (bucket, first) = buckets.batch(number as usize);
                members(buckets, bucket, first, &epoch.buckets[bucket])
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

/// The rows of the batch of a bucket that begins at place `first` of its members, in the order `members`.
fn members<S: Copy>(buckets: &Buckets<S>, bucket: usize, first: usize, members: &[u32]) -> Members<S> {
    let bucket = &buckets.all()[bucket];
    let rows = Vec::from_iter(members.iter().skip(first).take(bucket.rows).map(|row| *row as usize));
    Members { padding: bucket.rows - rows.len(), rows, shape: bucket.shape }
}

/// The batches of a split that is measured: every row once, always the same.
#[derive(Debug)]
pub struct FixedOrder<S>(Fixed<S>);

#[derive(Debug)]
enum Fixed<S> {
    /// So many rows of the same shape one after the other; the last batch may have fewer.
    Rows { count: usize, batch: usize, shape: S },
    /// Batches of rows of like length, in an order that mixes lengths: the first batches stand for all.
    Buckets(Buckets<S>, Vec<u32>),
}

impl<S: Copy> FixedOrder<S> {
    /// Batches of `count` rows of one shape, so many to a batch, in their order.
    pub fn of_rows(count: usize, batch: usize, shape: S) -> Self {
        Self(Fixed::Rows { count, batch, shape })
    }

    /// Batches of like rows.
    pub fn of_buckets(buckets: Buckets<S>) -> Self {
        let order = permutation(buckets.batches(), seed_for(b"evaluation-batches", &[]));
        Self(Fixed::Buckets(buckets, order))
    }

    /// The buckets, where there are any.
    pub fn buckets(&self) -> Option<&Buckets<S>> {
        match &self.0 {
            Fixed::Rows { .. } => None,
            Fixed::Buckets(buckets, _) => Some(buckets),
        }
    }

    /// How many batches hold all rows once.
    pub fn count(&self) -> usize {
        match &self.0 {
            Fixed::Rows { count, batch, .. } => count.div_ceil(*batch),
            Fixed::Buckets(_, order) => order.len(),
        }
    }

    /// The rows of batch `number`.
    pub fn batch(&self, number: usize) -> Members<S> {
        match &self.0 {
            Fixed::Rows { count, batch, shape } => {
                let first = number * batch;
                Members { rows: Vec::from_iter(first..(first + batch).min(*count)), padding: 0, shape: *shape }
            }
            Fixed::Buckets(buckets, order) => {
                let (bucket, first) = buckets.batch(order.get(number).map_or(usize::MAX, |batch| *batch as usize));
                members(buckets, bucket, first, &buckets.all()[bucket].members)
            }
        }
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

    #[test]
    fn what_is_measured_has_one_order() {
        let batches = |count| permutation(count, seed_for(b"evaluation-batches", &[]));
        assert_eq!(batches(5), batches(5));
        assert_ne!(batches(50), Vec::from_iter(0..50));
        let order = FixedOrder::of_rows(7, 3, ());
        assert_eq!((order.count(), order.batch(2).rows, order.batch(2).padding), (3, vec![6], 0));
    }
}
