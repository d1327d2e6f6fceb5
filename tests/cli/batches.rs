//! `train.log_batches`: which rows stood in which micro-batch; `train.save_initial`: the weights before any.

use crate::place::{Metrics, Place, RUN, text};
use std::collections::BTreeMap;
use std::fs;

const LOGGED: &str = "--set train.log_batches=true --set train.accumulate=2";

/// A line of `batches.jsonl`.
struct Line {
    step: u64,
    micro_batch: u64,
    length: u64,
    rows: Vec<[u64; 3]>,
}

fn lines(place: &Place, run: &str) -> Vec<Line> {
    let text = place.read(&format!("results/tiny/{run}/batches.jsonl"));
    text.lines()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                value.as_object().unwrap().keys().collect::<Vec<_>>(),
                ["step", "micro_batch", "length", "rows"]
            );
            let number = |key: &str| value[key].as_u64().unwrap();
            let row = |row: &serde_json::Value| [0, 1, 2].map(|i| row[i].as_u64().unwrap());
            let rows = value["rows"].as_array().unwrap().iter().map(row).collect();
            Line { step: number("step"), micro_batch: number("micro_batch"), length: number("length"), rows }
        })
        .collect()
}

/// Every micro-batch is there once, in order, and its targets are those that the train rows count.
fn check_steps(place: &Place, run: &str, lines: &[Line], steps: u64) {
    let order: Vec<(u64, u64)> = lines.iter().map(|line| (line.step, line.micro_batch)).collect();
    assert_eq!(order, (0..2 * steps).map(|i| (i / 2 + 1, i % 2)).collect::<Vec<_>>());
    for row in Metrics::of(place, &format!("results/tiny/{run}")).of_split("train") {
        let until = lines.iter().take_while(|line| line.step as f64 <= row.number("step"));
        let targets: u64 = until.flat_map(|line| &line.rows).map(|[_, _, targets]| targets).sum();
        assert_eq!(targets as f64, row.number("tokens"));
    }
}

#[test]
fn blocks_are_named_by_number_place_and_length() {
    let place = Place::new();
    place.succeeds(&format!("train tiny.toml --run blocks --set train.steps=30 {LOGGED}"));
    let lines = lines(&place, "blocks");
    check_steps(&place, "blocks", &lines, 30);
    // The train split's bytes are its tokens, of which the first is not predicted.
    let targets = text(60).chars().count() as u64 * 8 / 10 - 1;
    let blocks = targets.div_ceil(16);
    for [row, offset, length] in lines.iter().flat_map(|line| &line.rows) {
        assert_eq!((*offset, *length), (16 * row, (targets - 16 * row).min(16)), "{row}");
    }
    assert!(lines.iter().all(|line| line.length == 16 && line.rows.len() == 4));
    // An epoch reads each once, and not in order.
    let read: Vec<u64> = lines.iter().flat_map(|line| &line.rows).map(|row| row[0]).collect();
    let mut epoch = read[..blocks as usize].to_vec();
    assert!(!epoch.is_sorted() && read.len() as u64 > blocks);
    epoch.sort();
    assert_eq!(epoch, (0..blocks).collect::<Vec<_>>());
}

#[test]
fn records_are_named_by_number_place_and_length() {
    let place = Place::new();
    let records: String = (0..50).map(|i| format!("{}\n", "abcdefghi".repeat(1 + i * 7 % 5))).collect();
    place.write("text.txt", &records);
    let sets = "--set data.rows=records --set model.max_length=32 --set train.steps=20";
    place.succeeds(&format!("train tiny.toml --run records {sets} {LOGGED}"));
    let lines = lines(&place, "records");
    check_steps(&place, "records", &lines, 20);
    let mut rows = BTreeMap::new();
    for line in &lines {
        for [row, offset, targets] in &line.rows {
            assert!(*targets <= line.length && line.length <= 32, "{row}");
            assert_eq!(*rows.entry(*row).or_insert((*offset, *targets)), (*offset, *targets));
        }
    }
    // Rows follow each other through the stream: an end, then each record and its end, cut after 32 targets.
    let mut expected = Vec::new();
    let mut offset = 0;
    let train: String = records.chars().take(records.chars().count() * 8 / 10).collect();
    for record in train.lines() {
        let mut left = record.len() as u64 + 1;
        while left > 0 {
            expected.push((offset, left.min(32)));
            (offset, left) = (offset + left.min(32), left - left.min(32));
        }
    }
    assert_eq!(rows.into_values().collect::<Vec<_>>(), expected);
}

