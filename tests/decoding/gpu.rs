//! Steps on a GPU: recorded or not, by stock kernels or in plain operations.

use super::{BATCH, LONG, decoder_on, gap, in_steps, largest, model, rounding, sequences, tokens, whole, wide};
use synth::attention::options::AttentionOptions;
use synth::model::decoder::PreparedDecoder;
use synth::model::options::ModelOptions;
use tch::{Cuda, Device, Kind as NumberKind};

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn gpu() -> bool {
    if !Cuda::is_available() {
        assert!(std::env::var_os("SYNTH_TEST_GPU").is_none(), "SYNTH_TEST_GPU is set and there is no CUDA device");
        eprintln!("skipped: no CUDA device");
    }
    Cuda::is_available()
}

const GPU: Device = Device::Cuda(0);
const NAMES: [&str; 7] =
    ["vanilla", "random", "dense", "factorized-dense", "factorized-random", "random+vanilla", "dense+vanilla"];

#[test]
fn gpu_steps_equal_the_whole() {
    if !gpu() {
        return;
    }
    for name in NAMES {
        let attention = AttentionOptions { kind: name.parse().ok(), ..Default::default() };
        for (kind, bound) in [(NumberKind::Double, 1e-10), (NumberKind::Float, 1e-4)] {
            let decoder = decoder_on(GPU, &model(LONG), &attention, kind);
            for prompt in [1, 100] {
                let gap = gap(&decoder, LONG, prompt, kind);
                assert!(gap < bound, "{name} {kind:?}, a prompt of {prompt}: {gap:e}");
            }
        }
        let (steps, at_once) = rounding(&decoder_on(GPU, &wide(), &attention, NumberKind::Float));
        assert!(steps < 2.5 * at_once && steps < 0.02, "{name}: {steps:e} in steps, {at_once:e} at once");
    }
}

/// The stock kernel over the state equals weights as a whole tensor, at every length and for every sample.
#[test]
fn gpu_the_stock_kernel_reads_the_state_up_to_the_position() {
    if !gpu() {
        return;
    }
    let attention = AttentionOptions::default();
    for (head_width, taken) in [(16, true), (64, true), (12, false)] {
        let model = ModelOptions { d_model: 64, heads: 4, head_width: Some(head_width), ..model(LONG) };
        let decoder = decoder_on(GPU, &model, &attention, NumberKind::Float);
        let prepared = PreparedDecoder::new(&decoder, NumberKind::BFloat16);
        let cached = prepared.cached(&decoder.state(BATCH, LONG, NumberKind::BFloat16));
        assert_eq!(cached.is_some(), taken, "heads of {head_width}");
        let tokens = tokens(LONG);
        let exact = whole(&decoder, &tokens, NumberKind::Float);
        let found = in_steps(&mut sequences(&decoder, LONG, NumberKind::BFloat16, true), &tokens, 1);
        // One wrong key, or one too many, shows at early positions most of all.
        for position in 0..LONG {
            let [found, exact] = [&found, &exact].map(|logits| logits.select(1, position));
            let gap = largest(&(found - &exact)) / largest(&exact);
            assert!(gap < 0.02, "heads of {head_width}, position {position}: {gap:e}");
        }
    }
}

#[test]
fn gpu_recorded_steps_equal_others_to_the_bit() {
    if !gpu() {
        return;
    }
    for kind in [NumberKind::BFloat16, NumberKind::Float] {
        for name in NAMES {
            let attention = AttentionOptions { kind: name.parse().ok(), ..Default::default() };
            let decoder = decoder_on(GPU, &ModelOptions { max_length: LONG, ..wide() }, &attention, NumberKind::Float);
            let [mut recorded, mut eager] = [true, false].map(|graphs| sequences(&decoder, LONG, kind, graphs));
            for round in 0..2 {
                for sequences in [&mut recorded, &mut eager] {
                    sequences.begin(&tokens(5).to_device(GPU)).unwrap();
                }
                for position in 4..LONG {
                    recorded.step(true).unwrap();
                    eager.step(true).unwrap();
                    assert_eq!(recorded.logits(), eager.logits(), "{name} {kind:?}, round {round}, {position}");
                }
                assert_eq!(recorded.tokens(0..LONG + 1), eager.tokens(0..LONG + 1), "{name} {kind:?}");
                assert_eq!(recorded.captured(), cfg!(cuda_graphs), "{name} {kind:?}");
                assert!(!eager.captured());
            }
        }
    }
}
