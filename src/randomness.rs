//! Where every random number comes from.
//!
//! Each use derives from (seed, purpose, numbers such as step and micro-batch), so that a run goes on
//! after an interruption without the state of any generator.

use sha2::{Digest, Sha256};
use tch::Tensor;

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

/// Multipliers of `lowbias32`, an integer hash of two rounds (Wellons, Hash Prospector, 2018).
pub const HASH_MULTIPLIERS: [u32; 2] = [0x7feb_352d, 0x846c_a68b];

/// `lowbias32` on every entry of an int32 tensor; products wrap, as everywhere in libtorch.
pub fn counter_hash(mut x: Tensor) -> Tensor {
    xor_shift(&mut x, 16);
    x *= signed(HASH_MULTIPLIERS[0]);
    xor_shift(&mut x, 15);
    x *= signed(HASH_MULTIPLIERS[1]);
    xor_shift(&mut x, 16);
    x
}

/// x ^ (x >> bits) in place, the shift filling with zeros.
pub fn xor_shift(x: &mut Tensor, bits: i64) {
    let shifted = x.bitwise_right_shift_tensor_scalar(bits).bitwise_and_((1i64 << (32 - bits)) - 1);
    let _ = x.bitwise_xor_tensor_(&shifted);
}

/// The same 32 bits as a number that an int32 tensor takes.
pub fn signed(bits: u32) -> i64 {
    i64::from(bits as i32)
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

    #[test]
    fn the_hash_of_tensors_is_lowbias32() {
        let reference = |mut x: u32| {
            x ^= x >> 16;
            x = x.wrapping_mul(0x7feb_352d);
            x ^= x >> 15;
            x = x.wrapping_mul(0x846c_a68b);
            x ^ (x >> 16)
        };
        let inputs: Vec<u32> = (0..1000).map(|i| i * 4_294_967 + i / 3).chain([u32::MAX, 1 << 31]).collect();
        let signed: Vec<i32> = inputs.iter().map(|x| *x as i32).collect();
        let found = Vec::<i32>::try_from(counter_hash(Tensor::from_slice(&signed))).unwrap();
        assert!(inputs.iter().zip(found).all(|(x, hash)| reference(*x) == hash as u32));
    }

    const EXPECTED: [u8; 8] = [0xdb, 0x27, 0x35, 0x49, 0xfd, 0xa8, 0x79, 0x83];
}
