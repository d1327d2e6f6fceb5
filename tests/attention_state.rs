//! Incremental states: a sequence that grows gives what the whole gives at once.

mod attention_layers;

use attention_layers::{D_MODEL, EVALUATION, HEAD_WIDTH, Layer, MAX_LENGTH, TESTED, difference, normal};
use synth::attention::options::AttentionOptions;
use synth::attention::{Kind, Mask, TokenMixer};
use synth::model::decoder::Decoder;
use synth::model::options::{ModelOptions, Positions};
use synth::parameters::Parameters;
use tch::{Device, Kind as NumberKind, Tensor};

const BATCH: i64 = 2;
/// Steps of 1, uneven chunks, and all at once; each list fills a sequence of MAX_LENGTH.
const CHUNKS: [&[i64]; 4] = [&[1; MAX_LENGTH as usize], &[3, 1, 2, 5], &[10, 1], &[MAX_LENGTH]];

/// Every tested layer with 1, 2 and 8 heads.
fn each_layer(mut check: impl FnMut(&Layer)) {
    for &tested in TESTED {
        for heads in [1, 2, 8] {
            check(&Layer::new(tested, heads));
        }
    }
}

/// What `step` gives for chunk after chunk of `x` along its second axis.
fn in_chunks(x: &Tensor, chunks: &[i64], mut step: impl FnMut(&Tensor) -> Tensor) -> Tensor {
    let ends = chunks.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    let outputs: Vec<Tensor> =
        ends.zip(chunks).map(|(end, length)| step(&x.narrow(1, end - length, *length))).collect();
    Tensor::cat(&outputs, 1)
}

#[test]
fn steps_equal_the_whole() {
    each_layer(|layer| {
        let x = normal("x", &[BATCH, MAX_LENGTH, D_MODEL]);
        let whole = layer.attention.forward(&x, &Mask::causal(), EVALUATION).unwrap();
        for chunks in CHUNKS {
            let mut state = layer.attention.state(BATCH, MAX_LENGTH, NumberKind::Double);
            let found =
                in_chunks(&x, chunks, |chunk| layer.attention.step(chunk, None, &mut state, EVALUATION).unwrap());
            let gap = difference(&found, &whole);
            assert!(gap < 1e-12, "{}, chunks {chunks:?}: {gap:e}", layer.name);
        }
    });
}

/// More positions than are used.
const CAPACITY: i64 = 10;

#[test]
fn only_parts_that_read_keys_keep_them() {
    each_layer(|layer| {
        let mut state = layer.attention.state(BATCH, CAPACITY, NumberKind::Double);
        assert_eq!((state.length(), state.capacity()), (0, CAPACITY), "{}", layer.name);
        let values = BATCH * layer.dimensions.heads * CAPACITY * HEAD_WIDTH;
        let tensors = 1 + layer.kind.parts().filter(|part| part.variant().reads_keys).count() as i64;
        assert_eq!(state.elements() as i64, tensors * values, "{}", layer.name);
        for length in [3, 4, 9] {
            let x = normal("x", &[BATCH, length - state.length(), D_MODEL]);
            let _ = layer.attention.step(&x, None, &mut state, EVALUATION).unwrap();
            assert_eq!(state.length(), length, "{}", layer.name);
        }
        assert_eq!(state.elements() as i64, tensors * values, "{}: it stays where it is", layer.name);
    });
}

#[test]
fn a_sequence_that_outgrows_the_tables_is_an_error() {
    each_layer(|layer| {
        let mut state = layer.attention.state(BATCH, MAX_LENGTH + 1, NumberKind::Double);
        let of_length = |length| normal("x", &[BATCH, length, D_MODEL]);
        let _ = layer.attention.step(&of_length(MAX_LENGTH - 1), None, &mut state, EVALUATION).unwrap();
        let answer = layer.attention.step(&of_length(2), None, &mut state, EVALUATION);
        if layer.kind.capabilities().length_bound {
            let expected =
                format!("an input of {} tokens is longer than model.max_length = {MAX_LENGTH}", MAX_LENGTH + 1);
            assert_eq!(answer.unwrap_err().to_string(), expected, "{}", layer.name);
            // Nothing was kept of what was refused.
            assert_eq!(state.length(), MAX_LENGTH - 1, "{}", layer.name);
            let _ = layer.attention.step(&of_length(1), None, &mut state, EVALUATION).unwrap();
        } else {
            assert!(answer.is_ok(), "{}", layer.name);
        }
    });
}

