//! The tables of the parts and of mixtures below `[attention]`.

use garde::Validate;
use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The table `[attention.dense]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct DenseOptions {
    /// Width r per head of the hidden layer; the head's width where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub hidden: Option<i64>,
    /// The two layers have biases b₁ and b₂.
    #[garde(skip)]
    pub bias: bool,
    /// The heads share one W₂, as in mesh-tensorflow.
    #[garde(skip)]
    pub shared_output: bool,
    /// The hidden layer is relu of the unscaled query projection, as in mesh-tensorflow.
    #[garde(skip)]
    pub shared_query: bool,
}

/// The table `[attention.factorized-dense]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct FactorizedDenseOptions {
    /// Widths of the two factors; ⌈√max_length⌉ and what then reaches max_length where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(custom(FactorWidths::check)))]
    pub factors: Option<FactorWidths>,
}

/// `attention.factorized-dense.factors`: a, or a and b.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FactorWidths {
    /// a; b = ⌈max_length / a⌉.
    First(i64),
    /// a and b.
    Both(i64, i64),
}

impl<'de> Deserialize<'de> for FactorWidths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FactorWidthsVisitor)
    }
}

/// Reads either form; serde's own for untagged enums would not say what was found.
struct FactorWidthsVisitor;

impl<'de> Visitor<'de> for FactorWidthsVisitor {
    type Value = FactorWidths;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer or a list of two")
    }

    fn visit_i64<E>(self, first: i64) -> Result<FactorWidths, E> {
        Ok(FactorWidths::First(first))
    }

    fn visit_u64<E: Error>(self, first: u64) -> Result<FactorWidths, E> {
        i64::try_from(first).map(FactorWidths::First).map_err(|_| E::invalid_value(Unexpected::Unsigned(first), &self))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<FactorWidths, A::Error> {
        let mut widths = Vec::new();
        while let Some(width) = list.next_element::<i64>()? {
            widths.push(width);
        }
        match widths[..] {
            [first, second] => Ok(FactorWidths::Both(first, second)),
            _ => Err(A::Error::custom(format!("found {widths:?}, expected an integer or a list of two"))),
        }
    }
}

impl FactorWidths {
    fn check(&self, _context: &()) -> garde::Result {
        let (Self::First(least) | Self::Both(least, _)) = *self;
        let least = if let Self::Both(_, b) = *self { least.min(b) } else { least };
        if least < 1 { Err(garde::Error::new("expected widths of at least 1")) } else { Ok(()) }
    }
}

impl FactorizedDenseOptions {
    /// Widths (a, b) of the factors for tables of `max_length` positions.
    pub fn widths(&self, max_length: i64) -> (i64, i64) {
        let second = |a: i64| max_length / a + i64::from(max_length % a != 0);
        match self.factors {
            Some(FactorWidths::Both(a, b)) => (a, b),
            Some(FactorWidths::First(a)) => (a, second(a)),
            None => {
                let root = max_length.isqrt();
                let a = if root * root < max_length { root + 1 } else { root };
                (a, second(a))
            }
        }
    }
}

/// The tables `[attention.random]` and `[attention.fixed-random]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct RandomOptions {
    /// Standard deviation of R at the start. The paper states none; mesh-tensorflow's is about 0.003.
    #[garde(range(min = 0.0))]
    pub init_std: f64,
}

impl Default for RandomOptions {
    fn default() -> Self {
        Self { init_std: 0.02 }
    }
}

/// The table `[attention.factorized-random]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct FactorizedRandomOptions {
    /// Rank k of R₁·R₂ᵀ; the paper's is 8.
    #[garde(range(min = 1))]
    pub rank: i64,
    /// Standard deviation of the scores R₁·R₂ᵀ at the start.
    #[garde(range(min = 0.0))]
    pub init_std: f64,
}

impl Default for FactorizedRandomOptions {
    fn default() -> Self {
        Self { rank: 8, init_std: 0.02 }
    }
}

/// The table `[attention.mixture]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MixtureOptions {
    /// How the parts are weighted.
    pub weights: MixtureWeights,
    /// What has weights of its own.
    pub per: MixturePer,
}

impl MixtureOptions {
    /// Shape of the learned weights.
    pub fn shape(&self, parts: i64, heads: i64) -> Vec<i64> {
        match self.per {
            MixturePer::Layer => vec![parts],
            MixturePer::Head => vec![parts, heads],
        }
    }
}

/// `attention.mixture.weights`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MixtureWeights {
    /// Learned weights with the sum 1: softmax over one number per part, zero at the start.
    #[default]
    Softmax,
    /// None: the plain sum of the parts' scores.
    Sum,
}

/// `attention.mixture.per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MixturePer {
    /// Each layer.
    #[default]
    Layer,
    /// Each head of each layer.
    Head,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_reach_every_position_with_the_least_waste() {
        let widths = |factors, max_length| FactorizedDenseOptions { factors }.widths(max_length);
        assert_eq!([9, 10, 7, 1, 256].map(|n| widths(None, n)), [(3, 3), (4, 3), (3, 3), (1, 1), (16, 16)]);
        assert_eq!(widths(Some(FactorWidths::First(3)), 10), (3, 4));
        assert_eq!(widths(Some(FactorWidths::Both(5, 2)), 10), (5, 2));
    }
}
