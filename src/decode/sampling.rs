//! One token from one row of logits: greedy, or drawn with temperature, top-k and top-p.

use crate::randomness::derive;
use anyhow::{Context, Result, ensure};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::cmp::Ordering;

/// How the next token is chosen. The parts apply in this order, as in Hugging Face's `generate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// What logits are divided by, 0 or more; 0 takes the most likely token.
    pub temperature: f64,
    /// Draw from so many of the most likely tokens only.
    pub top_k: Option<usize>,
    /// Draw from the fewest of the most likely tokens only that have this probability together (nucleus sampling,
    /// arXiv 1904.09751).
    pub top_p: Option<f64>,
}

impl Sampling {
    /// The token that `draw`, uniform in [0, 1), falls on; never `excluded`. Where logits are equal the lowest id
    /// counts as the most likely.
    ///
    /// # Errors
    /// Logits that are not finite; none left to choose from.
    pub fn choose(&self, logits: &[f64], excluded: Option<u32>, draw: f64) -> Result<u32> {
        self.choose_among(logits, |id| Some(id) != excluded, draw)?.context(NOTHING_TO_CHOOSE)
    }

    /// As [`Sampling::choose`] among the tokens that are `allowed`; `None` where none is.
    ///
    /// # Errors
    /// Logits that are not finite.
    pub fn choose_among(&self, logits: &[f64], allowed: impl Fn(u32) -> bool, draw: f64) -> Result<Option<u32>> {
        check_finite(logits.iter().all(|logit| logit.is_finite()))?;
        let mut candidates = most_likely_first(logits, allowed);
        let Some(&(first, highest)) = candidates.first() else { return Ok(None) };
        if self.temperature == 0.0 {
            return Ok(Some(first));
        }
        candidates.truncate(self.top_k.unwrap_or(usize::MAX));
        for (_, score) in &mut candidates {
            // Relative to the highest, so that no temperature makes infinities.
            *score = ((*score - highest) / self.temperature).exp();
        }
        if let Some(p) = self.top_p {
            candidates.truncate(nucleus(&candidates, p));
        }
        Ok(Some(drawn(&candidates, draw).unwrap_or(first)))
    }
}

/// Where the only token of a vocabulary is excluded.
pub(super) const NOTHING_TO_CHOOSE: &str = "the vocabulary has no token that can be generated";

/// Refuses logits that are not all `finite`.
pub(super) fn check_finite(finite: bool) -> Result<()> {
    ensure!(finite, "the model's logits are not finite: its weights are damaged, or its training diverged");
    Ok(())
}

/// Ids that are allowed and their logits, the highest first.
fn most_likely_first(logits: &[f64], allowed: impl Fn(u32) -> bool) -> Vec<(u32, f64)> {
    let all = (0..).zip(logits.iter().copied());
    let mut candidates: Vec<(u32, f64)> = all.filter(|(id, _)| allowed(*id)).collect();
    // Stable: the lower of two ids stays before the other where their logits are equal.
    candidates.sort_by(|(_, a), (_, b)| b.partial_cmp(a).unwrap_or(Ordering::Equal));
    candidates
}

/// How many of the first weights make up a share `p` of all.
fn nucleus(weights: &[(u32, f64)], p: f64) -> usize {
    let wanted = p * total(weights);
    let mut sum = 0.0;
    let below = weights.iter().take_while(|(_, weight)| {
        sum += weight;
        sum < wanted
    });
    below.count() + 1
}

/// The id in whose share of the weights `draw` lies; `None` where rounding leaves it beyond the last.
fn drawn(weights: &[(u32, f64)], draw: f64) -> Option<u32> {
    let target = draw * total(weights);
    let mut sum = 0.0;
    let found = weights.iter().find(|(_, weight)| {
        sum += weight;
        sum > target
    });
    found.map(|&(id, _)| id)
}

fn total(weights: &[(u32, f64)]) -> f64 {
    weights.iter().map(|(_, weight)| weight).sum()
}

