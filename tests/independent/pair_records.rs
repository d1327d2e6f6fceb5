//! What `environment.json` says of a run on pairs: hashes of both sides, padding, counts of parameters and operations.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bitext::{pairs, texts};
use crate::buckets::{epoch, evaluation, rows_of_batch};
use crate::config::Config;
use crate::evaluation::near;
use crate::folder::RunFolder;
use crate::kinds::Half;
use crate::plan::{Encoder, Plan};
use crate::random::{is_embedding, is_relative};
use crate::records::{attention, count};
use crate::shapes::trained;

/// Compares them with what follows from the run's configuration and texts.
pub fn check_pair_records(run: &RunFolder, what: &str) {
    let environment: Value = serde_json::from_str(&run.text("environment.json")).expect("JSON");
    let config = run.config();
    let plan = run.plan(&config);
    for split in ["train", "validation"] {
        for (side, text) in ["source", "target"].iter().zip(texts(&config, split)) {
            let digits: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(environment["datasets"][format!("{split}.{side}")], digits, "{what}: {side} of {split}");
        }
        let padding = environment["padding"][split].as_f64().expect("a share");
        near(padding, self::padding(run, &config, split), 1e-12, &format!("{what}: padding of {split}"));
    }
    let shapes = plan.shapes();
    for (part, expected) in [
        ("total", count(&shapes, |_| true)),
        ("trainable", count(&shapes, trained)),
        ("attention", count(&shapes, |name| name.contains("attention.") || is_relative(name))),
        ("embedding", count(&shapes, is_embedding)),
    ] {
        assert_eq!(environment["parameters"][part], expected, "{what}: parameters, {part}");
    }
    let (rows, [source, target]) = largest(run, &config);
    let forward = forward(&plan, rows, [source, target]);
    let tokens = (rows * (source + target)) as f64;
    let step = 3.0 * forward * config.required_count("train.accumulate") as f64;
    for (part, expected) in [("forward_per_token", forward / tokens), ("training_step", step)] {
        near(environment["flops"][part].as_f64().expect("a number"), expected, 1e-12, &format!("{what}: {part}"));
    }
}

/// The micro-batch of which operations are told, its rows and columns: that with the most rows times its longer side.
fn largest(run: &RunFolder, config: &Config) -> (usize, [usize; 2]) {
    let mut shapes: Vec<[usize; 2]> =
        epoch(config, &pairs(run, config, "train"), 0, 0).iter().map(|batch| batch.shape).collect();
    shapes.sort_unstable();
    let batches = shapes.into_iter().map(|shape| (rows_of_batch(config, shape), shape));
    let size = |(rows, [source, target]): &(usize, [usize; 2])| (rows * source.max(target), rows * (source + target));
    // Of equal ones the last.
    batches.max_by_key(size).expect("a batch")
}

/// The share of the places of all batches that hold no token.
fn padding(run: &RunFolder, config: &Config, split: &str) -> f64 {
    let pairs = pairs(run, config, split);
    let batches = if split == "train" { epoch(config, &pairs, 0, 0) } else { evaluation(config, &pairs) };
    let places = |shape: [usize; 2]| rows_of_batch(config, shape) * shape.iter().sum::<usize>();
    let places: usize = batches.iter().map(|batch| places(batch.shape)).sum();
    let tokens: usize = pairs.iter().flat_map(|pair| pair.lengths()).sum();
    1.0 - tokens as f64 / places as f64
}

/// The operations of a micro-batch of so many rows, of full length on both sides.
fn forward(plan: &Plan, rows: usize, [source, target]: [usize; 2]) -> f64 {
    let encoder = plan.encoder.as_ref().expect("an encoder");
    let shapes = plan.shapes();
    let weights = |of_source: bool| {
        let counted = |name: &str| match name {
            _ if is_relative(name) || name.ends_with("norm.weight") || !name.ends_with(".weight") => false,
            "output.weight" => !of_source,
            _ if is_embedding(name) => {
                !of_source && plan.tied && name == format!("{}.weight", plan.embedding(Half::Decoder))
            }
            _ => of_source == reads_the_source(name),
        };
        count(&shapes, counted) as f64
    };
    let Encoder { layers, cross, .. } = encoder;
    let of_source: f64 = layers.iter().map(|parts| attention(plan, parts, rows, source)).sum();
    let of_target: f64 = plan
        .layers
        .iter()
        .map(|parts| attention(plan, parts, rows, target) + attention(plan, cross, rows, source))
        .sum();
    let [source, target] = [source, target].map(|length| (rows * length) as f64);
    2.0 * (source * (weights(true) + of_source) + target * (weights(false) + of_target))
}

/// Whether a weight multiplies tokens of the source: an encoder's, and what makes keys and values of its memory.
fn reads_the_source(name: &str) -> bool {
    let of_memory = ["key", "value"].iter().any(|part| name.ends_with(&format!(".cross_attention.{part}.weight")));
    name.starts_with("encoder.") || of_memory
}
