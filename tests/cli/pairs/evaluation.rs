//! `synth eval` of tasks with a source and a target: what is written, and that it is what others measure.

use super::{HELD_OUT, RUN, place, sources, with_learned, with_run};
use crate::place::Place;
use serde_json::Value;

const FP64: &str = "--set train.precision=fp64";

/// `eval/<split>.json` of the run.
fn written(place: &Place, split: &str) -> Value {
    serde_json::from_str(&place.read(&format!("{RUN}/eval/{split}.json"))).unwrap()
}

fn predictions(place: &Place) -> String {
    place.read(&format!("{RUN}/eval/test.predictions.txt"))
}

/// What `synth score` finds of the predictions.
fn score(place: &Place, metrics: &str, more: &str) -> Value {
    let files = format!("--hypotheses {RUN}/eval/test.predictions.txt --references test.tgt");
    place.succeeds(&format!("score --metric {metrics} {files} --json {more}")).json()
}

#[test]
fn outputs_are_written_in_order_and_measured_as_score_does() {
    let place = with_learned(100, FP64);
    let printed = place.succeeds(&format!("eval {RUN} --split test --json --quiet"));
    assert_eq!(printed.stderr, "");
    let mut record = written(&place, "test");
    record["run"] = printed.json()["run"].clone();
    assert_eq!(record, printed.json());
    let keys: Vec<&String> = record["generation"].as_object().unwrap().keys().collect();
    let expected = ["outputs", "empty_sources", "cut_sources", "unended", "mean_tokens", "mean_score"];
    assert_eq!(keys, expected);
    assert_eq!(record["generation"]["outputs"].as_u64(), Some(HELD_OUT as u64));
    // The lines that `synth generate` makes of the sources.
    let lines = place.succeeds(&format!("generate {RUN} test.src --quiet")).stdout;
    assert_eq!(predictions(&place), lines);
    assert_eq!(lines.lines().count(), HELD_OUT);
    let outputs = place.succeeds(&format!("generate {RUN} test.src --quiet --json")).json();
    let mean = |key: &str| {
        let of_line = |line: &Value| line["outputs"][0][key].as_f64().unwrap();
        outputs["lines"].as_array().unwrap().iter().map(of_line).sum::<f64>() / HELD_OUT as f64
    };
    for (key, of_outputs) in [("mean_tokens", "tokens"), ("mean_score", "score")] {
        let difference = record["generation"][key].as_f64().unwrap() - mean(of_outputs);
        assert!(difference.abs() < 1e-12, "{key}: {difference}");
    }
    let scored = score(&place, "bleu,chrf", "");
    for name in ["bleu", "chrf"] {
        assert_eq!(record["metrics"][name], scored[name], "{name}");
        assert_eq!(record["signature"][name], scored["signature"][name], "{name}");
    }
    let bleu = record["metrics"]["bleu"].as_f64().unwrap();
    assert!(0.0 < bleu && bleu < 100.0, "{bleu}: something was learned, and not all");
    let signature = record["signature"]["bleu"].as_str().unwrap();
    assert!(signature.starts_with("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:"), "{signature}");
}

#[test]
fn every_task_is_measured_as_score_does() {
    let place = with_learned(60, "--set task.kind=dialogue");
    let dialogue = "bleu,rougeL,meteor-exact-stem,cider-d,distinct-1,distinct-2";
    compare(&place, &place.succeeds(&format!("eval {RUN} --split test --json")).json(), dialogue);
    place.succeeds(&format!(
        "train pairs.toml --overwrite --quiet {} --set train.steps=60 --set task.kind=summarization",
        super::LEARNS
    ));
    let record = place.succeeds(&format!("eval {RUN} --split test --json")).json();
    compare(&place, &record, "rouge1,rouge2,rougeL,rougeLsum");
}

/// Each metric of a record, by the name that `synth score` has for it.
fn compare(place: &Place, record: &Value, names: &str) {
    for name in names.split(',') {
        let scored = score(place, name, "");
        let key = if name.starts_with("distinct") { name.replace('-', "") } else { name.replace('-', "_") };
        let found = &record["metrics"][&key];
        assert!(found.is_f64() && *found == scored[name], "{name}: {found} and {scored}");
    }
}