/// The uniform number in [0, 1) that decides one token, a pure function of the seed and the numbers of prompt, sample
/// and token, each from 0: neither other prompts nor other samples change it.
pub fn uniform(seed: u64, prompt: u64, sample: u64, token: u64) -> f64 {
    let key = derive(seed, "generate", &[prompt, sample, token]);
    let bits = ChaCha8Rng::seed_from_u64(key).next_u64();
    // The upper 53 bits: as many as a float64 holds exactly.
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Sampling = Sampling { temperature: 1.0, top_k: None, top_p: None };

    /// Logarithms of the probabilities 0.1, 0.4, 0.3, 0.2.
    fn logits() -> Vec<f64> {
        [0.1f64, 0.4, 0.3, 0.2].map(f64::ln).to_vec()
    }

    /// How often each id is chosen over 1000 evenly spaced draws.
    fn shares(sampling: Sampling, logits: &[f64], excluded: Option<u32>) -> Vec<i64> {
        let mut counts = vec![0; logits.len()];
        for i in 0..1000 {
            let draw = (f64::from(i) + 0.5) / 1000.0;
            counts[sampling.choose(logits, excluded, draw).unwrap() as usize] += 1;
        }
        counts
    }

    #[test]
    fn tokens_are_drawn_by_their_probabilities() {
        assert_eq!(shares(PLAIN, &logits(), None), [100, 400, 300, 200]);
        // What logits have in common does not matter.
        let shifted: Vec<f64> = logits().iter().map(|logit| logit + 1000.0).collect();
        assert_eq!(shares(PLAIN, &shifted, None), [100, 400, 300, 200]);
    }

    #[test]
    fn temperature_sharpens_and_flattens() {
        // Squares of 0.1, 0.4, 0.3, 0.2 over their sum, 0.3.
        let sharp = Sampling { temperature: 0.5, ..PLAIN };
        assert_eq!(shares(sharp, &logits(), None), [33, 533, 300, 134]);
        assert_eq!(shares(Sampling { temperature: 0.0, ..PLAIN }, &logits(), None), [0, 1000, 0, 0]);
        assert_eq!(shares(Sampling { temperature: 5e-324, ..PLAIN }, &logits(), None), [0, 1000, 0, 0]);
        assert_eq!(shares(Sampling { temperature: f64::MAX, ..PLAIN }, &logits(), None), [250; 4]);
    }

    #[test]
    fn top_k_keeps_the_most_likely() {
        let top = |k| Sampling { top_k: Some(k), ..PLAIN };
        assert_eq!(shares(top(1), &logits(), None), [0, 1000, 0, 0]);
        assert_eq!(shares(top(2), &logits(), None), [0, 571, 429, 0]); // 4/7, 3/7
        assert_eq!(shares(top(9), &logits(), None), [100, 400, 300, 200]);
    }

    #[test]
    fn top_p_keeps_the_fewest_that_reach_it() {
        let top = |p| Sampling { top_p: Some(p), ..PLAIN };
        assert_eq!(shares(top(0.01), &logits(), None), [0, 1000, 0, 0]);
        assert_eq!(shares(top(0.41), &logits(), None), [0, 571, 429, 0]);
        assert_eq!(shares(top(0.71), &logits(), None), [0, 444, 334, 222]); // 4/9, 3/9, 2/9
        assert_eq!(shares(top(1.0), &logits(), None), [100, 400, 300, 200]);
        // Of what top-k left: 4/7 of it are reached by one token.
        assert_eq!(shares(Sampling { top_k: Some(2), ..top(0.5) }, &logits(), None), [0, 1000, 0, 0]);
    }

    #[test]
    fn of_equal_tokens_the_lowest_ids_stay() {
        for sampling in [
            Sampling { temperature: 0.0, ..PLAIN },
            Sampling { top_k: Some(1), ..PLAIN },
            Sampling { top_p: Some(0.2), ..PLAIN },
        ] {
            assert_eq!(shares(sampling, &[-1.0, 0.0, -0.0, 0.0], None), [0, 1000, 0, 0]);
        }
        assert_eq!(shares(Sampling { top_k: Some(2), ..PLAIN }, &[3.0; 4], None), [500, 500, 0, 0]);
    }

    #[test]
    fn the_excluded_token_never_comes() {
        assert_eq!(shares(PLAIN, &logits(), Some(1)), [167, 0, 500, 333]);
        assert_eq!(shares(Sampling { temperature: 0.0, ..PLAIN }, &logits(), Some(1)), [0, 0, 1000, 0]);
        assert!(PLAIN.choose(&[0.0], Some(0), 0.5).is_err());
    }

    #[test]
    fn logits_that_are_not_finite_are_an_error() {
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = PLAIN.choose(&[0.0, wrong], None, 0.5).unwrap_err();
            assert!(error.to_string().contains("not finite"), "{error}");
        }
    }

    #[test]
    fn each_token_has_a_number_of_its_own() {
        let mut numbers: Vec<f64> = (0..1000).map(|i| uniform(1, i % 10, i / 10 % 10, i / 100)).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        approx::assert_abs_diff_eq!(numbers.iter().sum::<f64>() / 1000.0, 0.5, epsilon = 0.03);
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        assert_eq!(numbers.len(), 1000);
        assert_ne!(uniform(1, 2, 3, 4), uniform(2, 2, 3, 4));
    }

    #[test]
    fn the_derivation_stays() {
        // Of a Python program with its own ChaCha8 and the seeding of rand_core.
        assert_eq!(uniform(1, 0, 0, 0), 0.9428799237272315);
        assert_eq!(uniform(1, 2, 3, 4), 0.7911998547028869);
    }
}
