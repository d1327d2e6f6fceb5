//! The micro-batches of an update stand for one large batch, under every rule.

use crate::place::{Place, text};
use safetensors::SafeTensors;
use std::fs;

/// Each rule with what it can keep, and an average of the weights beside one of them.
const RULES: [&str; 4] = [
    "--set optimizer.weight_decay=0.1",
    "--set optimizer.kind=adafactor --set optimizer.lr=0.05 --set optimizer.adafactor.min_factored=8 --set \
     optimizer.adafactor.beta1=0.9 --set train.ema=0.7",
    "--set optimizer.kind=sgd --set optimizer.lr=0.1 --set optimizer.momentum=0.9 --set optimizer.nesterov=true",
    "--set optimizer.kind=sgd --set optimizer.lr=0.5 --set optimizer.clip_norm=0.5",
];

/// All numbers of the last checkpoint's weights, and of their average where there is one.
fn weights(place: &Place, run: &str) -> Vec<f64> {
    let checkpoints = place.path("results/tiny").join(run).join("checkpoints");
    let last = checkpoints.join(fs::read_to_string(checkpoints.join("last")).unwrap().trim());
    let files = ["model.safetensors", "ema.safetensors"].map(|file| fs::read(last.join(file)));
    let mut numbers = Vec::new();
    for bytes in files.into_iter().flatten() {
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut names = tensors.names();
        names.sort_unstable();
        for name in names {
            let eights = tensors.tensor(name).unwrap().data().chunks_exact(8).map(<[u8; 8]>::try_from);
            numbers.extend(eights.map(|eight| f64::from_le_bytes(eight.unwrap())));
        }
    }
    numbers
}

/// Target tokens that the last checkpoint has seen.
fn tokens(place: &Place, run: &str, step: u64) -> u64 {
    let state = place.read(&format!("results/tiny/{run}/checkpoints/step-{step}/state.json"));
    serde_json::from_str::<serde_json::Value>(&state).unwrap()["tokens"].as_u64().unwrap()
}

fn largest_gap(a: &[f64], b: &[f64]) -> f64 {
    assert!(a.len() == b.len() && !a.is_empty());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Trains with one batch of 32 rows and with four of 8: the weights after all updates are the same.
fn compare(place: &Place, sets: &str) {
    for (number, rule) in RULES.into_iter().enumerate() {
        let train = |name: &str, size: &str| {
            let run = format!("{name}-{number}");
            let common = "--set train.precision=fp64 --set model.dropout=0 --set train.eval_every=0";
            place.succeeds(&format!("train tiny.toml --run {run} {common} {sets} {rule} {size}"));
            weights(place, &run)
        };
        let whole = train("whole", "--set train.batch_size=32");
        let parts = train("parts", "--set train.batch_size=8 --set train.accumulate=4");
        let gap = largest_gap(&whole, &parts);
        assert!(gap < 1e-10, "{rule}: {gap:e}");
        // Other rows are seen as such.
        let fewer = train("fewer", "--set train.batch_size=8 --set train.accumulate=3");
        let gap = largest_gap(&whole, &fewer);
        assert!(gap > 1e-6, "{rule}: {gap:e}");
    }
}

#[test]
fn four_batches_of_blocks_are_one_of_four_times_the_rows() {
    let place = Place::new();
    compare(&place, "--set train.steps=8");
    // Among the blocks of 16 was the last of the text, a shorter one.
    let seen = tokens(&place, "whole-0", 8);
    assert!(seen == tokens(&place, "parts-0", 8) && !seen.is_multiple_of(16), "{seen}");
}

#[test]
fn records_of_several_lengths_count_by_their_tokens() {
    let place = Place::new();
    // 32 records, which are one batch or four in every epoch: the rows of an update are the same.
    let records: String = text(60).split_whitespace().cycle().take(32).enumerate().map(record).collect();
    place.write("records.txt", records);
    let data =
        place.read("tiny.toml").replace("path = \"text.txt\"\nsplit = [0.8, 0.1, 0.1]", "train = \"records.txt\"");
    place.write("tiny.toml", data);
    compare(&place, "--set data.rows=records --set train.steps=6");
    assert_eq!(tokens(&place, "whole-0", 6), tokens(&place, "parts-0", 6));
}

/// A line of 1 to 7 letters: with its end at most 8 targets, the shortest length of a batch.
fn record((number, word): (usize, &str)) -> String {
    let letters: String = word.chars().cycle().take(1 + number * 5 % 7).collect();
    letters + "\n"
}
