use super::*;
use crate::model::options::{Activation, Norm as NormKind};
use crate::model::{Decoder, EncoderDecoder};
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

/// 3 and 2 blocks, of which the others' options are some.
fn encoder_decoders() -> [ModelOptions; 6] {
    let small = ModelOptions {
        architecture: Architecture::EncoderDecoder,
        layers: 3,
        decoder_layers: Some(2),
        d_model: 12,
        heads: 3,
        max_length: 7,
        ..Default::default()
    };
    [
        small.clone(),
        ModelOptions { tie_embeddings: false, positions: Positions::Sinusoidal, ..small.clone() },
        ModelOptions { head_width: Some(5), d_ff: Some(9), positions: Positions::None, ..small.clone() },
        ModelOptions { norm: NormKind::Rms, activation: Activation::Swiglu, encoder_layers: Some(1), ..small.clone() },
        ModelOptions { norm_position: NormPosition::Post, positions: Positions::Relative, ..small.clone() },
        ModelOptions { bias: false, decoder_layers: None, relative_buckets: 4, ..small },
    ]
}

#[test]
fn the_formula_counts_built_encoder_decoders() {
    let vocabularies = [Vocabularies::joint(11), Vocabularies { source: 13, target: 11, shared: false }];
    for (model, vocabularies) in encoder_decoders().iter().zip(vocabularies.into_iter().cycle()) {
        for kind in Kind::pure().chain(["fixed-random+dense+vanilla".parse().unwrap()]) {
            for cross in [None, Some(kind)] {
                let attention = AttentionOptions { encoder: Some(kind), cross, ..Default::default() };
                let mut parameters = Parameters::new(1, tch::Device::Cpu, tch::Kind::Float);
                EncoderDecoder::new(&mut parameters, model, &attention, vocabularies);
                let (counts, size) = (parameters.counts(), model_size(model, &attention, vocabularies));
                assert_eq!(u128::from(counts.total), size.total, "{kind} {model:?}");
                assert_eq!(u128::from(counts.total - counts.trainable), size.frozen, "{kind} {model:?}");
            }
        }
    }
}

#[test]
fn an_encoder_decoders_passes_are_those_of_its_halves() {
    let vocabularies = Vocabularies::joint(11);
    for model in &encoder_decoders() {
        let layers = model.layers;
        for kind in Kind::pure() {
            let attention = AttentionOptions { kind: Some(kind), ..Default::default() };
            let half = |layers: i64, vocabulary: u64, length: u64| {
                let model = ModelOptions { architecture: Architecture::Decoder, layers, ..model.clone() };
                decoder_flops(&model, &attention, vocabulary, (4, length))
            };
            let (encoder, decoder) = (model.encoder_layers.unwrap_or(layers), model.decoder_layers());
            let crossing = Kind::VANILLA.flops(&attention, model.dimensions(), (4, 3, 5));
            let expected = half(encoder, 0, 5) + half(decoder, 11, 3) + decoder as u128 * crossing;
            assert_eq!(forward_flops(model, &attention, vocabularies, (4, 5, 3)), expected, "{kind} {model:?}");
            // Steps over 1, 2 and 3 tokens, and keys and values of the memory once, but for pairs that are masked.
            let step = |visible| step_flops(model, &attention, vocabularies, (4, 5, visible));
            let memory = Kind::VANILLA.flops(&attention, model.dimensions(), (4, 0, 5)) * decoder as u128;
            let masked = 3 * (step(2) - step(1));
            let steps = (1..=3).map(step).sum::<u128>() + masked + memory + half(encoder, 0, 5);
            assert_eq!(steps, expected, "{kind} {model:?}");
        }
    }
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
