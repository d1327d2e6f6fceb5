//! What is refused of tasks with a source and a target, and how it is said.

use super::{EXPERIMENT, RUN, place, sources, with_run};
use std::fs;

#[test]
fn keys_that_do_not_fit() {
    let place = place(48);
    for (set, expected) in [
        (
            "model.architecture=decoder",
            "found \"decoder\", expected \"encoder-decoder\" for task.kind = \"translation\"",
        ),
        ("data.train=train.src", "found one path, expected a pair [\"SOURCE\", \"TARGET\"]"),
        ("data.test=[\"test.src\"]", "found a list of 1"),
        ("data.path=train.src --set data.split=[0.9,0.1]", "the task has a source and a target"),
        ("data.rows=records", "the task has a source and a target"),
        ("data.persona=true", "data.persona is about records of the shape dialogue"),
        ("data.history_turns=2", "data.history_turns is about records of the shape dialogue"),
        ("data.max_source_length=25", "found 25, expected at most model.max_length = 24"),
        ("data.max_target_length=0", "found 0, expected at least 1"),
        ("data.length_ratio=1", "found 1, expected more than 1"),
        ("data.long_records=drop", "expected cut, skip"),
        (
            "model.share_embeddings=true --set tokenizer.joint=false",
            "model.share_embeddings=true: found true beside tokenizer.joint = false",
        ),
        (
            "attention.layers=[\"vanilla\"]",
            "found 1 kinds, expected one per layer, 1 of the encoder and 1 of the decoder",
        ),
        ("decode.beam=0", "found 0, expected at least 1"),
        ("decode.length_penalty=-1", "expected at least 0"),
        ("decode.min_length=5 --set decode.max_length=3", "expected at most decode.max_length = 3"),
        ("task.kind=masked-lm", "task.kind = \"masked-lm\" is not built yet"),
        ("task.kind=translate", "expected language-modeling, translation, summarization, dialogue"),
        ("task.bleu_tokenize=spm", "expected 13a, intl, char, zh, none"),
        ("train.best.metric=rouge1", "expected loss, perplexity, accuracy, bleu, chrf"),
        ("train.batch_tokens=20", "expected room for the longest row, model.max_length = 24"),
        ("data.validation=[\"validation.src\",\"nothing.tgt\"]", "data.validation: no such file"),
    ] {
        place.fails(&format!("train pairs.toml --set {set}"), 2, &[expected]);
    }
    let pair = "--set data.train=[\"train.src\",\"train.tgt\"]";
    place.fails(&format!("train tiny.toml {pair}"), 2, &["found a pair of paths, expected one"]);
    for set in ["tokenizer.joint=false", "data.length_ratio=2"] {
        place.fails(&format!("train tiny.toml --set {set}"), 2, &["the task has no source and target"]);
    }
    let expected = ["expected \"decoder\" for task.kind = \"language-modeling\""];
    place.fails("train tiny.toml --set model.architecture=encoder-decoder", 2, &expected);
}

#[test]
fn a_place_in_the_file_is_named() {
    let place = place(48);
    let broken = EXPERIMENT.replace("\"train.tgt\"]", "\"nothing.tgt\"]");
    place.write("broken.toml", &broken);
    place.fails("train broken.toml", 2, &["data.train: no such file", "nothing.tgt"]);
    place.write("broken.toml", EXPERIMENT.replace("architecture = \"encoder-decoder\"\n", ""));
    place.fails("train broken.toml", 2, &["expected \"encoder-decoder\" for task.kind = \"translation\""]);
    place.write("broken.toml", EXPERIMENT.replace("[\"test.src\", \"test.tgt\"]", "\"test.src\""));
    place.fails("train broken.toml", 2, &["broken.toml:9: data.test: found one path"]);
}

#[test]
fn files_that_are_no_pairs() {
    let place = place(48);
    place.write("short.tgt", sources(40, 1));
    place.write("empty", "");
    place.write("blank", "\n".repeat(48));
    place.write("binary", b"a\xff\n".repeat(48));
    let fails = |pair: &str, code: i32, expected: &[&str]| {
        let finished = place.synth(&format!("train pairs.toml --run x --set data.train={pair}"));
        let line = finished.error_line();
        assert_eq!(finished.code, Some(code), "{pair}: {line}");
        assert!(expected.iter().all(|part| line.contains(part)), "{pair}: {expected:?} in {line}");
        assert!(!place.path("results/pairs/x").exists(), "{pair}: a run's folder was made");
    };
    fails("[\"train.src\",\"short.tgt\"]", 1, &["data.train: ", "train.src has 48 lines", "short.tgt has 40"]);
    fails("[\"train.src\",\"nothing\"]", 2, &["data.train: no such file: ", "nothing"]);
    fails("[\"nothing\",\"train.tgt\"]", 2, &["data.train: no such file: ", "nothing"]);
    fails("[\"empty\",\"empty\"]", 1, &["empty is empty"]);
    fails("[\"train.src\",\"empty\"]", 1, &["empty is empty"]);
    fails("[\"train.src\",\"blank\"]", 1, &["the train split: found no pair", "left out: 48 without a target"]);
    fails("[\"train.src\",\"binary\"]", 1, &["binary", "UTF-8"]);
    place.write("long", "ant bee cat dog elk fox gnu hen\n".repeat(48));
    fails("[\"long\",\"train.tgt\"]", 1, &["the train split: found no pair", "left out: 48 too long"]);
    fails("[\"train.src\",\"train.tgt\"] --set data.max_target_length=1", 1, &["left out: 48 too long"]);
}

