//! How long texts are: counts of lengths, their quantiles, and a histogram.

use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Signs of the longest bar.
const BAR: u64 = 40;

/// The lengths of the texts of one field.
#[derive(Debug, Default)]
pub struct Lengths {
    /// White-space words.
    pub words: Counts,
    /// Bytes of UTF-8.
    pub bytes: Counts,
}

impl Lengths {
    /// Counts a text.
    pub fn add(&mut self, text: &str) {
        self.words.add(text.split_whitespace().count() as u64);
        self.bytes.add(text.len() as u64);
    }
}

/// How often each length was met.
#[derive(Debug, Default)]
pub struct Counts {
    of: BTreeMap<u64, u64>,
    total: u64,
    sum: u128,
}

/// One bar of a histogram: lengths from `from` to `to`, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// The shortest length.
    pub from: u64,
    /// The longest length.
    pub to: u64,
    /// How many texts.
    pub count: u64,
}

impl Counts {
    fn add(&mut self, length: u64) {
        *self.of.entry(length).or_default() += 1;
        self.total += 1;
        self.sum += u128::from(length);
    }

    /// The smallest length that a share of all does not exceed.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (share * self.total as f64).ceil().max(1.0) as u64;
        let mut met = 0;
        for (length, count) in &self.of {
            met += count;
            if met >= wanted {
                return *length;
            }
        }
        0
    }

    /// The mean length.
    pub fn mean(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.sum as f64 / self.total as f64 }
    }

    /// Bins that double: 0, 1, 2–3, 4–7 and so on, from the first to the last that is not empty.
    pub fn bins(&self) -> Vec<Bin> {
        let mut bins: Vec<Bin> = Vec::new();
        for (&length, &count) in &self.of {
            let from = if length == 0 { 0 } else { 1 << length.ilog2() };
            while bins.last().is_some_and(|last| last.to + 1 < from) {
                let next = bins.last().map_or(0, |last| last.to + 1);
                bins.push(Bin { from: next, to: 2 * next - 1, count: 0 });
            }
            match bins.last_mut() {
                Some(last) if last.from == from => last.count += count,
                _ => bins.push(Bin { from, to: if from == 0 { 0 } else { 2 * from - 1 }, count }),
            }
        }
        bins
    }

    /// Quantiles in a line.
    pub fn line(&self) -> String {
        let [min, median, most, max] = [0.0, 0.5, 0.95, 1.0].map(|share| self.quantile(share));
        format!("min {min}, median {median}, mean {:.1}, 95% up to {most}, max {max}", self.mean())
    }

    /// The histogram, a line a bin.
    pub fn bars(&self) -> Vec<String> {
        let bins = self.bins();
        let most = bins.iter().map(|bin| bin.count).max().unwrap_or_default().max(1);
        let bar = |bin: &Bin| {
            let range = if bin.from == bin.to { bin.from.to_string() } else { format!("{}–{}", bin.from, bin.to) };
            let signs = (bin.count * BAR).div_ceil(most);
            format!("{range:>17} {:>10} {}", bin.count, "#".repeat(signs as usize))
        };
        bins.iter().map(bar).collect()
    }

    /// All of it.
    pub fn as_json(&self) -> Value {
        let [min, median, p95, max] = [0.0, 0.5, 0.95, 1.0].map(|share| self.quantile(share));
        json!({
            "count": self.total, "min": min, "median": median, "mean": self.mean(), "p95": p95, "max": max,
            "histogram": self.bins(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(lengths: &[u64]) -> Counts {
        let mut counts = Counts::default();
        lengths.iter().for_each(|length| counts.add(*length));
        counts
    }

    #[test]
    fn quantiles_are_lengths_that_were_met() {
        let counts = counts(&[1, 2, 3, 4, 100]);
        assert_eq!([0.0, 0.5, 0.8, 0.81, 1.0].map(|share| counts.quantile(share)), [1, 3, 4, 100, 100]);
        assert_eq!(counts.mean(), 22.0);
        assert_eq!((Counts::default().quantile(0.5), Counts::default().mean()), (0, 0.0));
    }

    #[test]
    fn bins_double_and_leave_no_gap() {
        let bin = |from, to, count| Bin { from, to, count };
        let expected = [bin(0, 0, 1), bin(1, 1, 0), bin(2, 3, 2), bin(4, 7, 0), bin(8, 15, 1)];
        assert_eq!(counts(&[0, 2, 3, 8]).bins(), expected);
        assert_eq!(counts(&[5]).bins(), [bin(4, 7, 1)]);
        assert!(counts(&[]).bins().is_empty());
        let bars = counts(&[1, 1, 2]).bars();
        assert!(bars[0].ends_with(&"#".repeat(40)) && bars[1].ends_with(&format!(" {}", "#".repeat(20))), "{bars:?}");
    }

    #[test]
    fn texts_are_measured_in_words_and_bytes() {
        let mut lengths = Lengths::default();
        lengths.add("  two wörds ");
        assert_eq!((lengths.words.quantile(1.0), lengths.bytes.quantile(1.0)), (2, 13));
    }
}
