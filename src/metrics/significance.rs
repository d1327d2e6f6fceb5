//! Confidence intervals and paired tests on statistics of segments, as sacrebleu 2.6 defines them.

use super::parallel::{self, Watch};
use super::segments::{SegmentMetric, Statistics};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The seed that sacrebleu takes.
pub const SEED: u64 = 12345;
/// How many resamples sacrebleu's bootstrap takes.
pub const BOOTSTRAP_SAMPLES: usize = 1000;
/// How many trials sacrebleu's approximate randomization takes.
pub const RANDOMIZATION_TRIALS: usize = 10_000;

/// Where a score lies, by resampling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The mean over resamples.
    pub mean: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Of the scores of resamples.
    fn of(mut scores: Vec<f64>) -> Self {
        scores.sort_unstable_by(f64::total_cmp);
        let cut = scores.len() / 40;
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        Self { mean, low: scores[cut], high: scores[scores.len() - 1 - cut] }
    }

    /// What sacrebleu writes behind ±.
    pub fn half_width(&self) -> f64 {
        0.5 * (self.high - self.low)
    }
}

/// How to draw.
#[derive(Debug, Clone, Copy)]
pub struct Draws {
    /// Resamples or trials, one or more.
    pub samples: usize,
    /// What all draws derive from.
    pub seed: u64,
}

impl Draws {
    /// The draws of one sample: they depend on the seed and its number alone.
    fn of(self, sample: usize) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(sample as u64);
        random
    }
}

/// What a paired test says of a system beside a baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// How likely a difference as large is by chance.
    pub p_value: f64,
    /// Where the system's score lies; of the bootstrap alone.
    pub interval: Option<Interval>,
    /// Where the baseline's score lies; of the bootstrap alone.
    pub baseline: Option<Interval>,
}

/// Numbers below `count`, as many as there are segments: a resample with replacement.
fn resample(mut random: ChaCha8Rng, count: usize) -> Vec<usize> {
    // A product of 32 random bits: its bias, count / 2^32, is far below sampling error.
    let below = |bits: u32| ((u64::from(bits) * count as u64) >> 32) as usize;
    (0..count).map(|_| below(random.next_u32())).collect()
}

/// The interval of a score by bootstrap resampling.
pub fn confidence(metric: &dyn SegmentMetric, system: &Statistics, draws: Draws, watch: Watch) -> Interval {
    let score = |sample| metric.score(&system.sums(resample(draws.of(sample), system.len()).into_iter()));
    Interval::of(parallel::map(draws.samples, watch, score))
}

/// Paired bootstrap resampling (Koehn, 2004): both systems are resampled alike, and differences count that lie as far
/// from the mean difference as the real one lies from none.
pub fn paired_bootstrap(
    metric: &dyn SegmentMetric,
    system: &Statistics,
    baseline: &Statistics,
    draws: Draws,
    watch: Watch,
) -> Comparison {
    let scores = parallel::map(draws.samples, watch, |sample| {
        let segments = resample(draws.of(sample), system.len());
        let score = |statistics: &Statistics| metric.score(&statistics.sums(segments.iter().copied()));
        (score(system), score(baseline))
    });
    let differences: Vec<f64> = scores.iter().map(|(system, baseline)| (system - baseline).abs()).collect();
    let mean = differences.iter().sum::<f64>() / differences.len() as f64;
    let real = (system.score(metric) - baseline.score(metric)).abs();
    let p_value = p_value(differences.into_iter().map(|difference| difference - mean), real);
    let (system, baseline) = scores.into_iter().unzip();
    Comparison { p_value, interval: Some(Interval::of(system)), baseline: Some(Interval::of(baseline)) }
}

/// Paired approximate randomization (Riezler and Maxwell, 2005): segments change sides by the toss of a coin.
pub fn paired_randomization(
    metric: &dyn SegmentMetric,
    system: &Statistics,
    baseline: &Statistics,
    draws: Draws,
    watch: Watch,
) -> Comparison {
    let differences = parallel::map(draws.samples, watch, |trial| {
        let (one, other) = exchanged(system, baseline, draws.of(trial));
        (metric.score(&one) - metric.score(&other)).abs()
    });
    let real = (system.score(metric) - baseline.score(metric)).abs();
    Comparison { p_value: p_value(differences.into_iter(), real), interval: None, baseline: None }
}

/// The sums of both sides after tossing a coin for each segment.
fn exchanged(system: &Statistics, baseline: &Statistics, mut random: ChaCha8Rng) -> (Vec<f64>, Vec<f64>) {
    let coins: Vec<u32> = (0..system.len().div_ceil(32)).map(|_| random.next_u32()).collect();
    let mut sums = (vec![0.0; system.row(0).len()], vec![0.0; system.row(0).len()]);
    for segment in 0..system.len() {
        let stays = coins[segment / 32] >> (segment % 32) & 1 == 1;
        let (one, other) = (system.row(segment), baseline.row(segment));
        let (one, other) = if stays { (one, other) } else { (other, one) };
        for i in 0..one.len() {
            sums.0[i] += one[i];
            sums.1[i] += other[i];
        }
    }
    sums
}

/// The share of differences above the real one, itself counted as one of them.
fn p_value(differences: impl ExactSizeIterator<Item = f64>, real: f64) -> f64 {
    let count = differences.len() as f64;
    (differences.filter(|difference| *difference > real).count() as f64 + 1.0) / (count + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::accuracy::Accuracy;
    use crate::metrics::corpus::Corpus;
    use std::ops::Range;

    /// Right in these of 100 segments.
    fn statistics(right: Range<usize>) -> Statistics {
        let texts = (0..100).map(|i| if right.contains(&i) { "a" } else { "b" }).collect();
        Statistics::measure(&Accuracy, &Corpus::new(texts, vec![vec!["a"]; 100]).unwrap(), &|_| ())
    }

    const DRAWS: Draws = Draws { samples: 2000, seed: 1 };

    #[test]
    fn an_interval_is_that_of_the_binomial() {
        let interval = confidence(&Accuracy, &statistics(0..80), DRAWS, &|_| ());
        // 1.96 standard errors of 4 points.
        assert!((interval.half_width() - 7.84).abs() < 0.8, "{interval:?}");
        assert!((interval.mean - 80.0).abs() < 0.4, "{interval:?}");
        let other = Draws { seed: 2, ..DRAWS };
        assert_ne!(confidence(&Accuracy, &statistics(0..80), other, &|_| ()), interval);
    }

    #[test]
    fn differences_are_told_from_chance() {
        for test in [paired_bootstrap, paired_randomization] {
            let p = |right| test(&Accuracy, &statistics(right), &statistics(0..80), DRAWS, &|_| ()).p_value;
            // 15 segments better and none worse; 20 better and 18 worse.
            assert!(p(0..95) < 0.01 && p(18..100) > 0.2, "{} {}", p(0..95), p(18..100));
        }
    }

    #[test]
    fn exchanged_segments_keep_their_sums() {
        let (one, other) = exchanged(&statistics(0..80), &statistics(0..30), DRAWS.of(3));
        assert_eq!((one[0] + other[0], one[1], other[1]), (110.0, 100.0, 100.0));
        assert!(one[0] > 31.0 && one[0] < 79.0, "{one:?}");
    }

    #[test]
    fn ends_are_cut_at_a_fortieth() {
        let interval = Interval::of((0..1000).rev().map(f64::from).collect());
        assert_eq!((interval.low, interval.high, interval.mean), (25.0, 974.0, 499.5));
    }
}