#[test]
fn decoding_and_measuring_may_change_and_nothing_else() {
    let place = with_learned(100, FP64);
    let eval = |more: &str| place.succeeds(&format!("eval {RUN} --split test --json --quiet {more}")).json();
    place.succeeds("train tiny.toml --quiet");
    for set in ["decode.beam=1", "task.lowercase=true"] {
        place.fails(&format!("eval results/tiny/vanilla-s1 --set {set}"), 2, &["takes other data only"]);
    }
    let own = eval("");
    let greedy = eval("--set decode.beam=1");
    for same in ["loss", "tokens", "perplexity", "checkpoint"] {
        assert_eq!(own[same], greedy[same], "{same}");
    }
    assert_ne!(own["generation"], greedy["generation"]);
    assert_eq!(predictions(&place), place.succeeds(&format!("generate {RUN} test.src --greedy --quiet")).stdout);
    let short = eval("--set decode.max_length=1");
    assert!(short["generation"]["mean_tokens"].as_f64().unwrap() <= 1.0);
    let plain = eval("--set task.bleu_tokenize=none --set task.lowercase=true");
    let signature = plain["signature"]["bleu"].as_str().unwrap();
    assert!(signature.starts_with("nrefs:1|case:lc|eff:no|tok:none|smooth:exp|"), "{signature}");
    assert_eq!(plain["metrics"]["bleu"], score(&place, "bleu", "--tokenize none --lowercase")["bleu"]);
    assert_eq!(plain["generation"], own["generation"]);
    for (set, expected) in [
        ("model.layers=2", "takes other data, decoding and ways to measure only"),
        ("task.kind=dialogue", "takes other data, decoding and ways to measure only"),
        ("decode.beam=0", "expected at least 1"),
        ("decode.bean=2", "did you mean \"beam\"?"),
        ("task.bleu_tokenize=spm", "expected 13a, intl, char, zh, none"),
        ("data.test=test.src", "expected a pair"),
        ("data.test=[\"test.src\",\"nothing\"]", "data.test: no such file"),
    ] {
        place.fails(&format!("eval {RUN} --set {set}"), 2, &[expected]);
    }
}

#[test]
fn other_pairs_are_measured_and_told_apart() {
    let place = with_run();
    let own = place.succeeds(&format!("eval {RUN} --json")).json();
    place.write("other.src", sources(5, 9));
    place.write("other.tgt", sources(5, 10));
    let other = "--set data.validation=[\"other.src\",\"other.tgt\"]";
    let record = place.succeeds(&format!("eval {RUN} --json {other}")).json();
    assert_eq!(record["generation"]["outputs"], 5);
    for side in ["source_sha256", "target_sha256"] {
        assert_ne!(record["signature"][side], own["signature"][side]);
        assert_eq!(record["signature"][side].as_str().map(str::len), Some(64));
    }
    place.write("validation.tgt", sources(HELD_OUT, 11));
    let finished = place.succeeds(&format!("eval {RUN}"));
    let told = "the validation.target text changed since the run began";
    assert!(finished.stderr.contains(told), "{}", finished.stderr);
    assert!(!finished.stderr.contains("validation.source"), "{}", finished.stderr);
    place.write("validation.tgt", sources(HELD_OUT - 1, 11));
    place.fails(&format!("eval {RUN}"), 1, &["validation.src has 12 lines", "validation.tgt has 11"]);
}

#[test]
fn empty_and_long_lines_have_outputs_and_stay_whole_as_references() {
    let place = place(48);
    let long = "ant bee cat dog elk fox gnu hen ant bee";
    place.write("test.src", format!("ant bee\n\n{long}\ngnu\n"));
    place.write("test.tgt", format!("\nhen\nant\n{long}"));
    place.succeeds("train pairs.toml --quiet");
    let record = place.succeeds(&format!("eval {RUN} --split test --json --set decode.max_length=4")).json();
    let generation = &record["generation"];
    let count = |key: &str| generation[key].as_u64().unwrap();
    assert_eq!((count("outputs"), count("empty_sources"), count("cut_sources")), (4, 1, 1));
    assert!(count("unended") >= 1, "a model that has hardly begun to learn seldom ends");
    assert_eq!(predictions(&place).lines().nth(1), Some(""));
    assert_eq!(record["metrics"]["bleu"], score(&place, "bleu", "")["bleu"]);
    // Each target and its end, as far as the model can read.
    assert_eq!(record["tokens"], 1 + 4 + 4 + 24);
}
