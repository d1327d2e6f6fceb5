//! Run folders that are taken, foreign or damaged: one line, and every file stays as it was.

use crate::place::{Place, RUN};
use std::fs;

const RESUME: &str = "train tiny.toml --resume --set train.steps=9";
const EVAL: &str = "eval results/tiny/vanilla-s1";
const CHECKPOINT: &str = "results/tiny/vanilla-s1/checkpoints/step-6";

/// A finished run, kept aside so that it can be damaged again and again.
struct Damaged {
    place: Place,
}

impl Damaged {
    fn new() -> Self {
        let place = Place::with_run();
        place.copy("results", "kept");
        Self { place }
    }

    /// Damages a fresh copy of the run.
    fn by(&self, damage: impl FnOnce(&Place)) -> &Place {
        self.place.copy("kept", "results");
        damage(&self.place);
        &self.place
    }
}

fn truncate(place: &Place, file: &str, keep: impl Fn(usize) -> usize) {
    let path = format!("{CHECKPOINT}/{file}");
    let bytes = fs::read(place.path(&path)).unwrap();
    place.write(&path, &bytes[..keep(bytes.len())]);
}

#[test]
fn a_run_that_exists() {
    let place = Place::with_run();
    place.fails("train tiny.toml", 2, &[RUN, "--resume", "--overwrite", "--run NAME"]);
    place.succeeds("train tiny.toml --run other");
    place.succeeds("train tiny.toml --overwrite --set train.steps=3");
    assert!(place.read(&format!("{RUN}/checkpoints/last")).starts_with("step-3"));
}

#[test]
fn foreign_files_are_never_touched() {
    let place = Place::new();
    place.write(&format!("{RUN}/thesis.tex"), "years of work");
    for mode in ["", "--resume", "--overwrite"] {
        place.fails(&format!("train tiny.toml {mode}"), 2, &[RUN, "no run of synth", "--run NAME"]);
    }
}

#[test]
fn a_file_in_the_way() {
    let place = Place::new();
    place.write("results", "a file");
    place.fails("train tiny.toml", 2, &["a file is in the way"]);
    place.write("others/tiny", "a file");
    place.fails("train tiny.toml --results others", 2, &["others/tiny/vanilla-s1", "a file is in the way"]);
    place.write("more/tiny/vanilla-s1", "a file");
    place.fails("train tiny.toml --results more", 2, &["a file is in the way"]);
}

#[test]
fn keys_that_a_resumed_run_keeps() {
    let place = Place::with_run();
    for (set, before) in [("optimizer.lr=0.1", "0.001"), ("attention.dropout=0.3", "not given")] {
        let (key, now) = set.split_once('=').unwrap();
        let expected = [format!("{key} was {before} and is now {now}"), "may change only train.steps".to_string()];
        place.fails(&format!("{RESUME} --run vanilla-s1 --set {set}"), 2, &expected.each_ref().map(String::as_str));
    }
}

#[test]
fn truncated_checkpoints() {
    let damaged = Damaged::new();
    for file in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let keeps: [fn(usize) -> usize; 2] = [|length| length - 7, |_| 0];
        for keep in keeps {
            let place = damaged.by(|place| truncate(place, file, keep));
            place.fails(RESUME, 1, &["step-6", file, "is damaged", "restore it, or start anew"]);
        }
        let place = damaged.by(|place| fs::remove_file(place.path(CHECKPOINT).join(file)).unwrap());
        place.fails(RESUME, 1, &["cannot read", file]);
    }
}

#[test]
fn an_evaluation_needs_the_weights_only() {
    let damaged = Damaged::new();
    let keeps: [fn(usize) -> usize; 2] = [|length| length - 7, |_| 3];
    for keep in keeps {
        let place = damaged.by(|place| truncate(place, "model.safetensors", keep));
        place.fails(EVAL, 1, &["step-6", "model.safetensors is damaged", "--checkpoint"]);
    }
    let place = damaged.by(|place| {
        truncate(place, "optimizer.safetensors", |_| 3);
        truncate(place, "state.json", |_| 3);
    });
    place.succeeds(EVAL);
}

#[test]
fn weights_of_another_model() {
    let damaged = Damaged::new();
    damaged.place.succeeds("train tiny.toml --results others --set model.d_model=8");
    damaged.place.succeeds("train tiny.toml --results others --set attention.kind=random");
    for (run, expected) in [
        ("vanilla-s1", "embedding.weight has shape [256, 8], expected [256, 16]"),
        ("random-s1", "lacks the tensor decoder.layers.0.attention.key.weight"),
    ] {
        let weights = format!("others/tiny/{run}/checkpoints/step-6/model.safetensors");
        let place = damaged.by(|place| {
            fs::copy(place.path(&weights), place.path(CHECKPOINT).join("model.safetensors")).unwrap();
        });
        place.fails(EVAL, 1, &["model.safetensors does not fit this model", expected]);
        place.fails(RESUME, 1, &["model.safetensors does not fit this model", expected]);
    }
}

#[test]
fn pointers_to_something_else() {
    let damaged = Damaged::new();
    for name in ["../../etc", "step-06", ""] {
        let place = damaged.by(|place| place.write(&format!("{RUN}/checkpoints/last"), name));
        place.fails(RESUME, 1, &["checkpoints/last holds", "expected a name such as step-100"]);
    }
    let place = damaged.by(|place| {
        place.write(&format!("{RUN}/checkpoints/last"), "step-7\n");
        place.write(&format!("{RUN}/checkpoints/best"), "step-7\n");
    });
    place.fails(RESUME, 1, &["no checkpoint step-7", "there are: step-6"]);
    place.fails(EVAL, 1, &["no checkpoint step-7", "there are: step-6"]);
}

#[test]
fn missing_and_damaged_files() {
    let damaged = Damaged::new();
    let remove = |file: &str| damaged.by(|place| fs::remove_file(place.path(RUN).join(file)).unwrap());
    let place = remove("tokenizer.json");
    place.fails(EVAL, 1, &["cannot read", "tokenizer.json"]);
    place.fails(RESUME, 1, &["cannot read", "tokenizer.json"]);
    remove("environment.json").fails(RESUME, 1, &["cannot read", "environment.json"]);
    remove("config.toml").fails(EVAL, 2, &["no run folder, config.toml is missing"]);
    let place = damaged.by(|place| place.write(&format!("{RUN}/tokenizer.json"), "{\"kind\": \"runes\"}"));
    place.fails(EVAL, 1, &["tokenizer.json: not a tokenizer of synth"]);
    let place = damaged.by(|place| place.write(&format!("{RUN}/config.toml"), "name = \n"));
    place.fails(EVAL, 2, &["config.toml:1: not valid TOML"]);
    place.fails(RESUME, 2, &["the run's configuration is damaged", "config.toml:1: not valid TOML"]);
}

#[test]
fn fifos_where_files_should_be() {
    let damaged = Damaged::new();
    let weights = format!("{CHECKPOINT}/model.safetensors");
    for file in [weights.as_str(), "results/tiny/vanilla-s1/tokenizer.json"] {
        let place = damaged.by(|place| place.make_fifo(file));
        place.fails(EVAL, 1, &[file.rsplit('/').next().unwrap(), "it is no regular file"]);
    }
    for file in ["checkpoints/last", "environment.json", "metrics.csv"] {
        let place = damaged.by(|place| place.make_fifo(&format!("{RUN}/{file}")));
        let finished = place.synth(RESUME);
        assert_eq!(finished.code, Some(1), "{file}: {}", finished.stderr);
        assert!(finished.error_line().contains("it is no regular file"), "{file}: {}", finished.stderr);
    }
}
