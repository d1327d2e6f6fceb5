use super::*;
use crate::attention::Kind;
use crate::kernels::vocabulary_loss::Objective;
use crate::model::options::{Activation, Architecture, Initialisation, Norm as NormKind, NormPosition, Positions};
use crate::model::vocabulary_loss::vocabulary_loss;

pub(super) const PASS: Pass<'static> = Pass { compute: Number::Double, dropout: None, copies: None };
pub(super) const VOCABULARIES: Vocabularies = Vocabularies { source: 11, target: 9, shared: false };
const BATCH: i64 = 3;

/// One block that reads and two that write.
pub(super) fn small() -> ModelOptions {
    ModelOptions {
        architecture: Architecture::EncoderDecoder,
        layers: 2,
        encoder_layers: Some(1),
        d_model: 8,
        heads: 2,
        d_ff: Some(12),
        dropout: 0.0,
        max_length: 7,
        activation: Activation::Gelu,
        init: Initialisation::Xavier,
        relative_buckets: 4,
        relative_distance: 6,
        ..Default::default()
    }
}

/// Both orders of norms, and every way of telling positions.
pub(super) fn models() -> [ModelOptions; 4] {
    [
        ModelOptions { positions: Positions::Relative, ..small() },
        ModelOptions { positions: Positions::Relative, norm_position: NormPosition::Post, ..small() },
        ModelOptions { tie_embeddings: false, positions: Positions::Sinusoidal, norm: NormKind::Rms, ..small() },
        ModelOptions { norm_position: NormPosition::Post, bias: false, ..small() },
    ]
}

/// Scores large enough to matter.
pub(super) fn attention(own: &str, cross: &str) -> AttentionOptions {
    let start = "init_std = 0.7";
    toml::from_str(&format!(
        "kind = {own:?}\ncross = {cross:?}\n[random]\n{start}\n[fixed-random]\n{start}\n[factorized-random]\nrank = \
         2\n{start}"
    ))
    .unwrap()
}

/// Every pure kind over its own input, and kinds over a memory.
pub(super) fn attentions() -> Vec<AttentionOptions> {
    let own = Kind::pure().map(|kind| attention(&kind.to_string(), "vanilla"));
    let cross = Kind::pure().map(|kind| kind.to_string()).filter(|kind| kind != "vanilla");
    let mixtures = ["random+vanilla", "factorized-dense+dense"].map(String::from);
    own.chain(cross.chain(mixtures).map(|cross| attention("vanilla", &cross))).collect()
}

pub(super) fn build(model: &ModelOptions, attention: &AttentionOptions) -> (Parameters, EncoderDecoder) {
    let mut parameters = Parameters::new(5, Device::Cpu, Number::Double);
    let built = EncoderDecoder::new(&mut parameters, model, attention, VOCABULARIES);
    (parameters, built)
}

/// Padded pairs, the last of which is a row of padding.
pub(super) struct Pairs {
    pub(super) sources: Tensor,
    pub(super) lengths: Tensor,
    pub(super) inputs: Tensor,
    pub(super) targets: Tensor,
}

impl Pairs {
    pub(super) fn new() -> Self {
        let sources = Tensor::from_slice2(&[[4i64, 10, 1, 7, 2], [3, 9, 0, 0, 0], [0, 0, 0, 0, 0]]);
        let inputs = Tensor::from_slice2(&[[8i64, 3, 0, 0], [8, 1, 5, 2], [0, 0, 0, 0]]);
        let targets = Tensor::from_slice2(&[[3i64, 7, -100, -100], [1, 5, 2, 7], [-100, -100, -100, -100]]);
        Self { sources, lengths: Tensor::from_slice(&[5i64, 2, 1]), inputs, targets }
    }

    pub(super) fn source(&self) -> Source<'_> {
        Source { tokens: &self.sources, lengths: &self.lengths }
    }

    /// The sum of all targets' losses.
    pub(super) fn loss(&self, model: &EncoderDecoder) -> Tensor {
        let hidden = model.hidden(self.source(), &self.inputs, PASS).unwrap().flatten(0, 1);
        let targets = self.targets.flatten(0, 1);
        vocabulary_loss(&hidden, model.output(), &targets, Objective::default(), PASS).unwrap().objective
    }
}

