//! The table `[decode]` of a configuration: how a model's outputs are searched for.

use garde::Validate;
use serde::{Deserialize, Serialize};

/// The table `[decode]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeOptions {
    /// Hypotheses that beam search keeps; 1 takes the most likely token each time.
    #[garde(range(min = 1, max = 1024))]
    pub beam: u64,
    /// How much longer hypotheses are preferred: the exponent of the length formula; 0 compares probabilities.
    #[garde(range(min = 0.0))]
    pub length_penalty: f64,
    /// What a hypothesis's log-probability is divided by.
    #[garde(skip)]
    pub length_formula: LengthFormula,
    /// Tokens of an output at most, its end not counted; as many as the model can where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub max_length: Option<u64>,
    /// Tokens of an output at least, its end not counted.
    #[garde(skip)]
    pub min_length: u64,
    /// No run of so many tokens comes twice in an output; 0 allows all.
    #[garde(skip)]
    pub no_repeat_ngram: u64,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            beam: 4,
            length_penalty: 0.6,
            length_formula: LengthFormula::Gnmt,
            max_length: None,
            min_length: 0,
            no_repeat_ngram: 0,
        }
    }
}

impl DecodeOptions {
    /// What an output may have, of a model that can put out `most` tokens, the end not counted.
    pub fn limits(&self, most: usize) -> Limits {
        let max = self.max_length.map_or(most, |length| most.min(length.try_into().unwrap_or(most)));
        Limits { min: self.min_length.try_into().unwrap_or(usize::MAX), max }
    }
}

/// How many tokens an output may have, its end not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Before so many tokens there is no end. Where it exceeds `max` there never is one.
    pub min: usize,
    /// More are never put out. After so many there may still be the end, so that a model reads `max + 1` tokens, the
    /// one that begins an output included.
    pub max: usize,
}

/// `decode.length_formula`: what log-probabilities are divided by, with n tokens, the end included, and the exponent a.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LengthFormula {
    /// ((5 + n) / 6)^a (arXiv 1609.08144, eq. 14, without its coverage penalty), as tensor2tensor and T5.
    Gnmt,
    /// n^a, as fairseq and Hugging Face.
    Power,
}

impl LengthFormula {
    /// The divisor of `tokens` tokens, one or more; it never falls as they become more, for an `exponent` of 0 or more.
    pub fn divisor(self, tokens: usize, exponent: f64) -> f64 {
        match self {
            Self::Gnmt => ((5.0 + tokens as f64) / 6.0).powf(exponent),
            Self::Power => (tokens as f64).powf(exponent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_grow_with_length() {
        let gnmt = LengthFormula::Gnmt.divisor(7, 0.6);
        approx::assert_abs_diff_eq!(gnmt, 2f64.powf(0.6), epsilon = 1e-15);
        approx::assert_abs_diff_eq!(LengthFormula::Power.divisor(7, 2.0), 49.0, epsilon = 1e-12);
        for formula in [LengthFormula::Gnmt, LengthFormula::Power] {
            assert_eq!((formula.divisor(1, 2.0), formula.divisor(9, 0.0)), (1.0, 1.0));
            for exponent in [0.0, 0.6, 1.0, 2.0, 1e300] {
                let divisors: Vec<f64> = (1..1000).map(|tokens| formula.divisor(tokens, exponent)).collect();
                assert!(divisors.is_sorted(), "{formula:?}, {exponent}");
            }
        }
    }

    #[test]
    fn limits_are_the_options_and_the_models() {
        let options = DecodeOptions { min_length: 2, max_length: Some(9), ..DecodeOptions::default() };
        assert_eq!(options.limits(20), Limits { min: 2, max: 9 });
        assert_eq!(options.limits(5), Limits { min: 2, max: 5 });
        assert_eq!(DecodeOptions::default().limits(20), Limits { min: 0, max: 20 });
    }

    #[test]
    fn values_are_checked() {
        let check = |text: &str| toml::from_str::<DecodeOptions>(text).unwrap().validate();
        assert_eq!(toml::from_str::<DecodeOptions>("").unwrap(), DecodeOptions::default());
        check("beam = 1024\nlength_penalty = 0.0\nlength_formula = \"power\"\nmax_length = 1").unwrap();
        for wrong in ["beam = 0", "beam = 1025", "length_penalty = -0.1", "max_length = 0"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(toml::from_str::<DecodeOptions>("beams = 4").is_err());
    }
}
