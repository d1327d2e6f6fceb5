//! Perplexity and bits per byte of a summed negative log-likelihood.

use std::f64::consts::LN_2;

/// exp of the mean: `nats` is the sum over `count` tokens or words.
pub fn perplexity(nats: f64, count: u64) -> f64 {
    (nats / count as f64).exp()
}

/// Bits that a byte of the original text takes: `nats` is the sum over all of its `bytes`.
pub fn bits_per_byte(nats: f64, bytes: u64) -> f64 {
    nats / LN_2 / bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_guess_is_as_perplexed_as_there_are_choices() {
        assert!((perplexity(10.0 * 50f64.ln(), 10) - 50.0).abs() < 1e-9);
        assert!((bits_per_byte(10.0 * 256f64.ln(), 10) - 8.0).abs() < 1e-12);
    }
}