#[test]
fn datasets_of_another_shape() {
    let place = place(48);
    let records = |record: &str| format!("{record}\n").repeat(20);
    place.write("texts/train.jsonl", records(r#"{"text": "ant bee"}"#));
    place.write("pairs/train.jsonl", records(r#"{"source": "ant bee", "target": "bee ant"}"#));
    place.write("talks/train.txt", "1 ant bee\tgnu\n2 dog\then\n".repeat(20));
    for (name, more) in [("texts/train.jsonl", ""), ("pairs/train.jsonl", ""), ("talks/train.txt", "--format convai2")]
    {
        let set = name.split('/').next().unwrap();
        place.succeeds(&format!("data import {set} {name} {more}"));
    }
    let train = |kind: &str, set: &str| format!("train pairs.toml --set task.kind={kind} --set data.dataset={set}");
    for (kind, set, shape, expected) in [
        ("translation", "texts", "text", "the shape pairs"),
        ("translation", "talks", "dialogue", "the shape pairs"),
        ("summarization", "talks", "dialogue", "the shape pairs"),
        ("dialogue", "texts", "text", "the shape dialogue or pairs"),
    ] {
        place.fails(&train(kind, set), 2, &[&format!("data.dataset: {set} is records of the shape {shape}"), expected]);
    }
    place.fails(&train("translation", "nothing"), 2, &["nothing"]);
    place.succeeds(&format!("{} --run pairs --quiet", train("translation", "pairs")));
    place.succeeds(&format!("{} --run talks --quiet --set data.history_turns=1", train("dialogue", "talks")));
    place.fails(&format!("{} --set data.persona=true", train("dialogue", "pairs")), 2, &["data.persona", "pairs"]);
    place.fails("eval results/pairs/pairs", 2, &["no validation split", "data.validation='[\"SOURCE\", \"TARGET\"]'"]);
}

#[test]
fn a_run_goes_on_with_its_own_data_and_settings_alone() {
    let place = with_run();
    let resume = "train pairs.toml --resume --run vanilla-s1 --set train.steps=9";
    for (set, expected) in [
        ("data.length_ratio=2", "data.length_ratio was not given and is now 2.0; a resumed run may change only"),
        ("data.max_source_length=20", "data.max_source_length was not given and is now 20"),
        ("model.share_embeddings=false", "model.share_embeddings was not given and is now false"),
        ("task.kind=summarization", "task.kind was \"translation\" and is now \"summarization\""),
        ("train.eval_generate=false", "train.eval_generate was true and is now false"),
        ("attention.cross=random", "attention.cross"),
    ] {
        place.fails(&format!("{resume} --set {set}"), 2, &[expected]);
    }
    let own = place.read("train.src");
    place.write("train.src", sources(48, 8));
    place.fails(resume, 1, &["the data changed since this run began: train.source had SHA-256"]);
    place.write("train.src", own);
    let target = place.read("validation.tgt");
    place.write("validation.tgt", sources(super::HELD_OUT, 8));
    place.fails(resume, 1, &["validation.target had SHA-256"]);
    place.write("validation.tgt", target);
    let finished = place.succeeds(&format!("{resume} --set decode.beam=2 --set train.samples=1"));
    assert!(finished.stdout.contains("done at step 9"), "{}", finished.stdout);
}

#[test]
fn another_runs_tokenizer_is_refused() {
    let place = with_run();
    place.succeeds("train tiny.toml --quiet");
    for run in ["other", "results/tiny/vanilla-s1"] {
        let tokenizer = if run == "other" { "{}".to_string() } else { place.read(&format!("{run}/tokenizer.json")) };
        place.write(&format!("{RUN}/tokenizer.json"), tokenizer);
        place.fails_on("ant\n", &format!("generate {RUN}"), 1, &["tokenizer.json"]);
        place.fails(&format!("eval {RUN}"), 1, &["tokenizer.json"]);
    }
    // Nothing tells that it is not the run's own but what it lacks.
    fs::remove_file(place.path(RUN).join("environment.json")).unwrap();
    place.fails_on("ant\n", &format!("generate {RUN}"), 1, &["has no </s>; it was trained for another task"]);
}
