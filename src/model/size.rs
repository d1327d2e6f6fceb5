//! Number of parameters and memory of a model by formula, before anything is allocated.

use super::options::{ModelOptions, Positions};
use crate::attention::kind::Dimensions;
use crate::attention::options::AttentionOptions;

/// Number of parameters of the decoder-only model; no size overflows.
pub fn decoder_parameters(model: &ModelOptions, attention: &AttentionOptions, vocabulary: u64) -> u128 {
    let [d_model, d_ff, layers] = [model.d_model, model.d_ff(), model.layers].map(|n| n as u128);
    let dimensions = Dimensions {
        d_model: model.d_model,
        heads: model.heads,
        head_width: model.head_width(),
        max_length: model.max_length,
    };
    let norm = 2 * d_model;
    let feed_forward = 2 * d_model * d_ff + d_ff + d_model;
    let block = attention.decoder_kind().parameters(dimensions) + feed_forward + 2 * norm;
    let table = vocabulary as u128 * d_model;
    let tables = if model.tie_embeddings { table } else { 2 * table };
    let positions = if model.positions == Positions::Learned { model.max_length as u128 * d_model } else { 0 };
    tables + positions + layers * block + norm
}

/// Bytes that training needs at least: weights, gradients and AdamW's two moments.
pub fn training_bytes(parameters: u128, bytes_per_number: u128) -> u128 {
    parameters.saturating_mul(4 * bytes_per_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Kind;
    use crate::model::Decoder;
    use crate::parameters::Parameters;

    #[test]
    fn the_formula_counts_built_models() {
        let small = ModelOptions { layers: 2, d_model: 12, heads: 3, max_length: 7, ..Default::default() };
        let models = [
            small.clone(),
            ModelOptions { tie_embeddings: false, positions: Positions::Sinusoidal, ..small.clone() },
            ModelOptions { head_width: Some(5), d_ff: Some(9), positions: Positions::None, ..small.clone() },
            ModelOptions { heads: 1, layers: 1, ..small },
        ];
        for model in &models {
            for kind in Kind::ALL {
                let attention = AttentionOptions { kind, ..Default::default() };
                let mut parameters = Parameters::new(1, tch::Device::Cpu, tch::Kind::Float);
                Decoder::new(&mut parameters, model, &attention, 11);
                let expected = decoder_parameters(model, &attention, 11);
                assert_eq!(u128::from(parameters.counts().total), expected, "{kind} {model:?}");
            }
        }
    }

    #[test]
    fn an_absurd_width_does_not_overflow() {
        let model = ModelOptions { d_model: 100_000_000, heads: 8, ..Default::default() };
        let parameters = decoder_parameters(&model, &AttentionOptions::default(), 256);
        assert!(training_bytes(parameters, 4) > 1 << 60);
    }
}
