//! The attention layers that the tests of contract, paths and state go through.
#![allow(dead_code, reason = "no test uses all of it")]

use synth::attention::options::AttentionOptions;
use synth::attention::{Dimensions, Kind, Mask, Pass, Path, SynthesizedAttention};
use synth::parameters::{Init, Parameters};
use tch::{Device, Kind as NumberKind, Tensor};

/// A kind, and its options as TOML with `;` between them.
pub type Tested = (&'static str, &'static str);

/// Everything that is tested. A new kind is one more line.
pub const TESTED: &[Tested] = &[
    ("vanilla", ""),
    ("dense", ""),
    ("factorized-dense", ""),
    ("random", ""),
    ("fixed-random", ""),
    ("factorized-random", ""),
    ("vanilla", "bias = true"),
    ("dense", "dense.bias = true"),
    ("dense", "dense.hidden = 5"),
    ("dense", "dense.shared_output = true"),
    ("dense", "dense.shared_query = true"),
    ("dense", "dense.hidden = 2; dense.bias = true; dense.shared_output = true"),
    ("dense", "dense.shared_query = true; dense.bias = true; dense.shared_output = true; bias = true"),
    ("factorized-dense", "factorized-dense.factors = 2"),
    ("factorized-dense", "factorized-dense.factors = [5, 3]"),
    ("factorized-random", "factorized-random.rank = 2"),
    ("random+vanilla", ""),
    ("dense+vanilla", ""),
    ("random+dense", ""),
    ("factorized-random+vanilla", ""),
    ("random+vanilla", "mixture.weights = 'sum'"),
    ("dense+vanilla", "mixture.per = 'head'; dense.bias = true"),
    ("dense+vanilla", "dense.shared_query = true; dense.bias = true; bias = true"),
    ("factorized-random+random", "mixture.per = 'head'"),
    ("fixed-random+random", ""),
    ("factorized-dense+vanilla", "mixture.weights = 'sum'; factorized-dense.factors = 4"),
    ("random+dense+vanilla", "mixture.per = 'head'"),
    ("factorized-random+factorized-dense+dense", "dense.hidden = 5; factorized-random.rank = 3"),
    ("factorized-random+fixed-random+random+factorized-dense+dense+vanilla", ""),
    ("factorized-random+fixed-random+random+factorized-dense+dense+vanilla", "mixture.per = 'head'; dense.bias = true"),
    ("factorized-random+fixed-random+random+factorized-dense+dense+vanilla", "mixture.weights = 'sum'"),
];

/// Width of every tested layer's input, head, and tables; no two alike, none a multiple of another.
pub const D_MODEL: i64 = 7;
/// See [`D_MODEL`].
pub const HEAD_WIDTH: i64 = 3;
/// See [`D_MODEL`].
pub const MAX_LENGTH: i64 = 11;
/// Dropout of the weights, in passes that have a key.
pub const DROPOUT: f64 = 0.4;

/// No dropout, in float64.
pub const EVALUATION: Pass<'static> = Pass { compute: NumberKind::Double, dropout: None, copies: None };

/// A layer in float64, and all that it was made from.
pub struct Layer {
    pub attention: SynthesizedAttention,
    pub parameters: Parameters,
    pub kind: Kind,
    pub options: AttentionOptions,
    pub dimensions: Dimensions,
    /// Kind, options and heads, for messages.
    pub name: String,
}

impl Layer {
    /// A layer whose every tensor has an effect: what starts at zero (biases, mixtures) is drawn.
    pub fn new(tested: Tested, heads: i64) -> Self {
        let layer = Self::at_start(tested, heads, MAX_LENGTH, 7);
        for parameter in
            layer.parameters.iter().filter(|parameter| parameter.tensor.count_nonzero(None).int64_value(&[]) == 0)
        {
            set(&parameter.tensor, &normal(&parameter.name, &parameter.tensor.size()));
        }
        layer
    }

    /// A layer as it starts, but for tables of scores that are far from uniform.
    pub fn at_start((kind, options): Tested, heads: i64, max_length: i64, seed: u64) -> Self {
        let name = format!("{kind} [{options}], {heads} heads");
        let text = format!("kind = '{kind}'\n{}", options.replace(';', "\n"));
        let mut options: AttentionOptions = toml::from_str(&text).unwrap();
        options.random.init_std = 1.0;
        options.fixed_random.init_std = 1.0;
        options.factorized_random.init_std = 1.0;
        let dimensions = Dimensions { d_model: D_MODEL, heads, head_width: HEAD_WIDTH, max_length };
        let mut parameters = Parameters::new(seed, Device::Cpu, NumberKind::Double);
        let kind = options.kind.unwrap();
        let attention = SynthesizedAttention::new(parameters.root(), kind, &options, dimensions, DROPOUT, 4);
        Self { attention, parameters, kind, options, dimensions, name }
    }

    /// Self-attention by one path, without dropout; `None` where the path does not apply.
    pub fn by(&self, path: Path, x: &Tensor, mask: &Mask) -> Option<Tensor> {
        self.attention.attend_to_by(path, (x, x), None, mask, EVALUATION).unwrap()
    }
}

/// Writes `values` into a parameter.
pub fn set(parameter: &Tensor, values: &Tensor) {
    tch::no_grad(|| parameter.shallow_clone().copy_(values));
}

/// Standard normal values that depend on `name` alone: libtorch's generator belongs to all tests at once.
pub fn normal(name: &str, shape: &[i64]) -> Tensor {
    let mut parameters = Parameters::new(1, Device::Cpu, NumberKind::Double);
    parameters.root().tensor(name, shape, Init::Normal(1.0)).detach()
}

/// The largest absolute difference.
pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let gap = (a - b).abs().max().double_value(&[]);
    // A NaN is no small difference.
    if gap.is_nan() { f64::INFINITY } else { gap }
}
