//! Models with every kind of attention, and with every choice within it.

use crate::experiment::Experiment;
use crate::text::sentences;

/// A dotted key and its value.
pub type Key = (&'static str, &'static str);

/// What differs between the models of this file.
pub type Variant = &'static [Key];

const ALL: &str = "\"vanilla+dense+factorized-dense+random+fixed-random+factorized-random\"";

/// `vanilla` and `dense` with what each may have.
pub const DENSE: [Variant; 6] = [
    &[("attention.kind", "\"vanilla\""), ("attention.bias", "true"), ("model.activation", "\"gelu\"")],
    &[("attention.kind", "\"dense\""), ("model.head_width", "5"), ("model.activation", "\"gelu-tanh\"")],
    &[
        ("attention.kind", "\"dense\""),
        ("attention.dense.hidden", "7"),
        ("attention.dense.bias", "true"),
        ("attention.bias", "true"),
        ("model.bias", "false"),
    ],
    &[
        ("attention.kind", "\"dense\""),
        ("attention.dense.shared_output", "true"),
        ("attention.dense.bias", "true"),
        ("model.positions", "\"sinusoidal\""),
        ("model.init", "\"gpt2\""),
    ],
    &[
        ("attention.kind", "\"dense\""),
        ("attention.dense.shared_query", "true"),
        ("attention.dense.bias", "true"),
        ("attention.bias", "true"),
        ("model.head_width", "5"),
        ("model.tie_embeddings", "false"),
    ],
    &[("attention.kind", "\"vanilla\""), ("attention.decoder", "\"dense\""), ("attention.dense.shared_query", "true")],
];

/// Kinds with tables or factors.
pub const TABLES: [Variant; 6] = [
    &[("attention.kind", "\"factorized-dense\"")],
    &[
        ("attention.kind", "\"factorized-dense\""),
        ("attention.factorized-dense.factors", "7"),
        ("attention.bias", "true"),
        ("model.activation", "\"gelu\""),
    ],
    &[
        ("attention.kind", "\"factorized-dense\""),
        ("attention.factorized-dense.factors", "[3, 10]"),
        ("model.bias", "false"),
        ("model.init", "\"gpt2\""),
    ],
    &[("attention.kind", "\"fixed-random\""), ("model.tie_embeddings", "false")],
    &[("attention.kind", "\"factorized-random\""), ("model.activation", "\"gelu-tanh\"")],
    &[
        ("attention.kind", "\"factorized-random\""),
        ("attention.factorized-random.rank", "3"),
        ("model.positions", "\"none\""),
    ],
];

/// Mixtures, with and without a part that depends on the input.
pub const MIXTURES: [Variant; 8] = [
    &[("attention.kind", ALL)],
    &[("attention.kind", ALL), ("attention.mixture.per", "\"head\""), ("attention.dense.bias", "true")],
    &[("attention.kind", ALL), ("attention.mixture.weights", "\"sum\""), ("attention.dense.shared_output", "true")],
    &[
        ("attention.kind", "\"vanilla+dense\""),
        ("attention.dense.shared_query", "true"),
        ("attention.dense.bias", "true"),
        ("attention.bias", "true"),
    ],
    &[("attention.kind", "\"factorized-random+vanilla\""), ("model.bias", "false")],
    &[("attention.kind", "\"random+factorized-dense\""), ("attention.mixture.per", "\"head\"")],
    &[("attention.kind", "\"random+factorized-random\""), ("attention.mixture.per", "\"head\"")],
    &[("attention.kind", "\"fixed-random+factorized-random\""), ("attention.mixture.weights", "\"sum\"")],
];

