//! Which numbers dropout keeps: a hash of where they stand.

use sha2::{Digest, Sha256};

/// The masks of one sample of a micro-batch.
#[derive(Clone, Copy)]
pub struct Masks {
    /// How likely an attention weight is dropped.
    pub attention: f64,
    /// How likely an activation of a feed-forward layer is dropped.
    pub activations: f64,
    /// How likely a number is dropped elsewhere.
    pub model: f64,
    /// K.
    pub key: u64,
    /// The sample's place in the micro-batch, from 0.
    pub sample: usize,
    /// The rows' length in the micro-batch, of an encoder-decoder that of the targets.
    pub length: usize,
    /// The length of the sources, where there are sources.
    pub source_length: usize,
}

impl Masks {
    /// K of a micro-batch of an update, both counted from 0.
    pub fn key(seed: u64, update: usize, micro_batch: usize) -> u64 {
        first_eight_bytes(&format!("{seed} dropout {update} {micro_batch}"))
    }

    /// What the numbers of one row of a place are multiplied by, `[columns]`, where each is dropped with `probability`.
    pub fn factors(&self, place: &str, row: usize, columns: usize, probability: f64) -> Vec<f64> {
        if probability == 0.0 {
            return vec![1.0; columns];
        }
        let stream = halves(first_eight_bytes(&format!("0 {place}")));
        let key = halves(self.key);
        let [first, second] = [0, 1].map(|half| mix(key[half] ^ stream[half]));
        let row = u32::try_from(row).expect("few rows");
        let row = mix(mix(row ^ first).wrapping_add(second));
        let border = (probability * 4_294_967_296.0).round() as i64 - 2_147_483_648;
        let factor = |column: u32| {
            let column = mix(mix(column ^ second).wrapping_add(first));
            let product = (row ^ column).wrapping_mul(0x7feb_352d);
            let hash = (product ^ (product >> 15)).wrapping_mul(0x846c_a68b);
            if i64::from(hash as i32) < border { 0.0 } else { 1.0 / (1.0 - probability) }
        };
        (0..u32::try_from(columns).expect("few columns")).map(factor).collect()
    }
}

fn mix(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The low and the high word.
fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

fn first_eight_bytes(text: &str) -> u64 {
    u64::from_le_bytes(*Sha256::digest(text).first_chunk().expect("32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_dropped_weights_is_the_probability() {
        let key = Masks::key(1, 2, 3);
        let [attention, activations, model] = [0.0; 3];
        let masks = Masks { attention, activations, model, key, sample: 0, length: 100, source_length: 0 };
        let rows = (0..100).map(|row| masks.factors("decoder.layers.0.attention", row, 100, 0.3));
        let dropped = rows.flatten().filter(|factor| *factor == 0.0).count();
        assert!((2_850..3_150).contains(&dropped), "{dropped} of 10 000");
    }
}
