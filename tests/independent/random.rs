//! What synth draws: the weights a model starts from, and the order of the blocks of an epoch.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

use crate::plan::{Plan, Start};

/// The values that a tensor of this name and shape starts with.
pub fn initial(plan: &Plan, seed: u64, name: &str, shape: &[usize]) -> Vec<f64> {
    let count = shape.iter().product();
    if name.ends_with("norm.weight") {
        return vec![1.0; count];
    }
    if [".bias", ".b2", ".mixture"].iter().any(|end| name.ends_with(end)) {
        return vec![0.0; count];
    }
    let hash = Sha256::digest(format!("{seed} init {name}"));
    let start = u64::from_le_bytes(*hash.first_chunk().expect("32 bytes"));
    let mut generator = ChaCha8Rng::seed_from_u64(start);
    let spread = Spread::of(plan, name, shape);
    let mut draw = || match spread {
        Spread::Normal(deviation) => deviation * Distribution::<f64>::sample(&StandardNormal, &mut generator),
        // The upper 53 bits, as a share of 1.
        Spread::Uniform(limit) => limit * (2.0 * (generator.next_u64() >> 11) as f64 / 2f64.powi(53) - 1.0),
    };
    (0..count).map(|_| draw()).collect()
}

/// How the values of a tensor are spread around 0.
#[derive(Clone, Copy)]
enum Spread {
    /// With a standard deviation.
    Normal(f64),
    /// Up to a limit.
    Uniform(f64),
}

impl Spread {
    fn of(plan: &Plan, name: &str, shape: &[usize]) -> Self {
        let embedding = is_embedding(name);
        let projection = (name.ends_with(".weight") || name.ends_with(".dense.w2")) && !is_relative(name);
        match plan.start {
            Start::Xavier if embedding => Self::Normal((plan.width as f64).powf(-0.5)),
            Start::Xavier if projection => {
                // Rows are outputs; of W₂ each head's.
                let [outputs, inputs] = shape[shape.len() - 2..] else { panic!("two axes of {name}") };
                Self::Uniform((6.0 / (inputs + outputs) as f64).sqrt())
            }
            _ => Self::Normal(deviation(plan, name, shape)),
        }
    }
}

/// Whether a tensor is a table of relative positions.
pub fn is_relative(name: &str) -> bool {
    name.ends_with("relative_positions.weight")
}

/// Whether a tensor is an embedding, a table of positions or an untied output projection.
pub fn is_embedding(name: &str) -> bool {
    let bare = ["encoder.", "decoder."].iter().find_map(|half| name.strip_prefix(half)).unwrap_or(name);
    ["embedding.weight", "positions.weight", "output.weight"].contains(&bare)
}

fn deviation(plan: &Plan, name: &str, shape: &[usize]) -> f64 {
    let [random, fixed, factorized] = plan.attention.init_stds;
    let inputs = shape[shape.len() - 1] as f64;
    let linear = if plan.start == Start::Gpt2 { 0.02 } else { inputs.powf(-0.5) };
    let ends_with = |end| name.ends_with(end);
    match name {
        _ if is_embedding(name) || is_relative(name) => 0.02,
        _ if ends_with(".random.r") => random,
        _ if ends_with(".fixed-random.r") => fixed,
        _ if ends_with(".r1") || ends_with(".r2") => (factorized * factorized / inputs).powf(0.25),
        _ if ends_with("attention.output.weight") || ends_with("feed_forward.output.weight") => {
            linear / branches(plan, name).sqrt()
        }
        _ => linear,
    }
}

/// How many layers join the stream that a tensor's layer joins.
fn branches(plan: &Plan, name: &str) -> f64 {
    let joined = match &plan.encoder {
        Some(encoder) if name.starts_with("encoder.") => 2 * encoder.layers.len(),
        Some(_) => 3 * plan.layers.len(),
        None => 2 * plan.layers.len(),
    };
    joined as f64
}

/// The order in which epoch `epoch`, counted from 0, reads `blocks` blocks.
pub fn order(seed: u64, epoch: u64, blocks: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks).collect();
    shuffle(&mut order, "train-order", &[seed, epoch]);
    order
}

/// Shuffles by a seed that is made of a name and numbers.
pub fn shuffle<T>(places: &mut [T], name: &str, numbers: &[u64]) {
    let mut hash = Sha256::new();
    hash.update(name);
    numbers.iter().for_each(|number| hash.update(number.to_le_bytes()));
    let mut generator = ChaCha8Rng::from_seed(hash.finalize().into());
    for last in (1..places.len()).rev() {
        places.swap(last, (generator.next_u64() % (last as u64 + 1)) as usize);
    }
}
