//! What a TOML shows: exit code 2 and a line that names file, line, key and what was expected.

use crate::place::{EXPERIMENT, Place};

/// Refuses the experiment with `from` replaced by `to`, at the line where `to` begins.
#[track_caller]
fn refused(place: &Place, from: &str, to: &str, expected: &[&str]) {
    let text = EXPERIMENT.replacen(from, to, 1);
    assert_ne!(text, EXPERIMENT, "{from}");
    place.write("wrong.toml", &text);
    let line = text[..text.find(to).unwrap()].matches('\n').count() + 1;
    place.fails("train wrong.toml", 2, &[&[format!("error: wrong.toml:{line}: ").as_str()], expected].concat());
}

#[test]
fn keys_that_there_are_not() {
    let place = Place::new();
    refused(&place, "heads = 2", "haeds = 2", &["model.haeds: unknown key; did you mean \"heads\"? expected"]);
    refused(&place, "[model]", "[modle]", &["modle: unknown key; did you mean \"model\"?"]);
    refused(&place, "name = \"tiny\"", "nom = 1", &["nom: unknown key", "expected name, seed, task"]);
}

#[test]
fn values_of_another_type() {
    let place = Place::new();
    refused(&place, "heads = 2", "heads = \"two\"", &["model.heads: found string \"two\", expected an integer"]);
    refused(&place, "heads = 2", "heads = 2.5", &["model.heads: found number 2.5, expected an integer"]);
    refused(&place, "\"text.txt\"", "7", &["data.path: found integer 7, expected a path in quotes"]);
    refused(&place, "[0.8, 0.1, 0.1]", "0.8", &["data.split: found number 0.8, expected a list"]);
}

#[test]
fn values_out_of_range() {
    let place = Place::new();
    refused(&place, "steps = 6", "steps = 0", &["train.steps: found 0, expected at least 1"]);
    refused(&place, "heads = 2", "dropout = nan", &["model.dropout: found nan, expected finite numbers"]);
    refused(&place, "[0.8, 0.1, 0.1]", "[0.9, 0.2]", &["data.split: found [0.9, 0.2]", "with the sum 1"]);
}

#[test]
fn parts_that_are_unknown_or_not_built_yet() {
    let place = Place::new();
    let attention = |kind: &str| format!("[attention]\nkind = \"{kind}\"\n[train]");
    for (kind, expected) in [
        ("fnet", "attention.kind = \"fnet\" is not built yet; built: vanilla, dense, factorized-dense, random, "),
        (
            "denes",
            "attention.kind: found \"denes\"; did you mean \"dense\"? expected vanilla, dense, factorized-dense, ",
        ),
        ("vanilla+denes", "attention.kind: found \"denes\"; did you mean \"dense\"? expected vanilla, dense, "),
        ("random+random", "attention.kind: found a mixture that names random twice, expected each part once"),
    ] {
        let text = EXPERIMENT.replace("[train]", &attention(kind));
        place.write("wrong.toml", text);
        place.fails("train wrong.toml", 2, &["error: wrong.toml:17: ", expected]);
    }
    let encoder = "architecture = \"encoder\"";
    refused(&place, "heads = 2", encoder, &["model.architecture = \"encoder\" is not built yet; built: decoder"]);
    place.write("wrong.toml", EXPERIMENT.replace("[train]", "[decode]\nbeam = 0\n[train]"));
    place.fails("train wrong.toml", 2, &["error: wrong.toml:17: decode.beam: found 0, expected at least 1"]);
}

#[test]
fn values_that_do_not_fit_one_another() {
    let place = Place::new();
    refused(&place, "heads = 2", "heads = 3", &["model.heads: 3 does not divide model.d_model = 16"]);
    refused(&place, "steps = 6\n", "epochs = 1\nsteps = 6\n", &["train.epochs: stands beside train.steps"]);
    refused(
        &place,
        "[train]\nsteps = 6\n",
        "[train]\n",
        &["train: no length found, expected train.steps or train.epochs"],
    );
    refused(&place, "batch_size = 4", "batch_tokens = 64\nbatch_size = 4", &["train.batch_tokens"]);
    refused(&place, "split = [0.8, 0.1, 0.1]", "train = \"text.txt\"", &["data.train", "stands beside data.path"]);
}

#[test]
fn files_that_are_no_experiments() {
    let place = Place::new();
    place.fails("train missing.toml", 2, &["missing.toml: no such file; expected a TOML file"]);
    place.fails("train .", 2, &[".: is a directory; expected a TOML file"]);
    place.make_fifo("pipe");
    place.fails("train pipe", 2, &["pipe: is no regular file; expected a TOML file"]);
    place.fails("ablate pipe", 2, &["pipe: is no regular file; expected a TOML file"]);
    place.write("binary.toml", [0x7f, b'E', b'L', b'F', 0, 0xff]);
    place.fails("train binary.toml", 2, &["binary.toml: is binary"]);
    place.write("syntax.toml", "name = \"tiny\"\n\n[model\n");
    place.fails("train syntax.toml", 2, &["syntax.toml:3: not valid TOML"]);
    place.write("loop.toml", "base = \"loop.toml\"\n");
    place.fails("train loop.toml", 2, &["loop.toml:1: base: loop.toml leads back to itself"]);
}

#[test]
fn sweeps_and_experiments_taken_for_each_other() {
    let place = Place::new();
    place.write("sweep.toml", "base = \"tiny.toml\"\nseeds = [1, 2]\n");
    place.fails("train sweep.toml", 2, &["sweep.toml:2: seeds: this is a sweep", "synth ablate"]);
    place.fails("ablate tiny.toml", 2, &["tiny.toml: found no grid, cell or seeds, expected a sweep", "synth train"]);
}
