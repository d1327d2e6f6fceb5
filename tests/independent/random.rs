//! What synth draws: the weights a model starts from, and the order of the blocks of an epoch.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sha2::{Digest, Sha256};

use crate::plan::Plan;

/// The values that a tensor of this name and shape starts with.
pub fn initial(plan: &Plan, seed: u64, init_std: f64, name: &str, shape: &[usize]) -> Vec<f64> {
    let count = shape.iter().product();
    if shape.len() == 1 {
        return vec![if name.ends_with("norm.weight") { 1.0 } else { 0.0 }; count];
    }
    let deviation = deviation(plan, init_std, name, shape);
    let hash = Sha256::digest(format!("{seed} init {name}"));
    let start = u64::from_le_bytes(*hash.first_chunk().expect("32 bytes"));
    let mut generator = ChaCha8Rng::seed_from_u64(start);
    let mut draw = || deviation * Distribution::<f64>::sample(&StandardNormal, &mut generator);
    (0..count).map(|_| draw()).collect()
}

fn deviation(plan: &Plan, init_std: f64, name: &str, shape: &[usize]) -> f64 {
    match name {
        "embedding.weight" | "positions.weight" | "output.weight" => 0.02,
        _ if name.ends_with(".random.r") => init_std,
        _ => {
            let fan_in = (shape[1] as f64).sqrt().recip();
            let joins_the_stream =
                name.ends_with("attention.output.weight") || name.ends_with("feed_forward.output.weight");
            if joins_the_stream { fan_in / (2.0 * plan.layers as f64).sqrt() } else { fan_in }
        }
    }
}

/// The order in which epoch `epoch`, counted from 0, reads `blocks` blocks.
pub fn order(seed: u64, epoch: u64, blocks: usize) -> Vec<usize> {
    let mut hash = Sha256::new();
    hash.update(b"train-order");
    hash.update(seed.to_le_bytes());
    hash.update(epoch.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(hash.finalize().into());
    let mut order: Vec<usize> = (0..blocks).collect();
    for last in (1..blocks).rev() {
        order.swap(last, (generator.next_u64() % (last as u64 + 1)) as usize);
    }
    order
}
