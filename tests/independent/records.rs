//! What `environment.json` says of a run: hashes of its texts, counts of parameters and of operations.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::data::split_text;
use crate::folder::RunFolder;
use crate::kinds::Part;
use crate::plan::Plan;
use crate::random::{is_embedding, is_relative};
use crate::shapes::{Shapes, trained};

/// Compares them with what follows from the run's configuration and texts.
pub fn check_records(run: &RunFolder, what: &str) {
    let environment: Value = serde_json::from_str(&run.text("environment.json")).expect("JSON");
    let config = run.config();
    for split in ["train", "validation"] {
        let hash = Sha256::digest(split_text(&config, split));
        let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(environment["datasets"][split], digits, "{what}: the text of {split}");
    }
    let plan = Plan::new(&config, run.tokenizer().vocabulary_size());
    let shapes = plan.shapes();
    for (part, expected) in [
        ("total", count(&shapes, |_| true)),
        ("trainable", count(&shapes, trained)),
        ("attention", count(&shapes, |name| name.contains("attention.") || is_relative(name))),
        ("embedding", count(&shapes, is_embedding)),
    ] {
        assert_eq!(environment["parameters"][part], expected, "{what}: parameters, {part}");
    }
    check_masks(&environment, &config, &plan, what);
    let per_token = forward_per_token(&plan, micro_batch(&config, &plan));
    let blocks = micro_batch(&config, &plan) * config.required_count("train.accumulate");
    // A backward pass costs two forward passes.
    for (part, expected) in
        [("forward_per_token", per_token), ("training_step", 3.0 * per_token * (blocks * plan.max_length) as f64)]
    {
        assert_eq!(environment["flops"][part].as_f64(), Some(expected), "{what}: operations, {part}");
    }
}

/// The kind of dropout mask, where all layers have one.
fn check_masks(environment: &Value, config: &Config, plan: &Plan, what: &str) {
    let kind = |parts: &Vec<Part>| match parts.iter().any(|part| part.depends_on_the_input()) {
        true => "per-sample",
        false => "shared",
    };
    let kinds: Vec<&str> = plan.layers.iter().map(kind).collect();
    if dropout(config) > 0.0 && kinds.iter().all(|kind| *kind == kinds[0]) {
        assert_eq!(environment["dropout_mask"], kinds[0], "{what}: the dropout mask");
    }
}

/// The probability with which an attention weight is dropped.
pub fn dropout(config: &Config) -> f64 {
    config.number("attention.dropout").unwrap_or_else(|| config.required_number("model.dropout"))
}

/// The probability with which an activation of a feed-forward layer is dropped.
pub fn activation_dropout(config: &Config) -> f64 {
    config.number("model.activation_dropout").unwrap_or_else(|| config.required_number("model.dropout"))
}

/// The blocks of a micro-batch.
pub fn micro_batch(config: &Config, plan: &Plan) -> usize {
    let by_tokens = config.count("train.batch_tokens").map(|tokens| tokens / plan.max_length);
    by_tokens.unwrap_or_else(|| config.required_count("train.batch_size"))
}

/// The operations of a token's way through the model in a full block, two for each multiplication with its addition:
/// those of products only, and no causal mask saves any.
fn forward_per_token(plan: &Plan, micro_batch: usize) -> f64 {
    let projects = |name: &str| match name {
        "embedding.weight" => plan.tied,
        "positions.weight" => false,
        _ if is_relative(name) => false,
        _ => name.ends_with(".weight") && !name.ends_with("norm.weight"),
    };
    let projections = count(&plan.shapes(), projects);
    let attention: f64 = plan.layers.iter().map(|parts| attention(plan, parts, micro_batch, plan.max_length)).sum();
    2.0 * (projections as f64 + attention)
}

/// The products of one query with so many keys, and of its weights with as many values.
pub fn attention(plan: &Plan, parts: &[Part], micro_batch: usize, keys: usize) -> f64 {
    let pairs = plan.heads * keys;
    let read = parts.iter().any(|part| part.depends_on_the_input());
    let width = |part: &Part| match part {
        Part::Vanilla => plan.head_width as f64,
        Part::Dense => plan.attention.hidden as f64,
        Part::FactorizedDense => 1.0,
        Part::Random | Part::FixedRandom => 0.0,
        // Once for all samples, where nothing differs between them.
        Part::FactorizedRandom => plan.attention.rank as f64 / if read { 1.0 } else { micro_batch as f64 },
    };
    pairs as f64 * (plan.head_width as f64 + parts.iter().map(width).sum::<f64>())
}

/// The numbers in some tensors.
pub fn count(shapes: &Shapes, counted: impl Fn(&str) -> bool) -> usize {
    shapes.iter().filter(|(name, _)| counted(name)).map(|(_, shape)| shape.iter().product::<usize>()).sum()
}
