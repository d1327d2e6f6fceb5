//! Metrics that follow from sums over segments: numbers of each segment, a score from their sums.

use super::corpus::Corpus;
use super::parallel::{self, Watch};

/// A metric whose score of a corpus is a function of sums of numbers of its segments.
pub trait SegmentMetric: Sync {
    /// The numbers of one segment, always equally many. `references` are one or more.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64>;

    /// The score, in the metric's unit, of sums of statistics.
    fn score(&self, sums: &[f64]) -> f64;

    /// The score of one segment by itself.
    fn sentence_score(&self, statistics: &[f64]) -> f64 {
        self.score(statistics)
    }

    /// What the score depends on, as the pairs of its signature.
    fn settings(&self) -> Vec<(&'static str, String)>;
}

/// The statistics of every segment of a corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// Numbers per segment.
    width: usize,
    /// The numbers, segment after segment: `[segments, width]`.
    numbers: Vec<f64>,
}

impl Statistics {
    /// Measures every segment of `corpus` by all processors; `watch` sees how many are done.
    pub fn measure(metric: &dyn SegmentMetric, corpus: &Corpus, watch: Watch) -> Self {
        let rows =
            parallel::map(corpus.len(), watch, |i| metric.statistics(corpus.hypotheses[i], &corpus.references[i]));
        Self { width: rows.first().map_or(1, Vec::len), numbers: rows.concat() }
    }

    /// How many segments there are.
    pub fn len(&self) -> usize {
        self.numbers.len() / self.width
    }

    /// Whether there is no segment.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The numbers of a segment.
    pub fn row(&self, segment: usize) -> &[f64] {
        &self.numbers[segment * self.width..][..self.width]
    }

    /// The sums over `segments`, which may name one several times.
    pub fn sums(&self, segments: impl Iterator<Item = usize>) -> Vec<f64> {
        let mut sums = vec![0.0; self.width];
        for segment in segments {
            for (sum, number) in sums.iter_mut().zip(self.row(segment)) {
                *sum += number;
            }
        }
        sums
    }

    /// The score of the whole corpus.
    pub fn score(&self, metric: &dyn SegmentMetric) -> f64 {
        metric.score(&self.sums(0..self.len()))
    }

    /// The score of every segment by itself.
    pub fn sentence_scores(&self, metric: &dyn SegmentMetric) -> Vec<f64> {
        (0..self.len()).map(|segment| metric.sentence_score(self.row(segment))).collect()
    }
}

/// The statistics of a metric that is a mean over segments: the segment's value and one segment.
pub(super) fn one(value: f64) -> Vec<f64> {
    vec![value, 1.0]
}

/// The mean that sums of [`one`] stand for, 0 of nothing.
pub(super) fn mean(sums: &[f64]) -> f64 {
    if sums[1] > 0.0 { sums[0] / sums[1] } else { 0.0 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The score of hypotheses beside the references of each.
    pub fn score_of(metric: &dyn SegmentMetric, hypotheses: &[&str], references: &[&[&str]]) -> f64 {
        let references = references.iter().map(|references| references.to_vec()).collect();
        let corpus = Corpus::new(hypotheses.to_vec(), references).unwrap();
        Statistics::measure(metric, &corpus, &|_| ()).score(metric)
    }

    struct Lengths;

    impl SegmentMetric for Lengths {
        fn statistics(&self, hypothesis: &str, _references: &[&str]) -> Vec<f64> {
            one(hypothesis.len() as f64)
        }

        fn score(&self, sums: &[f64]) -> f64 {
            mean(sums)
        }

        fn settings(&self) -> Vec<(&'static str, String)> {
            Vec::new()
        }
    }

    #[test]
    fn a_score_follows_from_sums() {
        let texts: Vec<String> = (0..100).map(|i| "x".repeat(i)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let corpus = Corpus::new(texts, vec![vec![]; 100]).unwrap();
        let statistics = Statistics::measure(&Lengths, &corpus, &|_| ());
        assert_eq!(statistics.score(&Lengths), 49.5);
        assert_eq!(statistics.sums([3, 3, 4].into_iter()), [10.0, 3.0]);
        assert_eq!(statistics.sentence_scores(&Lengths)[7], 7.0);
        assert_eq!((statistics.len(), mean(&[0.0, 0.0])), (100, 0.0));
    }
}
