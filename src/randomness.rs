//! Where every random number comes from.
//!
//! Each use derives from (seed, purpose, numbers such as step and micro-batch), so that a run goes on
//! after an interruption without the state of any generator.

use sha2::{Digest, Sha256};

/// A 64-bit seed for one use: the first eight bytes, little-endian, of SHA-256 over the decimal seed,
/// the purpose and the decimal numbers, separated by spaces.
pub fn derive(seed: u64, purpose: &str, numbers: &[u64]) -> u64 {
    let mut text = format!("{seed} {purpose}");
    for number in numbers {
        text.push_str(&format!(" {number}"));
    }
    let digest = Sha256::digest(text.as_bytes());
    u64::from_le_bytes(std::array::from_fn(|i| digest[i]))
}

/// Sets libtorch's generators, CPU and CUDA, for the dropout of one micro-batch.
pub fn seed_dropout(seed: u64, step: u64, micro_batch: u64) {
    tch::manual_seed(derive(seed, "dropout", &[step, micro_batch]) as i64);
}

/// libtorch's default generator is one for the whole process: tests that draw from it take turns.
#[cfg(test)]
pub fn lock_generator_for_test() -> std::sync::MutexGuard<'static, ()> {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_do_not_collide() {
        let seeds = [
            derive(1, "dropout", &[1, 2]),
            derive(1, "dropout", &[12]),
            derive(1, "dropout", &[2, 1]),
            derive(1, "init", &[1, 2]),
            derive(2, "dropout", &[1, 2]),
        ];
        let distinct: std::collections::HashSet<_> = seeds.iter().collect();
        assert_eq!(distinct.len(), seeds.len());
    }

    #[test]
    fn the_derivation_stays() {
        // printf '1 order 0' | sha256sum | head -c 16, read as little-endian bytes
        assert_eq!(derive(1, "order", &[0]).to_le_bytes(), EXPECTED);
    }

    const EXPECTED: [u8; 8] = [0xdb, 0x27, 0x35, 0x49, 0xfd, 0xa8, 0x79, 0x83];
}
