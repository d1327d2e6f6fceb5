//! Tokenizers and rows of a language model, from training to generation.

use crate::place::{Place, RUN, text};

const KINDS: [&str; 5] = ["bpe", "unigram", "word", "char", "byte"];

fn figure(place: &Place, arguments: &str, name: &str) -> f64 {
    place.succeeds(arguments).json()[name].as_f64().unwrap()
}

#[test]
fn every_kind_trains_goes_on_and_is_measured() {
    for kind in KINDS {
        let place = Place::new();
        for rows in ["blocks", "records"] {
            let options = format!("--set tokenizer.kind={kind} --set data.rows={rows} --run {rows}");
            place.succeeds(&format!("train tiny.toml {options}"));
            let run = format!("results/tiny/{rows}");
            let tokenizer = place.read(&format!("{run}/tokenizer.json"));
            assert!(tokenizer.starts_with(&format!("{{\"kind\":\"{kind}\"")), "{tokenizer}");
            assert_eq!(tokenizer.contains("</s>"), rows == "records", "{kind}");
            place.succeeds(&format!("train tiny.toml {options} --resume --set train.steps=8"));
            assert_eq!(place.read(&format!("{run}/tokenizer.json")), tokenizer);
            let measured = place.succeeds(&format!("eval {run} --split test --json")).json();
            let bits = measured["loss"].as_f64().unwrap() / 2f64.ln() * measured["tokens"].as_f64().unwrap();
            let bytes = bits / measured["bits_per_byte"].as_f64().unwrap();
            // The test split is a tenth of the text; the first token of blocks does not count.
            let split = text(60).len() as f64 / 10.0;
            assert!((bytes - split).abs() < 25.0, "{kind} {rows}: {bytes} of {split}");
            let printed = place.succeeds_on("line 1 of", &format!("generate {run} --max-tokens 9 --greedy")).stdout;
            assert!(printed.starts_with("line 1 of"), "{printed}");
            let environment: serde_json::Value =
                serde_json::from_str(&place.read(&format!("{run}/environment.json"))).unwrap();
            assert_eq!(environment["tokenizer_sha256"].as_str().unwrap().len(), 64);
            assert_eq!(environment["padding"]["train"].is_number(), rows == "records");
        }
    }
}

#[test]
fn cells_share_what_was_trained() {
    let place = Place::new();
    for run in ["a", "b"] {
        place.succeeds(&format!("train tiny.toml --set tokenizer.kind=unigram --run {run}"));
    }
    let [a, b] = ["a", "b"].map(|run| place.read(&format!("results/tiny/{run}/tokenizer.json")));
    assert_eq!(a, b);
    assert_eq!(place.names("data/.tokens").len(), 1);
}

#[test]
fn another_tokenizer_is_an_error() {
    let place = Place::new();
    place.succeeds("train tiny.toml --set tokenizer.kind=char");
    let file = format!("{RUN}/tokenizer.json");
    place.write(&file, place.read(&file).replace("\"a\"", "\"A\"").replace("\"A\",", ""));
    let expected = ["tokenizer.json is not the one that the run began with", "SHA-256", "restore it"];
    place.fails(&format!("eval {RUN}"), 1, &expected);
    place.fails("train tiny.toml --resume --set tokenizer.kind=char --set train.steps=9", 1, &expected);
    place.fails_on("a", &format!("generate {RUN}"), 1, &expected);
}

#[test]
fn a_tokenizer_that_cannot_be_compared_is_said() {
    let place = Place::with_run();
    place.write(&format!("{RUN}/environment.json"), "{");
    place.fails_on("a", &format!("generate {RUN}"), 1, &["environment.json"]);
    std::fs::remove_file(place.path(&format!("{RUN}/environment.json"))).unwrap();
    let finished = place.succeeds_on("a", &format!("generate {RUN} --max-tokens 2"));
    assert!(finished.stderr.contains("whether tokenizer.json is the run's own is not known"), "{}", finished.stderr);
}

#[test]
fn rows_are_the_runs_own() {
    let place = Place::with_run();
    let set = format!("eval {RUN} --set data.rows=records");
    place.fails(&set, 2, &["data.rows = \"records\": the run's tokenizer has no </s>"]);
    let options = "--set data.rows=records --run records";
    place.succeeds(&format!("train tiny.toml {options}"));
    let whole = figure(&place, "eval results/tiny/records --json --split test", "tokens");
    place.write("other.txt", "a line\nanother line\n\nlast");
    let other = figure(&place, "eval results/tiny/records --json --split test --set data.test=other.txt", "tokens");
    // Every byte but line feeds, and an end for each record.
    assert_eq!(other, 6.0 + 12.0 + 4.0 + 3.0);
    assert!(whole > other);
    let predictions = place.read("results/tiny/records/eval/test.predictions.txt");
    assert!(predictions.ends_with('\n'));
    assert!(predictions.lines().count() >= 3);
    place.fails("train tiny.toml --set data.rows=lines", 2, &["data.rows", "blocks", "records"]);
    place.fails("train tiny.toml --set data.long_records=drop", 2, &["data.long_records", "cut", "skip"]);
    place.fails("train tiny.toml --set tokenizer.vocab_size=299", 2, &["tokenizer.vocab_size"]);
}

#[test]
fn prompts_may_lie_in_a_file() {
    let place = Place::with_run();
    place.write("prompts.txt", "line\na");
    let options = "--max-tokens 3 --greedy --device cpu";
    let from_file = place.succeeds(&format!("generate {RUN} prompts.txt {options}")).stdout;
    assert_eq!(place.succeeds_on("line\na", &format!("generate {RUN} - {options}")).stdout, from_file);
    place.fails(&format!("generate {RUN} none.txt"), 2, &["no such file: none.txt"]);
}