/// Blocks with other norms, gates and positions.
pub const BLOCKS: [Variant; 5] = [
    &[
        ("attention.kind", "\"vanilla\""),
        ("model.positions", "\"relative\""),
        ("model.norm", "\"rms\""),
        ("model.activation", "\"swiglu\""),
    ],
    &[
        ("attention.kind", "\"dense\""),
        ("model.positions", "\"relative\""),
        ("model.relative_buckets", "7"),
        ("model.relative_distance", "12"),
        ("model.norm_position", "\"post\""),
        ("attention.dense.bias", "true"),
    ],
    &[
        ("attention.layers", "[\"random\", \"random+vanilla\"]"),
        ("model.positions", "\"relative\""),
        ("model.relative_distance", "20"),
        ("model.norm_position", "\"post\""),
        ("model.norm", "\"rms\""),
        ("model.init", "\"xavier\""),
    ],
    &[
        ("attention.kind", "\"factorized-random\""),
        ("model.positions", "\"relative\""),
        ("model.relative_buckets", "5"),
        ("model.relative_distance", "16"),
        ("model.activation", "\"swiglu\""),
        ("model.bias", "false"),
        ("model.tie_embeddings", "false"),
    ],
    &[
        ("attention.kind", "\"factorized-dense\""),
        ("model.positions", "\"sinusoidal\""),
        ("model.activation", "\"swiglu\""),
        ("model.norm_position", "\"post\""),
        ("model.init", "\"xavier\""),
        ("model.d_ff", "7"),
    ],
];

/// Models whose layers differ.
pub const HYBRIDS: [Variant; 2] = [
    &[
        ("attention.layers", "[\"vanilla\", \"vanilla\", \"dense+random\"]"),
        ("model.layers", "3"),
        ("model.activation", "\"gelu\""),
    ],
    &[("attention.layers", "[\"factorized-random\", \"fixed-random+factorized-dense\"]")],
];

/// Models that no fused kernel computes: what is rounded to bfloat16 where.
pub const ROUNDED: [Variant; 14] = [
    MIXTURES[1],
    MIXTURES[2],
    MIXTURES[5],
    MIXTURES[6],
    TABLES[1],
    TABLES[5],
    &[
        ("attention.kind", "\"random+dense\""),
        ("attention.dense.shared_query", "true"),
        ("attention.dense.bias", "true"),
        ("attention.bias", "true"),
        ("model.head_width", "5"),
    ],
    &[("attention.kind", "\"random+vanilla+factorized-random\""), ("model.head_width", "5")],
    &[("attention.kind", "\"factorized-dense+factorized-random\"")],
    BLOCKS[2],
    BLOCKS[3],
    &[
        ("attention.kind", "\"factorized-dense\""),
        ("model.activation", "\"swiglu\""),
        ("model.norm_position", "\"post\""),
        ("model.norm", "\"rms\""),
        NARROW_STREAM,
    ],
    &[("attention.kind", "\"random\""), NARROW_STREAM],
    &[("attention.kind", "\"factorized-dense+random\""), ("model.bias", "false"), NARROW_STREAM],
];
const NARROW_STREAM: Key = ("model.residual_stream", "\"bfloat16\"");

/// What the variants have in common; their own keys come over these.
const COMMON: [Key; 14] = [
    ("data.train", "\"train.txt\""),
    ("data.validation", "\"validation.txt\""),
    ("model.layers", "2"),
    ("model.d_model", "12"),
    ("model.heads", "3"),
    ("model.d_ff", "20"),
    ("model.max_length", "24"),
    ("attention.random.init_std", "0.7"),
    ("attention.fixed-random.init_std", "0.9"),
    ("attention.factorized-random.init_std", "0.8"),
    ("optimizer.lr", "0.02"),
    ("train.steps", "12"),
    ("train.batch_size", "8"),
    ("train.eval_every", "0"),
];

/// An experiment of a variant in a precision.
pub fn experiment(variant: Variant, precision: &str) -> Experiment {
    let precision = format!("{precision:?}");
    let own = |key: &str| variant.iter().any(|(own, _)| *own == key);
    let mut keys: Vec<(&str, &str)> = COMMON.into_iter().filter(|(key, _)| !own(key)).collect();
    keys.extend(variant);
    keys.push(("train.precision", &precision));
    Experiment::new(&[("train.txt", &sentences(6, 2000)), ("validation.txt", &sentences(7, 400))], &keys)
}