fn gap(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

fn each_model(mut check: impl FnMut(&EncoderDecoder, &str)) {
    let _no_grad = tch::no_grad_guard();
    for model in &models() {
        for attention in &attentions() {
            let name = format!("{}, {:?}, {:?}", attention.label(model.depth()), model.norm_position, model.positions);
            check(&build(model, attention).1, &name);
        }
    }
}

#[test]
fn tensors_have_the_names_of_the_format() {
    let names = |model: &ModelOptions, vocabularies| {
        let mut parameters = Parameters::new(1, Device::Cpu, Number::Float);
        EncoderDecoder::new(&mut parameters, model, &AttentionOptions::default(), vocabularies);
        parameters.named().into_iter().map(|(name, tensor)| (name, tensor.size())).collect::<Vec<_>>()
    };
    let separate = names(&ModelOptions { tie_embeddings: false, ..small() }, VOCABULARIES);
    let find = |name: &str| separate.iter().find(|(known, _)| known == name).map(|(_, size)| size.clone());
    for (name, size) in [
        ("encoder.embedding.weight", vec![11, 8]),
        ("encoder.positions.weight", vec![7, 8]),
        ("encoder.layers.0.attention_norm.weight", vec![8]),
        ("encoder.layers.0.attention.query.weight", vec![8, 8]),
        ("encoder.layers.0.feed_forward.output.bias", vec![8]),
        ("encoder.norm.bias", vec![8]),
        ("decoder.embedding.weight", vec![9, 8]),
        ("decoder.positions.weight", vec![7, 8]),
        ("decoder.layers.1.cross_attention_norm.weight", vec![8]),
        ("decoder.layers.1.cross_attention.key.weight", vec![8, 8]),
        ("decoder.norm.weight", vec![8]),
        ("output.weight", vec![9, 8]),
    ] {
        assert_eq!(find(name), Some(size), "{name}");
    }
    assert!(!separate.iter().any(|(name, _)| name.starts_with("encoder") && name.contains("cross")));
    let relative = ModelOptions { positions: Positions::Relative, norm_position: NormPosition::Post, ..small() };
    let shared = names(&relative, Vocabularies::joint(9));
    let start: Vec<&str> = shared.iter().take(2).map(|(name, _)| name.as_str()).collect();
    assert_eq!(start, ["embedding.weight", "encoder.relative_positions.weight"]);
    let tables = ["embedding.", "relative_positions.", "encoder.norm.", "decoder.norm.", "output."];
    let counts = tables.map(|part| shared.iter().filter(|(name, _)| name.starts_with(part)).count());
    assert_eq!(counts, [1, 0, 0, 0, 0], "{shared:?}");
}

#[test]
fn branches_start_smaller_the_more_of_them_a_stream_collects() {
    let model = ModelOptions { d_model: 64, init: Initialisation::FanIn, ..small() };
    let (parameters, _) = build(&model, &AttentionOptions::default());
    for (name, summands) in [
        ("encoder.layers.0.attention.output.weight", 2.0_f64),
        ("decoder.layers.0.attention.output.weight", 6.0),
        ("decoder.layers.1.cross_attention.output.weight", 6.0),
        ("decoder.layers.1.cross_attention.value.weight", 1.0),
    ] {
        let weight = parameters.iter().find(|parameter| parameter.name == name).unwrap();
        let std = weight.tensor.std(true).double_value(&[]);
        assert!((std * (64.0 * summands).sqrt() - 1.0).abs() < 0.05, "{name}: {std}");
    }
}

#[test]
fn padding_changes_nothing() {
    each_model(|model, name| {
        let pairs = Pairs::new();
        let together = model.forward(pairs.source(), &pairs.inputs, PASS).unwrap();
        let mut losses = 0.0;
        for (row, [m, n]) in [[5, 2], [2, 4]].into_iter().enumerate() {
            let row = row as i64;
            let alone = |x: &Tensor, length: i64| x.narrow(0, row, 1).narrow(1, 0, length);
            let alone = Pairs {
                sources: alone(&pairs.sources, m),
                lengths: Tensor::from_slice(&[m]),
                inputs: alone(&pairs.inputs, n),
                targets: alone(&pairs.targets, n),
            };
            let logits = model.forward(alone.source(), &alone.inputs, PASS).unwrap();
            let gap = gap(&logits, &together.narrow(0, row, 1).narrow(1, 0, n));
            assert!(gap < 1e-12, "{name}, row {row}: {gap:e}");
            losses += alone.loss(model).double_value(&[]);
        }
        let loss = pairs.loss(model).double_value(&[]);
        assert!((loss - losses).abs() < 1e-12 * loss, "{name}: {loss} against {losses}");
        assert!(together.isfinite().all().int64_value(&[]) == 1, "{name}");
        // What stands in the place of padding is never seen.
        let mut other = Pairs::new();
        let _ = other.sources.narrow(0, 1, 1).narrow(1, 2, 3).fill_(6);
        other.inputs = other.inputs.copy();
        let _ = other.inputs.narrow(0, 0, 1).narrow(1, 2, 2).fill_(4);
        let gap = gap(&other.loss(model), &pairs.loss(model));
        assert!(gap < 1e-12, "{name}: {gap:e}");
    });
}

/// `[batch · copies, length]` tokens of targets, all different.
fn targets(rows: i64, length: i64) -> Tensor {
    Tensor::arange(rows * length, (Number::Int64, Device::Cpu)).square().remainder(9).view([rows, length])
}

/// The sources of `rows`, by number.
fn sources(pairs: &Pairs, rows: &Tensor) -> (Tensor, Tensor) {
    (pairs.sources.index_select(0, rows), pairs.lengths.index_select(0, rows))
}

#[test]
fn steps_equal_the_whole() {
    const LENGTH: i64 = 6;
    each_model(|model, name| {
        let pairs = Pairs::new();
        let memory = model.encode(pairs.source(), PASS).unwrap();
        assert_eq!((memory.sources(), memory.states().size()), (BATCH, vec![BATCH, 5, 8]));
        for copies in [1, 2] {
            let rows = BATCH * copies;
            let tokens = targets(rows, LENGTH);
            let numbers = Tensor::arange(rows, (Number::Int64, Device::Cpu)).divide_scalar_mode(copies, "floor");
            let (sources, lengths) = sources(&pairs, &numbers);
            let whole = model.forward(Source { tokens: &sources, lengths: &lengths }, &tokens, PASS).unwrap();
            for chunks in [&[1; LENGTH as usize][..], &[3, 1, 2], &[LENGTH]] {
                let mut state = model.state(&memory, copies, LENGTH + 1, PASS).unwrap();
                for &count in chunks {
                    let first = state.length();
                    let step = model.step(&tokens.narrow(1, first, count), &mut state, PASS).unwrap();
                    let gap = gap(&step, &whole.narrow(1, first, count));
                    assert!(gap < 1e-12, "{name}, {copies} copies, chunks {chunks:?} at {first}: {gap:e}");
                }
                assert_eq!((state.rows(), state.length()), (rows, LENGTH));
                assert!(model.step(&tokens.narrow(1, 0, 2), &mut state, PASS).is_err(), "{name}");
            }
        }
    });
}

#[test]
fn a_selection_goes_on_as_the_rows_that_it_takes() {
    each_model(|model, name| {
        let pairs = Pairs::new();
        let memory = model.encode(pairs.source(), PASS).unwrap();
        let tokens = targets(BATCH * 2, 5);
        for (rows, same_sources) in [
            (vec![1, 0, 2, 2, 5, 4], true),
            (vec![5, 0, 3, 3, 1, 2], false),
            (vec![4, 1], false),
            (vec![0, 0, 0, 1, 1, 2, 3, 4, 5], false),
        ] {
            let mut state = model.state(&memory, 2, 6, PASS).unwrap();
            let _ = model.step(&tokens.narrow(1, 0, 3), &mut state, PASS).unwrap();
            let rows = Tensor::from_slice(&rows);
            state.select(&rows, same_sources);
            assert_eq!((state.rows(), state.length()), (rows.size()[0], 3));
            // The same rows once more.
            state.select(&Tensor::arange(rows.size()[0], (Number::Int64, Device::Cpu)), true);
            let next = targets(rows.size()[0], 2);
            let found = model.step(&next, &mut state, PASS).unwrap();
            let whole = Tensor::cat(&[tokens.narrow(1, 0, 3).index_select(0, &rows), next], 1);
            let (sources, lengths) = sources(&pairs, &rows.divide_scalar_mode(2, "floor"));
            let whole = model.forward(Source { tokens: &sources, lengths: &lengths }, &whole, PASS).unwrap();
            let gap = gap(&found, &whole.narrow(1, 3, 2));
            assert!(gap < 1e-12, "{name}, {rows:?}: {gap:e}");
        }
    });
}

#[test]
fn a_target_sees_what_stands_before_and_the_whole_source() {
    each_model(|model, name| {
        let (sources, lengths) = (Tensor::from_slice2(&[[4i64, 10, 1, 7]]), Tensor::from_slice(&[4i64]));
        let inputs = Tensor::from_slice2(&[[8i64, 3, 1, 6, 2]]);
        let logits = |sources: &Tensor, inputs: &Tensor| {
            model.forward(Source { tokens: sources, lengths: &lengths }, inputs, PASS).unwrap().squeeze_dim(0)
        };
        let before = logits(&sources, &inputs);
        // Positions whose logits change where one token does.
        let changed = |after: &Tensor| -> Vec<bool> {
            let gaps = (&before - after).abs().amax([1i64].as_slice(), false);
            Vec::<f64>::try_from(gaps).unwrap().into_iter().map(|gap| gap > 1e-13).collect()
        };
        for i in 0..5 {
            let other = inputs.copy();
            let _ = other.narrow(1, i, 1).fill_(5);
            let expected: Vec<bool> = (0..5).map(|position| position >= i).collect();
            assert_eq!(changed(&logits(&sources, &other)), expected, "{name}, target {i}");
        }
        for i in 0..4 {
            let other = sources.copy();
            let _ = other.narrow(1, i, 1).fill_(5);
            assert_eq!(changed(&logits(&other, &inputs)), [true; 5], "{name}, source {i}");
        }
    });
}

#[test]
fn too_long_a_sequence_is_an_error() {
    let _no_grad = tch::no_grad_guard();
    let (_parameters, model) = build(&small(), &AttentionOptions::default());
    let tokens = |length: i64| Tensor::zeros([1, length], (Number::Int64, Device::Cpu));
    let forward = |m: i64, n: i64| {
        let (sources, lengths) = (tokens(m), Tensor::from_slice(&[m]));
        model.forward(Source { tokens: &sources, lengths: &lengths }, &tokens(n), PASS).map(drop)
    };
    assert!(forward(7, 7).is_ok());
    for (m, n) in [(8, 3), (3, 8)] {
        let error = forward(m, n).unwrap_err();
        assert_eq!(error.to_string(), "an input of 8 tokens is longer than model.max_length = 7");
    }
    assert_eq!((model.max_length(), model.vocabulary()), (7, 9));
}

#[test]
fn paths_are_told_of_every_attention() {
    use crate::attention::Path;
    let _no_grad = tch::no_grad_guard();
    let paths = |own: &str, cross: &str| {
        let (_parameters, model) = build(&small(), &attention(own, cross));
        model.attention_paths(2, 5, 4, PASS).unwrap()
    };
    assert_eq!(paths("vanilla", "vanilla").len(), 1 + 2 + 2);
    assert_eq!(paths("random", "vanilla")[..3], [Path::Shared; 3]);
    assert_eq!(
        paths("factorized-dense", "random")[1..],
        [Path::Blockwise, Path::Blockwise, Path::Shared, Path::Shared]
    );
}
