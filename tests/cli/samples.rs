//! `train.samples`: how the model goes on with beginnings of validation rows, while it is trained.

use crate::place::{Place, RUN, text};
use serde_json::Value;
use std::fs;

fn samples(place: &Place, run: &str) -> Vec<Value> {
    let events = place.read(&format!("results/tiny/{run}/metrics.jsonl"));
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events.filter(|event| event["event"] == "sample").collect()
}

/// The validation split of the tiny experiment.
fn validation() -> String {
    let characters: Vec<char> = text(60).chars().collect();
    characters[characters.len() * 8 / 10..characters.len() * 9 / 10].iter().collect()
}

#[test]
fn each_evaluation_continues_rows_that_lie_evenly() {
    let place = Place::new();
    let finished = place.succeeds("train tiny.toml --set train.samples=3 --set train.sample_tokens=5");
    let samples = samples(&place, "vanilla-s1");
    let told: Vec<_> = samples.iter().map(|sample| [&sample["step"], &sample["number"], &sample["row"]]).collect();
    let rows = (validation().len() as u64 - 1).div_ceil(16);
    let expected = |step: u64| (0..3).map(move |i| [step, i, i * rows / 3]);
    assert_eq!(told, expected(3).chain(expected(6)).collect::<Vec<_>>());
    for sample in &samples {
        let begin = 16 * sample["row"].as_u64().unwrap() as usize;
        assert_eq!(sample["prompt"].as_str(), Some(&validation()[begin..begin + 5]));
        assert_eq!(sample["tokens"], 5);
        let line =
            format!("step {}: {} goes on {}", sample["step"], debug(&sample["prompt"]), debug(&sample["continuation"]));
        assert!(finished.stderr.contains(&line), "{line} in {}", finished.stderr);
    }
    // What `synth generate` says of the same weights.
    for sample in &samples[3..] {
        let prompt = sample["prompt"].as_str().unwrap();
        let options = "--whole-input --greedy --max-tokens 5 --checkpoint step-6 --json";
        let spoken = place.succeeds_on(prompt, &format!("generate {RUN} {options}")).json();
        assert_eq!(spoken["generations"][0]["continuation"], sample["continuation"]);
    }
}

fn debug(value: &Value) -> String {
    format!("{:?}", value.as_str().unwrap())
}

#[test]
fn training_is_the_same_to_the_bit() {
    let place = Place::new();
    for (name, sets) in [("fp32", ""), ("bf16", "--set train.precision=bf16 --set attention.kind=random+vanilla")] {
        let weights = |run: &str, more: &str| {
            place.succeeds(&format!("train tiny.toml --run {run} --set model.dropout=0.3 {sets} {more}"));
            let folder = place.path("results/tiny").join(run).join("checkpoints/step-6");
            ["model.safetensors", "optimizer.safetensors"].map(|file| fs::read(folder.join(file)).unwrap())
        };
        let plain = weights(&format!("{name}-plain"), "");
        assert!(plain == weights(&format!("{name}-samples"), "--set train.samples=2"), "{name}");
        assert_eq!(samples(&place, &format!("{name}-samples")).len(), 4);
    }
}

#[test]
fn records_are_continued_up_to_their_end() {
    let place = Place::new();
    place.write("text.txt", "ab\n".repeat(400));
    let sets = "--set data.rows=records --set train.samples=1 --set train.sample_tokens=9 --set train.steps=60";
    let more = "--set optimizer.lr=0.03 --set train.eval_every=0 --set model.dropout=0";
    place.succeeds(&format!("train tiny.toml {sets} {more}"));
    let [sample] = &samples(&place, "vanilla-s1")[..] else { panic!("one evaluation, one sample") };
    // The prompt is the end before the record, which stands for no text, and its first half.
    assert_eq!((&sample["prompt"], &sample["continuation"], &sample["tokens"]), (&"a".into(), &"b".into(), &1.into()));
}

#[test]
fn more_samples_than_rows_and_longer_ones_than_the_context() {
    let place = Place::new();
    place.succeeds("train tiny.toml --set train.samples=5000 --set train.sample_tokens=40 --set train.eval_every=0");
    let samples = samples(&place, "vanilla-s1");
    assert_eq!(samples.len(), (validation().len() - 1).div_ceil(16));
    assert!(samples.iter().all(|sample| sample["tokens"] == 40));
    assert_eq!(samples[0]["prompt"].as_str(), Some(&validation()[..8]));
}

#[test]
fn values_that_are_none() {
    let place = Place::new();
    for set in ["samples=-1", "samples=20000", "sample_tokens=0", "samples=some"] {
        let (key, value) = set.split_once('=').unwrap();
        place.fails(&format!("train tiny.toml --set train.{set}"), 2, &[key, value, "expected"]);
    }
    place.write(
        "alone.toml",
        crate::place::EXPERIMENT.replace("path = \"text.txt\"\nsplit = [0.8, 0.1, 0.1]", "train = \"text.txt\""),
    );
    place.fails("train alone.toml --set train.samples=1", 2, &["train.samples", "no validation split"]);
}
