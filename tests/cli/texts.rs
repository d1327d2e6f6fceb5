//! Texts that are none: exit code 2 for what their names show, 1 for what turns up in them.

use crate::place::{EXPERIMENT, Place, text};
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

#[test]
fn names_with_no_regular_file_behind_them() {
    let place = Place::new();
    place.make_fifo("pipe");
    for (name, expected) in [
        ("missing.txt", "no such file: "),
        ("*.nothing", "no file matches "),
        (".", "is a directory; expected a text file"),
        ("pipe", "pipe is a FIFO; expected a regular text file"),
        ("/dev/null", "/dev/null is a device; expected a regular text file"),
    ] {
        place.fails(&format!("train tiny.toml --set data.path={name}"), 2, &["data.path: ", expected]);
    }
}

#[test]
fn contents_that_are_no_text() {
    let place = Place::new();
    place.write("empty.txt", "");
    place.write("one.txt", "a");
    place.write("binary.txt", b"\x7fELF\x02\x01\x01\0\0\0\0");
    place.write("latin.txt", b"caf\xe9 au lait, and more of it");
    place.write("whole.gz", gzip(text(200).as_bytes()));
    place.write("short.gz", &gzip(text(200).as_bytes())[..100]);
    for (name, expected) in [
        ("empty.txt", "empty.txt is empty; expected text"),
        ("one.txt", "leaves nothing of 1 characters to train"),
        ("binary.txt", "binary.txt is binary: a NUL byte at offset 7"),
        ("latin.txt", "latin.txt is not UTF-8 text: the byte at offset 3"),
        ("short.gz", "its gzip data ends early (truncated)"),
    ] {
        place.fails(&format!("train tiny.toml --set data.path={name}"), 1, &[expected]);
    }
    place.succeeds("train tiny.toml --set data.path=whole.gz");
}

#[test]
fn splits_that_are_too_short() {
    let place = Place::new();
    place.write("one.txt", "a");
    let data = "train = \"text.txt\"\nvalidation = \"one.txt\"";
    place.write("files.toml", EXPERIMENT.replace("path = \"text.txt\"\nsplit = [0.8, 0.1, 0.1]", data));
    place.fails("train files.toml", 1, &["the validation split is too short: found 1 token"]);
    place.fails("train files.toml --set data.train=one.txt", 1, &["the train split is too short"]);
    place.fails("train files.toml --set data.test=missing.txt", 2, &["data.test: no such file"]);
}

#[test]
fn a_field_of_labelled_texts_and_of_pairs() {
    let place = Place::new();
    let line = |i: usize| [format!("line {i} of some text"), format!("its other text, {i}")];
    let rows = |header: &str| header.to_string() + &(0..60).map(|i| line(i).join("\t") + "\n").collect::<String>();
    place.write("pairs.tsv", rows("source\ttarget\n"));
    place.write("labelled.tsv", rows("text\tlabel\n"));
    let data = "dataset = \"DATASET\"";
    place.write("sets.toml", EXPERIMENT.replace("path = \"text.txt\"\nsplit = [0.8, 0.1, 0.1]", data));
    for (set, columns, field, others) in [
        ("pairs", "--source source --target target", "target", "one of source, target"),
        ("labelled", "--text text --label label", "text", "one of text"),
    ] {
        place.succeeds(&format!("data import {set} {set}.tsv {columns} --split 0.6,0.2,0.2"));
        let train = format!("train sets.toml --set data.dataset={set} --run {set}");
        place.fails(&train, 2, &["data.field", others]);
        place.fails(&format!("{train} --set data.field=label"), 2, &["no text \"label\"", others]);
        for rows in ["blocks", "records"] {
            let run = format!("{set}-{rows}");
            let options = format!("--set data.field={field} --set data.rows={rows} --run {run}");
            place.succeeds(&format!("train sets.toml --set data.dataset={set} {options}"));
            let measured = place.succeeds(&format!("eval results/tiny/{run} --split test --json")).json();
            // The lines of the field alone.
            let length = if set == "pairs" { line(10)[1].len() } else { line(10)[0].len() };
            let tokens = measured["tokens"].as_f64().unwrap();
            let lines = place.read(&format!("data/{set}/test.jsonl")).lines().count();
            let expected = ((length + 1) * lines) as f64;
            assert!((tokens - expected).abs() <= lines as f64 + 1.0, "{run}: {tokens} of {expected}");
        }
    }
    place.fails("train tiny.toml --set data.field=text", 2, &["`field` without `dataset`"]);
    place.fails(
        "train tiny.toml --set model.architecture=encoder",
        2,
        &["model.architecture = \"encoder\" is not built yet"],
    );
}

#[test]
fn a_resumed_run_keeps_its_text() {
    let place = Place::with_run();
    place.write("text.txt", text(61));
    let expected = ["the data changed since this run began", "SHA-256", "--overwrite"];
    place.fails("train tiny.toml --resume --set train.steps=9", 1, &expected);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
