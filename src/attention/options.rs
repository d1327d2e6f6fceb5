//! The table `[attention]` of a configuration.

mod parts;

use super::kind::{Kind, Part};
use garde::Validate;
pub use parts::{
    DenseOptions, FactorWidths, FactorizedDenseOptions, FactorizedRandomOptions, MixtureOptions, MixturePer,
    MixtureWeights, RandomOptions,
};
use serde::{Deserialize, Serialize};

/// The table `[attention]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct AttentionOptions {
    /// The kind of every self-attention; absent only where `layers` stands instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub kind: Option<Kind>,
    /// The kind of the encoder's self-attention, where it differs from `kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub encoder: Option<Kind>,
    /// The kind of the decoder's self-attention, where it differs from `kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub decoder: Option<Kind>,
    /// The kind of a decoder's attention over its encoder's output; vanilla where absent, as in the paper.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub cross: Option<Kind>,
    /// The kind of each layer's self-attention, from the first layer on, instead of one kind for all: a hybrid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub layers: Option<Vec<Kind>>,
    /// Dropout of the attention weights; `model.dropout` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 0.99)))]
    pub dropout: Option<f64>,
    /// The query, key, value and output projections have biases. The authors' code has none.
    #[garde(skip)]
    pub bias: bool,
    /// `[attention.dense]`.
    #[garde(dive)]
    pub dense: DenseOptions,
    /// `[attention.factorized-dense]`.
    #[serde(rename = "factorized-dense")]
    #[garde(dive)]
    pub factorized_dense: FactorizedDenseOptions,
    /// `[attention.random]`.
    #[garde(dive)]
    pub random: RandomOptions,
    /// `[attention.fixed-random]`.
    #[serde(rename = "fixed-random")]
    #[garde(dive)]
    pub fixed_random: RandomOptions,
    /// `[attention.factorized-random]`.
    #[serde(rename = "factorized-random")]
    #[garde(dive)]
    pub factorized_random: FactorizedRandomOptions,
    /// `[attention.mixture]`.
    #[garde(skip)]
    pub mixture: MixtureOptions,
}

impl Default for AttentionOptions {
    fn default() -> Self {
        Self {
            kind: Some(Kind::VANILLA),
            encoder: None,
            decoder: None,
            cross: None,
            layers: None,
            dropout: None,
            bias: false,
            dense: DenseOptions::default(),
            factorized_dense: FactorizedDenseOptions::default(),
            random: RandomOptions::default(),
            fixed_random: RandomOptions::default(),
            factorized_random: FactorizedRandomOptions::default(),
            mixture: MixtureOptions::default(),
        }
    }
}

impl AttentionOptions {
    /// Whether some attention of a model of `layers` layers has the part.
    pub fn uses(&self, part: Part, layers: i64) -> bool {
        let others = [self.encoder, self.cross].into_iter().flatten();
        self.decoder_layers(layers).into_iter().map(|(kind, _)| kind).chain(others).any(|kind| kind.has(part))
    }

    /// The self-attentions of a decoder of `layers` layers, from the first layer on: kinds, and how many layers in a
    /// row have each.
    pub fn decoder_layers(&self, layers: i64) -> Vec<(Kind, i64)> {
        match &self.layers {
            Some(kinds) => kinds.chunk_by(|one, next| one == next).map(|run| (run[0], run.len() as i64)).collect(),
            None => vec![(self.decoder.or(self.kind).unwrap_or(Kind::VANILLA), layers)],
        }
    }
}

/// One name for the layers of [`AttentionOptions::decoder_layers`]: that of the kind where all are one, else
/// `2xvanilla.4xrandom`.
pub fn label(layers: &[(Kind, i64)]) -> String {
    match layers {
        [(kind, _)] => kind.to_string(),
        _ => layers.iter().map(|(kind, count)| format!("{count}x{kind}")).collect::<Vec<_>>().join("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_tells_the_layers() {
        let label_of = |names: &[&str]| {
            let kinds = names.iter().map(|name| name.parse().unwrap()).collect();
            label(&AttentionOptions { layers: Some(kinds), ..Default::default() }.decoder_layers(names.len() as i64))
        };
        assert_eq!(label_of(&["random", "random"]), "random");
        assert_eq!(label_of(&["vanilla", "vanilla+random", "random+vanilla"]), "1xvanilla.2xrandom+vanilla");
        assert_eq!(label(&AttentionOptions::default().decoder_layers(6)), "vanilla");
    }
}
