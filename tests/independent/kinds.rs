//! The kinds of attention by their names.

use crate::config::Config;

/// Where scores come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// Two tables, multiplied.
    FactorizedRandom,
    /// One table per head that is never trained.
    FixedRandom,
    /// One table per head.
    Random,
    /// Two factors predicted from the query's position.
    FactorizedDense,
    /// A hidden layer of the query's position.
    Dense,
    /// Queries and keys.
    Vanilla,
}

/// All parts, in the order in which a mixture names them.
const ORDER: [(&str, Part); 6] = [
    ("factorized-random", Part::FactorizedRandom),
    ("fixed-random", Part::FixedRandom),
    ("random", Part::Random),
    ("factorized-dense", Part::FactorizedDense),
    ("dense", Part::Dense),
    ("vanilla", Part::Vanilla),
];

impl Part {
    /// Whether the scores depend on what the model reads.
    pub fn depends_on_the_input(self) -> bool {
        matches!(self, Self::FactorizedDense | Self::Dense | Self::Vanilla)
    }
}

/// Whether a fused kernel computes a mixture of these parts on the CPU, without dropout.
pub fn fused(parts: &[Part]) -> bool {
    let multiplied = |part: &Part| matches!(part, Part::Vanilla | Part::Dense);
    parts.iter().any(multiplied) && parts.iter().all(|part| multiplied(part) || *part == Part::FactorizedRandom)
}

/// Half of an encoder-decoder; other models are decoders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Half {
    /// Reads the source.
    Encoder,
    /// Reads the target.
    Decoder,
}

impl Half {
    /// What the names of its tensors begin with, and keys of its own.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }
}

/// The parts of the self-attention of each layer of a half, from the first on.
pub fn of_layers(config: &Config, half: Half) -> Vec<Vec<Part>> {
    names(config, half).iter().map(|name| parts(name)).collect()
}

/// The parts of the attention over an encoder's memory.
pub fn of_cross(config: &Config) -> Vec<Part> {
    parts(cross(config))
}

/// The name under which a model is reported: its layers' kind, or a hybrid's layers, as many at a time as are equal.
pub fn reported(config: &Config) -> String {
    let decoder = reported_half(config, Half::Decoder);
    if !has_encoder(config) {
        return decoder;
    }
    let encoder = reported_half(config, Half::Encoder);
    let halves = if encoder == decoder { decoder } else { format!("encoder-{encoder}.decoder-{decoder}") };
    match cross(config) {
        "vanilla" => halves,
        cross => format!("{halves}.cross-{cross}"),
    }
}

fn reported_half(config: &Config, half: Half) -> String {
    let names = names(config, half);
    if names.iter().all(|name| *name == names[0]) {
        return names[0].clone();
    }
    let runs = names.chunk_by(|first, second| first == second);
    runs.map(|run| format!("{}x{}", run.len(), run[0])).collect::<Vec<_>>().join(".")
}

/// Whether a model has an encoder.
pub fn has_encoder(config: &Config) -> bool {
    config.text("model.architecture") == Some("encoder-decoder")
}

fn cross(config: &Config) -> &str {
    config.text("attention.cross").unwrap_or("vanilla")
}

/// The number of layers of a half.
fn layers(config: &Config, half: Half) -> usize {
    let own = config.count(&format!("model.{}_layers", half.name())).filter(|_| has_encoder(config));
    own.unwrap_or_else(|| config.required_count("model.layers"))
}

fn names(config: &Config, half: Half) -> Vec<String> {
    let count = layers(config, half);
    match config.value("attention.layers") {
        Some(kinds) => {
            // An encoder's stand before the decoder's.
            let before = if half == Half::Decoder && has_encoder(config) { layers(config, Half::Encoder) } else { 0 };
            let kinds = kinds.as_array().expect("a list").iter().skip(before).take(count);
            kinds.map(|kind| kind.as_str().expect("a kind").to_owned()).collect()
        }
        None => {
            let own = config.text(&format!("attention.{}", half.name()));
            let kind = own.unwrap_or_else(|| config.required_text("attention.kind"));
            vec![kind.to_owned(); count]
        }
    }
}

fn parts(name: &str) -> Vec<Part> {
    let find = |part: &str| ORDER.iter().find(|(name, _)| *name == part).expect("a documented kind").1;
    let parts: Vec<Part> = name.split('+').map(find).collect();
    assert!(parts.is_sorted_by_key(|part| *part as usize), "{name} is stored in the documented order");
    parts
}
