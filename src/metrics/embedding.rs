//! Embedding average (Liu et al., 2016) as nlg-eval computes it: the cosine of two texts' summed word vectors.

use super::segments::{SegmentMetric, mean, one};
use super::word_tokenizer::WordTokenizer;
use anyhow::{Context, Result, bail};
use std::collections::{HashMap, HashSet};
use std::io::BufRead;

/// Vectors of the words that a corpus has, and one for all others.
#[derive(Debug, Clone)]
pub struct Vectors {
    /// By word.
    known: HashMap<String, Vec<f32>>,
    /// What other words have: the mean of all vectors of the file.
    unknown: Vec<f32>,
    /// How many vectors the file has.
    count: usize,
}

impl Vectors {
    /// Reads word2vec's text format (a first line `COUNT WIDTH`) or GloVe's (without it): a line for each word, the
    /// word and its numbers with single spaces between them. Only the vectors of `wanted` are kept, of a word that comes
    /// twice the first.
    ///
    /// # Errors
    /// Lines that are no such vector, with their number; a file without vectors.
    pub fn read(reader: impl BufRead, wanted: &HashSet<String>) -> Result<Self> {
        let mut known = HashMap::new();
        let mut sum: Vec<f64> = Vec::new();
        let mut count = 0usize;
        for (i, line) in reader.split(b'\n').enumerate() {
            let line = line.with_context(|| format!("line {}", i + 1))?;
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', ' ']);
            if line.is_empty() || i == 0 && is_header(line) {
                continue;
            }
            let (word, vector) = parse(line, sum.len()).with_context(|| format!("line {}", i + 1))?;
            sum.resize(vector.len(), 0.0);
            sum.iter_mut().zip(&vector).for_each(|(sum, number)| *sum += f64::from(*number));
            count += 1;
            if wanted.contains(word) && !known.contains_key(word) {
                known.insert(word.to_string(), vector);
            }
        }
        if count == 0 {
            bail!("there is no vector; expected lines of a word and its numbers");
        }
        Ok(Self { known, unknown: sum.into_iter().map(|sum| (sum / count as f64) as f32).collect(), count })
    }

    fn of(&self, word: &str) -> &[f32] {
        self.known.get(word).unwrap_or(&self.unknown)
    }
}

/// Whether the line is word2vec's first: two whole numbers.
fn is_header(line: &str) -> bool {
    line.split(' ').count() == 2 && line.split(' ').all(|part| part.parse::<usize>().is_ok())
}

/// A word and its vector. The numbers are the last of the line: GloVe's words may hold spaces.
fn parse(line: &str, width: usize) -> Result<(&str, Vec<f32>)> {
    let parts = line.split(' ').count() - 1;
    let width = if width == 0 { parts } else { width };
    if width == 0 || parts < width {
        bail!("{parts} numbers after the first word, expected {}", width.max(1));
    }
    let mut rest = line.rsplitn(width + 1, ' ');
    let mut vector = Vec::with_capacity(width);
    for part in rest.by_ref().take(width) {
        match part.parse::<f32>() {
            Ok(number) if number.is_finite() => vector.push(number),
            _ => bail!("{part:?} is no number; expected a word and its {width} numbers"),
        }
    }
    vector.reverse();
    Ok((rest.next().unwrap_or_default(), vector))
}

/// The words of a text as [`EmbeddingAverage`] looks them up.
pub fn words(text: &str) -> Vec<String> {
    WordTokenizer::shared().words(text)
}

/// The embedding average, from -1 to 1, averaged over segments.
#[derive(Debug, Clone)]
pub struct EmbeddingAverage {
    /// The word vectors.
    pub vectors: Vectors,
}

impl EmbeddingAverage {
    fn sum(&self, text: &str) -> Vec<f64> {
        let mut sum = vec![0.0; self.vectors.unknown.len()];
        for word in words(text) {
            sum.iter_mut().zip(self.vectors.of(&word)).for_each(|(sum, number)| *sum += f64::from(*number));
        }
        sum
    }
}

/// 0 where either is 0, as of a text without words.
fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = product(a, a).sqrt() * product(b, b).sqrt();
    if norms > 0.0 { product(a, b) / norms } else { 0.0 }
}

impl SegmentMetric for EmbeddingAverage {
    /// The cosine with the closest reference.
    fn statistics(&self, hypothesis: &str, references: &[&str]) -> Vec<f64> {
        let hypothesis = self.sum(hypothesis);
        let cosines = references.iter().map(|reference| cosine(&hypothesis, &self.sum(reference)));
        one(cosines.reduce(f64::max).unwrap_or(0.0))
    }

    fn score(&self, sums: &[f64]) -> f64 {
        mean(sums)
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let Vectors { unknown, count, .. } = &self.vectors;
        vec![("vectors", format!("{count}x{}", unknown.len())), ("tok", "nltk".to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vectors> {
        Vectors::read(text.as_bytes(), &["a", "b c"].map(str::to_string).into())
    }

    #[test]
    fn both_formats_are_read() {
        for text in ["a 1 0\nb c 0 1\nd 0 3\n", "3 2\na 1 0\r\nb c 0 1\nd 0 3"] {
            let vectors = read(text).unwrap();
            assert_eq!((vectors.of("a"), vectors.of("b c")), (&[1.0, 0.0][..], &[0.0, 1.0][..]));
            assert_eq!((vectors.of("d"), vectors.count), (&[1.0 / 3.0, 4.0 / 3.0][..], 3), "the mean of all");
        }
        assert!(format!("{:#}", read("a 1 0\nb 1").unwrap_err()).contains("line 2: 1 numbers"));
        assert!(format!("{:#}", read("a 1 0\nb 1 x").unwrap_err()).contains("\"x\" is no number"));
        assert!(read("").is_err());
    }

    #[test]
    fn sums_are_compared_by_their_angle() {
        let metric = EmbeddingAverage { vectors: read("a 1 0\nb 0 1\n").unwrap() };
        let score = |hypothesis, references: &[&str]| metric.score(&metric.statistics(hypothesis, references));
        assert!((score("a", &["a a"]) - 1.0).abs() < 1e-12);
        assert!((score("a", &["x"]) - 0.5f64.sqrt()).abs() < 1e-12);
        assert!((score("a", &["x", "a"]) - 1.0).abs() < 1e-12);
        assert_eq!(score("", &["a"]), 0.0);
    }
}
