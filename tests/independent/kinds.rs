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

/// The parts of each layer, from the first on.
pub fn of_layers(config: &Config) -> Vec<Vec<Part>> {
    names(config).iter().map(|name| parts(name)).collect()
}

/// The name under which a model is reported: its layers' kind, or a hybrid's layers, as many at a time as are equal.
pub fn reported(config: &Config) -> String {
    let names = names(config);
    if config.value("attention.layers").is_none() {
        return names[0].clone();
    }
    let runs = names.chunk_by(|first, second| first == second);
    runs.map(|run| format!("{}x{}", run.len(), run[0])).collect::<Vec<_>>().join(".")
}

fn names(config: &Config) -> Vec<String> {
    match config.value("attention.layers") {
        Some(layers) => {
            let layers = layers.as_array().expect("a list").iter();
            layers.map(|kind| kind.as_str().expect("a kind").to_owned()).collect()
        }
        None => {
            let kind = config.text("attention.decoder").unwrap_or_else(|| config.required_text("attention.kind"));
            vec![kind.to_owned(); config.required_count("model.layers")]
        }
    }
}

fn parts(name: &str) -> Vec<Part> {
    let find = |part: &str| ORDER.iter().find(|(name, _)| *name == part).expect("a documented kind").1;
    let parts: Vec<Part> = name.split('+').map(find).collect();
    assert!(parts.is_sorted_by_key(|part| *part as usize), "{name} is stored in the documented order");
    parts
}
