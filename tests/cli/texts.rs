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
