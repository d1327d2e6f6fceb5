//! What synth writes for sources is what a plain search finds, which reads each hypothesis anew.

use std::collections::HashSet;

use crate::bitext::{bounds, cut, whole};
use crate::evaluation::near;
use crate::experiment::generated;
use crate::folder::RunFolder;
use crate::model::rebuilt;
use crate::search::{Search, greedy};
use crate::two_sides::experiment;
use crate::variants::Key;

const PLAIN: Search = Search { beam: 3, penalty: 0.6, power: false, least: 0, most: 11, no_repeat: 0 };

const SOURCES: &str = "the cat\nblue dog's naïve garçon sleeps and né slowly\nI\n\nΩ über\na a\nto the blue\n";

#[test]
fn outputs_of_models_of_characters_and_words_agree() {
    check(&[("train.steps", "40"), ("decode.max_length", "40")]);
    check(&[
        ("train.steps", "40"),
        ("tokenizer.kind", "\"word\""),
        ("tokenizer.min_frequency", "1"),
        ("model.norm_position", "\"post\""),
        ("model.positions", "\"relative\""),
        ("model.relative_distance", "17"),
        ("attention.encoder", "\"random\""),
        ("attention.decoder", "\"factorized-dense+dense\""),
        ("attention.cross", "\"random+vanilla\""),
        ("task.kind", "\"dialogue\""),
        ("data.max_source_length", "5"),
    ]);
}

#[test]
fn outputs_of_models_of_bytes_and_their_runs_agree() {
    check(&[
        ("train.steps", "40"),
        ("tokenizer.kind", "\"byte\""),
        ("model.positions", "\"sinusoidal\""),
        ("attention.decoder", "\"factorized-random\""),
        ("attention.cross", "\"dense\""),
        ("model.tie_embeddings", "false"),
    ]);
    check(&[
        ("train.steps", "40"),
        ("tokenizer.kind", "\"bpe\""),
        ("tokenizer.vocab_size", "300"),
        ("tokenizer.joint", "false"),
        ("model.positions", "\"none\""),
        ("attention.decoder", "\"random\""),
        ("attention.cross", "\"fixed-random+factorized-dense\""),
    ]);
}

fn check(keys: &[Key]) {
    let run = experiment(&[keys, &[("data.long_records", "\"cut\"")]].concat(), 40, [4, 6]).train();
    check_greedy(&run, keys);
    compare(&run, PLAIN, &["--beam", "3", "--scores"], keys);
    compare(
        &run,
        Search { beam: 2, penalty: 0.0, ..PLAIN },
        &["--beam", "2", "--length-penalty", "0", "--n-best", "2"],
        keys,
    );
    let few = Search { beam: 4, least: 2, most: 4, penalty: 1.3, no_repeat: 2, ..PLAIN };
    let arguments =
        ["--beam", "4", "--n-best", "4", "--min-tokens", "2", "--max-tokens", "4", "--length-penalty", "1.3"];
    compare(&run, few, &[&arguments[..], &["--no-repeat-ngram", "2"]].concat(), keys);
    // Only outputs of four tokens end, where an end is likely enough there.
    let exact = Search { beam: 2, least: 4, most: 4, ..PLAIN };
    compare(&run, exact, &["--beam", "2", "--n-best", "2", "--min-tokens", "4", "--max-tokens", "4"], keys);
}

/// The sources as the model reads them.
fn sources(run: &RunFolder) -> Vec<Vec<usize>> {
    let (config, tokenizers) = (run.config(), run.tokenizers());
    let read = |line: &str| cut(&config, bounds(&config), whole(&tokenizers, 0, line, "")).source;
    SOURCES.lines().map(read).collect()
}

fn check_greedy(run: &RunFolder, keys: &[Key]) {
    let model = rebuilt(run, &run.checkpoint("last"), |x| x);
    let tokenizer = run.tokenizer();
    let arguments = ["--beam", "1", "--min-tokens", "3"];
    let theirs = generated(run, SOURCES, &arguments);
    for (line, source) in sources(run).iter().enumerate() {
        let ours = if source.len() == 1 { vec![] } else { greedy(&model, &tokenizer, source, [3, 11]) };
        assert_eq!(theirs["lines"][line]["outputs"][0]["text"], tokenizer.text(&ours), "{keys:?}, line {line}");
    }
    compare(run, Search { beam: 1, least: 3, ..PLAIN }, &arguments, keys);
}

fn compare(run: &RunFolder, search: Search, arguments: &[&str], keys: &[Key]) {
    let model = rebuilt(run, &run.checkpoint("last"), |x| x);
    let tokenizer = run.tokenizer();
    let theirs = generated(run, SOURCES, arguments);
    let lines = theirs["lines"].as_array().expect("a list of lines");
    let sources = sources(run);
    assert_eq!(lines.len(), sources.len(), "{keys:?}");
    let probabilities: HashSet<String> = lines.iter().map(|line| line["outputs"][0].to_string()).collect();
    assert!(probabilities.len() + 1 >= lines.len(), "{keys:?}: sources matter: {probabilities:?}");
    for (line, source) in lines.iter().zip(&sources) {
        let ours = search.outputs(&model, &tokenizer, source);
        let outputs = line["outputs"].as_array().expect("a list of outputs");
        assert!(!outputs.is_empty(), "{keys:?}");
        for (output, ours) in outputs.iter().zip(&ours) {
            let what = format!("{keys:?}, {search:?}, {:?} gives {output} or {ours:?}", line["source"]);
            assert_eq!(output["text"], tokenizer.text(&ours.tokens), "{what}");
            assert_eq!(
                (&output["tokens"], &output["ended"]),
                (&ours.tokens.len().into(), &ours.ended.into()),
                "{what}"
            );
            for (figure, ours) in [("score", ours.score), ("log_probability", ours.log_probability)] {
                near(output[figure].as_f64().expect("a number"), ours, 1e-11, &what);
            }
        }
    }
}
