//! Parameters, memory and operations of a model by formula, before anything is allocated.

use super::feed_forward::FeedForward;
use super::norm::Norm;
use super::options::{ModelOptions, NormPosition, Positions};
use super::relative_positions::RelativePositions;
use crate::attention::options::AttentionOptions;
use crate::attention::{Dimensions, Kind};

/// Numbers of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// All of them.
    pub total: u128,
    /// Those that are never trained.
    pub frozen: u128,
}

/// Number of parameters of the decoder-only model; no size overflows.
pub fn decoder_size(model: &ModelOptions, attention: &AttentionOptions, vocabulary: u64) -> Size {
    let (d_model, norm) = (model.d_model as u128, Norm::parameters(model));
    let feed_forward = FeedForward::weights(model) + FeedForward::biases(model);
    let layers = attention.decoder_layers(model.layers);
    let of_each = |parameters: fn(Kind, &AttentionOptions, Dimensions) -> u128| -> u128 {
        let layers = layers.iter();
        layers.map(|(kind, count)| *count as u128 * parameters(*kind, attention, model.dimensions())).sum()
    };
    let blocks = of_each(Kind::parameters) + model.layers as u128 * (feed_forward + 2 * norm);
    let table = u128::from(vocabulary) * d_model;
    let tables = if model.tie_embeddings { table } else { 2 * table };
    let positions = match model.positions {
        Positions::Learned => model.max_length as u128 * d_model,
        Positions::Relative => RelativePositions::parameters(model),
        Positions::Sinusoidal | Positions::None => 0,
    };
    let last_norm = if model.norm_position == NormPosition::Pre { norm } else { 0 };
    Size { total: tables + positions + blocks + last_norm, frozen: of_each(Kind::frozen_parameters) }
}

/// Floating-point operations of the decoder-only model's forward pass over `batch` sequences of `length` tokens, 2 per
/// multiply-add of every matrix product (attention as [`Kind::flops`] counts it). A
/// training step takes three times as many.
pub fn decoder_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    vocabulary: u64,
    (batch, length): (u64, u64),
) -> u128 {
    let d_model = model.d_model as u128;
    let tokens = u128::from(batch) * u128::from(length);
    let feed_forward = 2 * tokens * FeedForward::weights(model);
    let of_layer = |kind: Kind| kind.flops(attention, model.dimensions(), (batch, length, length)) + feed_forward;
    let layers = attention.decoder_layers(model.layers).into_iter();
    let blocks: u128 = layers.map(|(kind, count)| count as u128 * of_layer(kind)).sum();
    blocks + 2 * tokens * d_model * u128::from(vocabulary)
}

/// Operations, as [`decoder_flops`] counts them, of one decoding step of `batch` sequences: one token each, which sees
/// `visible` positions, itself included. What earlier tokens left is read, not computed again.
pub fn decoder_step_flops(
    model: &ModelOptions,
    attention: &AttentionOptions,
    vocabulary: u64,
    (batch, visible): (u64, u64),
) -> u128 {
    let forward = |length| decoder_flops(model, attention, vocabulary, (batch, length));
    // Over N tokens a forward pass costs N times what a token costs, and N² times what a pair of tokens costs.
    let pair = (forward(2) - 2 * forward(1)) / 2;
    forward(1) + pair * (u128::from(visible) - 1)
}