#[test]
fn a_sequence_that_outgrows_its_state_is_an_error() {
    let layer = Layer::new(("vanilla", ""), 1);
    let mut state = layer.attention.state(BATCH, 4, NumberKind::Double);
    let of_length = |length| normal("x", &[BATCH, length, D_MODEL]);
    let _ = layer.attention.step(&of_length(3), None, &mut state, EVALUATION).unwrap();
    let error = layer.attention.step(&of_length(2), None, &mut state, EVALUATION).unwrap_err();
    assert_eq!(error.to_string(), "a sequence of 5 tokens is longer than its state, which has room for 4");
    let _ = layer.attention.step(&of_length(1), None, &mut state, EVALUATION).unwrap();
}

const VOCABULARY: i64 = 13;

fn decoder(positions: Positions, attention: &AttentionOptions) -> Decoder {
    let model = ModelOptions {
        layers: 3,
        d_model: 8,
        heads: 2,
        head_width: Some(HEAD_WIDTH),
        max_length: MAX_LENGTH,
        positions,
        ..Default::default()
    };
    let mut parameters = Parameters::new(5, Device::Cpu, NumberKind::Double);
    Decoder::new(&mut parameters, &model, attention, VOCABULARY)
}

fn tokens(length: i64) -> Tensor {
    let numbers: Vec<i64> = (0..BATCH * length).map(|i| i * i * 7 % VOCABULARY).collect();
    Tensor::from_slice(&numbers).view([BATCH, length])
}

/// One kind throughout for each tested layer, and hybrids.
fn attentions() -> Vec<AttentionOptions> {
    let list = |names: [&str; 3]| names.map(|name| name.parse::<Kind>().unwrap()).to_vec();
    let hybrids = [["vanilla", "random", "dense+vanilla"], ["factorized-dense", "vanilla", "factorized-random"]];
    let hybrids = hybrids.map(|names| AttentionOptions { layers: Some(list(names)), ..Default::default() });
    TESTED.iter().map(|&tested| Layer::new(tested, 1).options).chain(hybrids).collect()
}

#[test]
fn a_decoder_s_steps_equal_the_whole() {
    for positions in [Positions::Learned, Positions::Sinusoidal, Positions::None] {
        for attention in attentions() {
            let decoder = decoder(positions, &attention);
            let tokens = tokens(MAX_LENGTH);
            let whole = decoder.forward(&tokens, EVALUATION).unwrap();
            assert_eq!(whole.size(), [BATCH, MAX_LENGTH, VOCABULARY]);
            for chunks in CHUNKS {
                let mut state = decoder.state(BATCH, MAX_LENGTH, NumberKind::Double);
                let found = in_chunks(&tokens, chunks, |chunk| decoder.step(chunk, &mut state, EVALUATION).unwrap());
                let gap = difference(&found, &whole);
                assert!(gap < 1e-12, "{attention:?}, {positions:?}, chunks {chunks:?}: {gap:e}");
                assert_eq!(state.length(), MAX_LENGTH);
            }
        }
    }
}

/// Whatever the kind: positions end there, too.
#[test]
fn a_decoder_s_sequence_that_outgrows_the_model_is_an_error() {
    for positions in [Positions::Learned, Positions::Sinusoidal, Positions::None] {
        for kind in Kind::pure() {
            let decoder = decoder(positions, &AttentionOptions { kind: Some(kind), ..Default::default() });
            let mut state = decoder.state(BATCH, MAX_LENGTH, NumberKind::Double);
            let _ = decoder.step(&tokens(MAX_LENGTH - 1), &mut state, EVALUATION).unwrap();
            let expected =
                format!("an input of {} tokens is longer than model.max_length = {MAX_LENGTH}", MAX_LENGTH + 1);
            let error = decoder.step(&tokens(2), &mut state, EVALUATION).unwrap_err();
            assert_eq!(error.to_string(), expected, "{kind}, {positions:?}");
            assert_eq!(state.length(), MAX_LENGTH - 1);
            let error = decoder.forward(&tokens(MAX_LENGTH + 1), EVALUATION).unwrap_err();
            assert_eq!(error.to_string(), expected, "{kind}, {positions:?}");
        }
    }
}
