//! What the arguments alone show: exit code 2, before anything is touched.

use crate::place::{Place, RUN};
use std::time::{Duration, Instant};

#[test]
fn devices_that_are_none_or_absent() {
    let place = Place::new();
    for device in ["gpu", "cuda:x"] {
        place.fails(&format!("train tiny.toml --device {device}"), 2, &[device, "expected auto, cpu, cuda or cuda:N"]);
    }
    place.fails("train tiny.toml --device cuda:99", 2, &["--device cuda:99: ", "CUDA"]);
    place.fails("eval nowhere --device gpu", 2, &["gpu", "expected auto"]);
}

#[test]
fn cuda_asked_for_and_absent() {
    let place = Place::with_run();
    // A GPU that this machine may have is hidden from `synth`.
    for device in ["cuda", "cuda:1"] {
        let expected = ["--device cuda", "CUDA", "--device cpu"];
        place.fails(&format!("train tiny.toml --run other --device {device}"), 2, &expected);
        place.fails(&format!("eval {RUN} --device {device}"), 2, &expected);
    }
    assert_eq!(place.names("results/tiny/other"), [""; 0]);
}

#[test]
fn settings_that_are_none() {
    let place = Place::new();
    let form = "expected --set KEY=VALUE";
    let cases: [(&str, &[&str]); 6] = [
        ("model.heads", &["no = found", form]),
        ("=3", &["\"\" is no dotted key", form]),
        ("data.split=[0.9", &["unclosed array", form]),
        ("model.haeds=3", &["unknown key; did you mean \"heads\"? expected architecture, layers"]),
        ("base=other.toml", &["base can stand in a file only"]),
        ("attention=vanilla", &["found string \"vanilla\", expected a table"]),
    ];
    for (set, expected) in cases {
        place.fails(&format!("train tiny.toml --set {set}"), 2, &[&[set], expected].concat());
    }
    place.fails("train tiny.toml --seed x", 2, &["'x' for '--seed <N>'"]);
    place.fails(
        "train tiny.toml --seed 18446744073709551615",
        2,
        &["seed=18446744073709551615", "expected an integer"],
    );
}

#[test]
fn names_that_are_none() {
    let place = Place::new();
    let long = "x".repeat(201);
    for name in ["a/b", "", &long] {
        place.fails(&format!("train tiny.toml --run={name}"), 2, &["(--run)", "expected a letter or digit"]);
    }
    for name in ["../x", "reference"] {
        place.fails(&format!("train tiny.toml --set name={name}"), 2, &["name", name]);
    }
}

#[test]
fn arguments_that_contradict_or_are_missing() {
    let place = Place::new();
    place.fails("train tiny.toml --resume --overwrite", 2, &["'--resume' cannot be used with '--overwrite'"]);
    place.fails("train tiny.toml --quiet --verbose", 2, &["'--quiet' cannot be used with '--verbose"]);
    place.fails("frobnicate", 2, &["'frobnicate'"]);
    place.fails("completions tcsh", 2, &["'tcsh'"]);
    for command in ["train", "eval"] {
        let finished = place.synth(command);
        assert_eq!(finished.code, Some(2), "{command}");
        assert!(finished.stderr.starts_with("error: the following required arguments"), "{}", finished.stderr);
    }
}

#[test]
fn a_dataset_that_there_is_not() {
    let place = Place::new();
    place.fails("data fetch nonsense", 2, &["no dataset nonsense", "rust-sources"]);
    place.write(
        "set.toml",
        crate::place::EXPERIMENT.replace("path = \"text.txt\"\nsplit = [0.8, 0.1, 0.1]", "dataset = \"rust-sources\""),
    );
    place.fails("train set.toml", 2, &["not prepared", "`synth data fetch rust-sources`"]);
}

#[test]
fn a_model_that_no_memory_holds() {
    let place = Place::new();
    let begun = Instant::now();
    place.fails(
        "train tiny.toml --device cpu --set model.d_model=100000000",
        2,
        &["GiB", "available", "lower model.d_model"],
    );
    // A second or so, on a machine that does other things as well.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let sets = "--set model.d_model=100000000 --set model.layers=1000000";
    place.fails(&format!("train tiny.toml {sets}"), 2, &["expected what a machine can hold"]);
}