/// Bytes that training needs at least: weights, and of the trained ones gradients and `kept` numbers each, such as an
/// optimizer's moments.
pub fn training_bytes(size: Size, kept: u64, bytes_per_number: u128) -> u128 {
    let trained = (size.total - size.frozen).saturating_mul(1 + u128::from(kept));
    size.total.saturating_add(trained).saturating_mul(bytes_per_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Decoder;
    use crate::model::options::{Activation, Norm as NormKind};
    use crate::parameters::Parameters;

    #[test]
    fn the_formula_counts_built_models() {
        let small = ModelOptions { layers: 2, d_model: 12, heads: 3, max_length: 7, ..Default::default() };
        let models = [
            small.clone(),
            ModelOptions { tie_embeddings: false, positions: Positions::Sinusoidal, ..small.clone() },
            ModelOptions { head_width: Some(5), d_ff: Some(9), positions: Positions::None, ..small.clone() },
            ModelOptions { heads: 1, layers: 1, bias: false, ..small.clone() },
            ModelOptions { norm: NormKind::Rms, activation: Activation::Swiglu, ..small.clone() },
            ModelOptions { norm_position: NormPosition::Post, positions: Positions::Relative, ..small.clone() },
            ModelOptions { bias: false, activation: Activation::Swiglu, relative_buckets: 4, ..small },
        ];
        for model in &models {
            for kind in Kind::pure().chain(["fixed-random+dense+vanilla".parse().unwrap()]) {
                let attention = AttentionOptions { kind: Some(kind), ..Default::default() };
                let mut parameters = Parameters::new(1, tch::Device::Cpu, tch::Kind::Float);
                Decoder::new(&mut parameters, model, &attention, 11);
                let (counts, size) = (parameters.counts(), decoder_size(model, &attention, 11));
                assert_eq!(u128::from(counts.total), size.total, "{kind} {model:?}");
                assert_eq!(u128::from(counts.total - counts.trainable), size.frozen, "{kind} {model:?}");
            }
        }
    }

    #[test]
    fn a_hybrid_counts_each_layer() {
        let model = ModelOptions { layers: 2, ..Default::default() };
        let [vanilla, random]: [Kind; 2] = ["vanilla", "random"].map(|name| name.parse().unwrap());
        let of = |layers: &[Kind]| {
            let attention = AttentionOptions { layers: Some(layers.to_vec()), ..Default::default() };
            (decoder_size(&model, &attention, 11).total, decoder_flops(&model, &attention, 11, (2, 256)))
        };
        let (hybrid, one, other) = (of(&[vanilla, random]), of(&[vanilla; 2]), of(&[random; 2]));
        assert_eq!((2 * hybrid.0, 2 * hybrid.1), (one.0 + other.0, one.1 + other.1));
    }

    #[test]
    fn decoding_reads_what_a_whole_pass_computes() {
        let model = ModelOptions { layers: 3, d_model: 12, heads: 3, max_length: 9, ..Default::default() };
        for kind in Kind::all() {
            let attention = AttentionOptions { kind: Some(kind), ..Default::default() };
            let step = |visible| decoder_step_flops(&model, &attention, 11, (4, visible));
            let whole = |length| decoder_flops(&model, &attention, 11, (4, length));
            assert_eq!(step(1), whole(1), "{kind}");
            // A whole pass counts masked pairs: that of 7 tokens has 7 · 7, the steps 1 + … + 7 of them.
            let masked = (7 * 6 / 2) * (step(2) - step(1));
            assert_eq!((1..=7).map(step).sum::<u128>() + masked, whole(7), "{kind}");
        }
        // Two products over a width of 4 for each of 3 heads, 3 layers and 4 sequences.
        let vanilla = |visible| decoder_step_flops(&model, &AttentionOptions::default(), 11, (4, visible));
        assert_eq!(vanilla(6) - vanilla(5), 2 * 2 * 4 * 3 * 3 * 4);
    }

    #[test]
    fn an_absurd_width_does_not_overflow() {
        let model = ModelOptions { d_model: 100_000_000, heads: 8, ..Default::default() };
        let size = decoder_size(&model, &AttentionOptions::default(), 256);
        assert!(training_bytes(size, 2, 4) > 1 << 60);
    }

    #[test]
    fn training_keeps_a_gradient_and_moments_of_what_is_trained() {
        let size = Size { total: 10, frozen: 3 };
        assert_eq!([0, 1, 2, 3].map(|kept| training_bytes(size, kept, 4)), [17 * 4, 24 * 4, 31 * 4, 38 * 4]);
    }
}
