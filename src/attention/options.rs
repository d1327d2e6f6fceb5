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
    /// The kind of each layer's self-attention, from the first layer on, instead of one kind for all: a hybrid. An
    /// encoder's layers stand before its decoder's.
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

/// How many layers attend to their own input in each half of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Those of an encoder; 0 where there is none.
    pub encoder: i64,
    /// Those of a decoder, each of which attends to the encoder's output, too, where there is one.
    pub decoder: i64,
}

impl Depth {
    /// Of a decoder without an encoder.
    pub fn of_decoder(layers: i64) -> Self {
        Depth { encoder: 0, decoder: layers }
    }
}

impl AttentionOptions {
    /// Whether some attention of a model has the part, or would have it if there were an encoder.
    pub fn uses(&self, part: Part, depth: Depth) -> bool {
        let others = [self.encoder, self.cross].into_iter().flatten();
        self.all_layers(depth).into_iter().map(|(kind, _)| kind).chain(others).any(|kind| kind.has(part))
    }

    /// Every attention of a model: the encoder's, the decoder's, and those between them; as
    /// [`AttentionOptions::decoder_layers`].
    pub fn all_layers(&self, depth: Depth) -> Vec<(Kind, i64)> {
        let cross = self.cross_kind(depth).map(|kind| (kind, depth.decoder));
        [self.encoder_layers(depth), self.decoder_layers(depth)].into_iter().flatten().chain(cross).collect()
    }

    /// The self-attentions of the encoder; none where there is none. As [`AttentionOptions::decoder_layers`].
    pub fn encoder_layers(&self, depth: Depth) -> Vec<(Kind, i64)> {
        match &self.layers {
            _ if depth.encoder == 0 => Vec::new(),
            Some(kinds) => runs(&kinds[..kinds.len().min(depth.encoder as usize)]),
            None => vec![(self.encoder.or(self.kind).unwrap_or(Kind::VANILLA), depth.encoder)],
        }
    }

    /// The self-attentions of the decoder, from the first layer on: kinds, and how many layers in a row have each.
    pub fn decoder_layers(&self, depth: Depth) -> Vec<(Kind, i64)> {
        match &self.layers {
            Some(kinds) => runs(&kinds[kinds.len().min(depth.encoder as usize)..]),
            None => vec![(self.decoder.or(self.kind).unwrap_or(Kind::VANILLA), depth.decoder)],
        }
    }

    /// The kind of a decoder's attention over its encoder's output; `None` where there is no encoder.
    pub fn cross_kind(&self, depth: Depth) -> Option<Kind> {
        (depth.encoder > 0).then(|| self.cross.unwrap_or(Kind::VANILLA))
    }

    /// One name for all attentions of a model: that of the kind where all self-attentions are one, `2xvanilla.4xrandom`
    /// where the layers differ, `encoder-dense.decoder-vanilla` where the halves do; then `.cross-random` where an
    /// encoder's output is not read by `vanilla`.
    pub fn label(&self, depth: Depth) -> String {
        let [encoder, decoder] = [self.encoder_layers(depth), self.decoder_layers(depth)].map(|layers| name(&layers));
        let own = if depth.encoder == 0 || encoder == decoder {
            decoder
        } else {
            format!("encoder-{encoder}.decoder-{decoder}")
        };
        match self.cross_kind(depth).filter(|kind| *kind != Kind::VANILLA) {
            Some(cross) => format!("{own}.cross-{cross}"),
            None => own,
        }
    }
}

/// Neighbours of one kind together.
fn runs(kinds: &[Kind]) -> Vec<(Kind, i64)> {
    kinds.chunk_by(|one, next| one == next).map(|run| (run[0], run.len() as i64)).collect()
}

/// One name for some layers.
fn name(layers: &[(Kind, i64)]) -> String {
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
            let depth = Depth::of_decoder(names.len() as i64);
            AttentionOptions { layers: Some(kinds), ..Default::default() }.label(depth)
        };
        assert_eq!(label_of(&["random", "random"]), "random");
        assert_eq!(label_of(&["vanilla", "vanilla+random", "random+vanilla"]), "1xvanilla.2xrandom+vanilla");
        assert_eq!(AttentionOptions::default().label(Depth::of_decoder(6)), "vanilla");
        let unused: AttentionOptions = toml::from_str("encoder = \"dense\"\ncross = \"random\"").unwrap();
        assert_eq!(unused.label(Depth::of_decoder(6)), "vanilla");
    }

    #[test]
    fn a_label_tells_the_halves_that_differ() {
        let label_of = |text: &str| {
            let label = toml::from_str::<AttentionOptions>(text).unwrap().label(Depth { encoder: 2, decoder: 3 });
            assert!(crate::runs::is_name(&label), "{label}");
            label
        };
        assert_eq!(label_of("kind = \"dense\""), "dense");
        assert_eq!(label_of("encoder = \"dense\""), "encoder-dense.decoder-vanilla");
        assert_eq!(label_of("decoder = \"random+dense\""), "encoder-vanilla.decoder-random+dense");
        assert_eq!(label_of("kind = \"random\"\ncross = \"dense\""), "random.cross-dense");
        assert_eq!(
            label_of("layers = [\"random\", \"random\", \"random\", \"dense\", \"dense\"]"),
            "encoder-random.decoder-1xrandom.2xdense"
        );
    }

    #[test]
    fn layers_are_the_encoders_then_the_decoders() {
        let [vanilla, dense, random]: [Kind; 3] = ["vanilla", "dense", "random"].map(|name| name.parse().unwrap());
        let depth = Depth { encoder: 2, decoder: 3 };
        let attention =
            AttentionOptions { layers: Some(vec![dense, random, random, random, dense]), ..Default::default() };
        assert_eq!(attention.encoder_layers(depth), [(dense, 1), (random, 1)]);
        assert_eq!(attention.decoder_layers(depth), [(random, 2), (dense, 1)]);
        assert_eq!(attention.cross_kind(depth), Some(vanilla));
        assert!(attention.uses(Part::Vanilla, depth) && !attention.uses(Part::FixedRandom, depth));
        assert_eq!(attention.all_layers(Depth::of_decoder(5)), [(dense, 1), (random, 3), (dense, 1)]);
        assert!(!attention.uses(Part::Vanilla, Depth::of_decoder(5)));
    }
}