#[test]
fn a_resumed_run_has_the_lines_of_one_that_never_stopped() {
    let place = Place::new();
    place.succeeds(&format!("train tiny.toml --run straight {LOGGED}"));
    place.succeeds(&format!("train tiny.toml --run cut --set train.steps=3 {LOGGED}"));
    let file = "results/tiny/cut/batches.jsonl";
    let first = place.read(file);
    assert_eq!(first.lines().count(), 6);
    // As a kill leaves it: past the checkpoint, and torn.
    let later = "{\"step\":4,\"micro_batch\":0,\"length\":16,\"rows\":[[1,16,16]]}\n{\"step\":4,\"mic";
    place.write(file, format!("{first}{later}"));
    place.succeeds(&format!("train tiny.toml --run cut --resume {LOGGED}"));
    assert_eq!(place.read(file), place.read("results/tiny/straight/batches.jsonl"));
    let expected = ["train.log_batches was true and is now false"];
    place.fails("train tiny.toml --run cut --resume --set train.accumulate=2", 2, &expected);
}

#[test]
fn batches_of_updates_that_changed_nothing_are_taken_back() {
    let place = Place::new();
    let wild = "--set optimizer.lr=1e30 --set optimizer.clip_norm=0 --set train.log_every=5 --set train.eval_every=0";
    let finished = place.synth(&format!("train tiny.toml --run wild {wild} {LOGGED}"));
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    let broken = Metrics::of(&place, "results/tiny/wild").rows().last().unwrap().number("step");
    // The one that was not finite is the one to look at.
    let last = lines(&place, "wild").pop().unwrap();
    assert_eq!((last.step as f64, last.micro_batch), (broken, 1));
    assert!(broken < 5.0);
}

#[test]
fn nothing_is_written_unasked_and_training_stays_the_same() {
    let place = Place::with_run();
    assert!(!place.path(RUN).join("batches.jsonl").exists());
    assert!(!place.path(RUN).join("checkpoints/step-0").exists());
    let sets = "--set train.log_batches=true --set train.save_initial=true";
    place.succeeds(&format!("train tiny.toml --run both {sets}"));
    let weights = |run: &str| fs::read(place.path(run).join("checkpoints/step-6/model.safetensors")).unwrap();
    assert!(weights(RUN) == weights("results/tiny/both"));
    place.fails("train tiny.toml --run x --set train.log_batches=1", 2, &["log_batches", "expected true or false"]);
    place.fails("train tiny.toml --run x --set train.save_initial=yes", 2, &["save_initial", "expected true or false"]);
}

#[test]
fn the_weights_before_the_first_update_stay() {
    let place = Place::new();
    // Best at the end, where it improves: keep is 1, so that all between go.
    place.succeeds("train tiny.toml --set train.save_initial=true --set train.checkpoint_every=1");
    let mut folders: Vec<String> = place.names(&format!("{RUN}/checkpoints"));
    folders.retain(|name| name.ends_with("model.safetensors"));
    assert_eq!(folders, ["step-0/model.safetensors", "step-6/model.safetensors"]);
    let eval = |checkpoint: &str| place.succeeds(&format!("eval {RUN} --json --checkpoint {checkpoint}")).json();
    let initial = eval("step-0");
    assert_eq!((&initial["checkpoint"], &initial["step"]), (&"step-0".into(), &0.into()));
    // Untrained, every byte is as likely.
    assert!((initial["loss"].as_f64().unwrap() - 256f64.ln()).abs() < 0.05, "{initial}");
    assert!(eval("last")["loss"].as_f64() < initial["loss"].as_f64());
    let events = place.read(&format!("{RUN}/metrics.jsonl"));
    let saved: Vec<&str> = events.lines().filter(|line| line.contains("\"event\":\"checkpoint\"")).collect();
    assert_eq!(saved[0], "{\"event\":\"checkpoint\",\"step\":0}");
    // It is a checkpoint as any other: a run goes on from it.
    place.copy(RUN, "results/tiny/again");
    for name in ["last", "best"] {
        place.write(&format!("results/tiny/again/checkpoints/{name}"), "step-0\n");
    }
    fs::remove_file(place.path("results/tiny/again/summary.json")).unwrap();
    let sets = "--set train.save_initial=true --set train.checkpoint_every=1";
    let finished = place.succeeds(&format!("train tiny.toml --run again --resume {sets}"));
    assert!(finished.stderr.contains("going on from step-0"), "{}", finished.stderr);
    let weights = |run: &str| fs::read(place.path(run).join("checkpoints/step-6/model.safetensors")).unwrap();
    assert!(weights(RUN) == weights("results/tiny/again"));
}
