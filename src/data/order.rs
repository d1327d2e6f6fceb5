//! The order in which training reads the blocks: endless, shuffled anew each epoch, a function of the seed.

use super::blocks::{Batch, Blocks};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Permutations kept at hand: that of the current epoch, and that of the one before or after it for batches
/// across the border.
const CACHED: usize = 2;

/// An endless sequence of blocks. Epoch e, at the positions `e * count ..`, is a permutation of all blocks
/// drawn from the seed and e alone, so that the blocks at a position never depend on what was read before.
#[derive(Debug)]
pub struct TrainOrder {
    blocks: Arc<Blocks>,
    seed: u64,
    cache: Mutex<VecDeque<(u64, Arc<[usize]>)>>,
}

impl TrainOrder {
    /// The order of these blocks under this seed.
    pub fn new(blocks: Arc<Blocks>, seed: u64) -> Self {
        Self { blocks, seed, cache: Mutex::default() }
    }

    /// The next `rows` blocks from `position` (counted in blocks since training began), across the border of
    /// an epoch where it comes to that.
    pub fn batch(&self, position: u64, rows: usize) -> Batch {
        self.blocks.batch((position..).take(rows).map(|position| self.block_at(position)))
    }

    /// The blocks that are ordered.
    pub fn blocks(&self) -> &Blocks {
        &self.blocks
    }

    fn block_at(&self, position: u64) -> usize {
        let count = self.blocks.count() as u64;
        // The remainder is below the number of blocks, a usize.
        self.permutation(position / count)[(position % count) as usize]
    }

    fn permutation(&self, epoch: u64) -> Arc<[usize]> {
        // A thread that panicked in here left the cache whole: entries are made before they are put in.
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, permutation)) = cache.iter().find(|(cached, _)| *cached == epoch) {
            return permutation.clone();
        }
        let permutation: Arc<[usize]> = permutation(self.blocks.count(), seed_for(self.seed, epoch)).into();
        cache.truncate(CACHED - 1);
        cache.push_front((epoch, permutation.clone()));
        permutation
    }
}

/// The seed of an epoch's permutation: SHA-256 of `"train-order"`, the seed and the epoch, both as 8 bytes,
/// little endian.
pub fn seed_for(seed: u64, epoch: u64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"train-order");
    hash.update(seed.to_le_bytes());
    hash.update(epoch.to_le_bytes());
    hash.finalize().into()
}

/// `0..count` shuffled by Fisher and Yates' method. Written out, for a library's own shuffle may change from
/// one version to the next, and stored runs must go on in the order that they began in.
fn permutation(count: usize, seed: [u8; 32]) -> Vec<usize> {
    let mut random = ChaCha8Rng::from_seed(seed);
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        order.swap(last, below(&mut random, last as u64 + 1) as usize);
    }
    order
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

    /// Block i holds the one token i.
    fn order(count: u32, seed: u64) -> TrainOrder {
        TrainOrder::new(Arc::new(Blocks::new((0..=count).collect(), 1).unwrap()), seed)
    }

    fn read(order: &TrainOrder, position: u64, rows: usize) -> Vec<i64> {
        order.batch(position, rows).inputs
    }

    #[test]
    fn an_epoch_is_a_permutation_and_epochs_differ() {
        let order = order(50, 1);
        let epochs: Vec<Vec<i64>> = (0..4).map(|epoch| read(&order, epoch * 50, 50)).collect();
        for epoch in &epochs {
            let mut sorted = epoch.clone();
            sorted.sort();
            assert_eq!(sorted, (0..50).collect::<Vec<_>>());
        }
        assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2] && epochs[0] != (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn a_position_does_not_depend_on_what_was_read_before() {
        let straight = read(&order(7, 3), 0, 70);
        let visited = order(7, 3);
        for position in [60, 0, 33, 6, 7, 13, 60, 1] {
            let start = position as usize;
            assert_eq!(read(&visited, position, 9), straight[start..start + 9]);
        }
        assert_ne!(read(&order(7, 4), 0, 70), straight);
    }

    #[test]
    fn a_batch_may_span_several_epochs() {
        let one = order(1, 1);
        assert_eq!(read(&one, 5, 3), [0, 0, 0]);
        assert_eq!(one.batch(5, 3).rows, 3);
    }

    /// Computed by an independent program. Stored runs depend on these numbers: to change them is to change the
    /// format.
    #[test]
    fn the_order_stays_what_it_was() {
        assert_eq!(read(&order(8, 1), 0, 16), [4, 6, 0, 3, 2, 1, 7, 5, 4, 6, 1, 0, 3, 5, 2, 7]);
    }

    #[test]
    fn every_place_is_as_likely() {
        let mut places = [0; 5];
        for epoch in 0..5000 {
            let permutation = permutation(5, seed_for(9, epoch));
            places[permutation.iter().position(|&block| block == 0).unwrap()] += 1;
        }
        // Six standard deviations of a count with mean 1000.
        assert!(places.iter().all(|count: &i32| (count - 1000).abs() < 170), "{places:?}");
    }
}
