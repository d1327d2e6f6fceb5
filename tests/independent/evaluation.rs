//! A trained model reaches the loss here that synth says it has, whatever the model is made of.

use serde_json::Value;

use crate::cases::{CASES, Case, experiment};
use crate::data::split_text;
use crate::experiment::{Experiment, evaluated};
use crate::folder::{Row, RunFolder, number};
use crate::measure::{Figures, blocks, figures, mean_loss};
use crate::model::rebuilt;
use crate::number::bfloat16;
use crate::records::check_records;
use crate::text::sentences;

#[test]
fn the_losses_of_vanilla_attention_agree_whatever_else_the_model_is_made_of() {
    CASES.into_iter().filter(|case| case[0] == "vanilla").for_each(check);
}

#[test]
fn the_losses_of_random_attention_agree_whatever_else_the_model_is_made_of() {
    CASES.into_iter().filter(|case| case[0] == "random").for_each(check);
}

fn check(case: Case) {
    let run = experiment(case).train();
    let [.., precision, checkpoint, _] = case;
    let bound = if precision == "fp64" { 1e-11 } else { 1e-6 };
    let (name, ours) = validated(&run, checkpoint, |x| x);
    let theirs = evaluated(&run, checkpoint, "validation");
    assert_eq!(theirs["checkpoint"], name.as_str(), "{case:?}");
    compare(&theirs, &ours, bound, &format!("{case:?}"));
    assert_eq!(run.text("eval/validation.predictions.txt"), ours.predictions, "{case:?}, {}", ours.narrowest_lead);
    let step = name.strip_prefix("step-").expect("step-N");
    let rows = run.rows("validation");
    let row = rows.iter().rfind(|row| row["step"] == step).expect("a row of the checkpoint's evaluation");
    compare_row(row, &ours, bound, &format!("{case:?}"));
    let before = number(&rows[0], "loss");
    assert!((before - number(&rows[rows.len() - 1], "loss")).abs() > 0.01, "{case:?}: the weights have moved");
    check_records(&run, &format!("{case:?}"));
}

#[test]
fn the_losses_in_bfloat16_nearly_agree_with_those_of_a_computation_rounded_alike() {
    // A fused kernel, which vanilla attention has, rounds the weights in an order of its own.
    for (kind, bound) in [("vanilla", 2e-4), ("random", 1e-5)] {
        let run = experiment([kind, "learned", "tied", "byte", "own", "shorter", "bf16", "last", "files"]).train();
        let loss = evaluated(&run, "last", "validation")["loss"].as_f64().expect("a loss");
        near(loss, validated(&run, "last", bfloat16).1.loss, bound, &format!("{kind}, rounded"));
        near(loss, validated(&run, "last", |x| x).1.loss, 1e-3, &format!("{kind}, not rounded"));
    }
}

#[test]
fn an_evaluation_in_training_reads_the_first_batches() {
    let keys = [
        ("data.path", "\"text.txt\""),
        ("data.split", "[0.6, 0.25, 0.15]"),
        ("model.layers", "1"),
        ("model.d_model", "8"),
        ("model.heads", "2"),
        ("model.max_length", "10"),
        ("train.steps", "3"),
        ("train.batch_size", "4"),
        ("train.eval_batches", "2"),
        ("train.precision", "\"fp64\""),
    ];
    let run = Experiment::new(&[("text.txt", &sentences(3, 1234))], &keys).train();
    let (config, tokenizer) = (run.config(), run.tokenizer());
    let model = rebuilt(&run, &run.checkpoint("last"), |x| x);
    let stream = tokenizer.tokens(&split_text(&config, "validation"));
    let ours = mean_loss(&model, &blocks(&stream, 10)[..8]);
    near(number(&run.rows("validation")[0], "loss"), ours, 1e-11, "eight blocks of the validation split");
    let test = figures(&model, &tokenizer, &split_text(&config, "test"));
    compare(&evaluated(&run, "last", "test"), &test, 1e-11, "the test split");
}

/// The name of the checkpoint that `best` or `last` names, and the figures of its model on the validation split.
pub fn validated(run: &RunFolder, checkpoint: &str, round: fn(f64) -> f64) -> (String, Figures) {
    let name = run.checkpoint(checkpoint);
    let text = split_text(&run.config(), "validation");
    let figures = figures(&rebuilt(run, &name, round), &run.tokenizer(), &text);
    (name, figures)
}

/// Compares a validation row of `metrics.csv` with our figures.
pub fn compare_row(row: &Row, ours: &Figures, bound: f64, what: &str) {
    for (column, figure) in [
        ("loss", ours.loss),
        ("perplexity", ours.perplexity),
        ("bits_per_byte", ours.bits_per_byte),
        ("accuracy", ours.accuracy),
    ] {
        near(number(row, column), figure, bound, &format!("{what}: {column} of metrics.csv"));
    }
}

/// Compares what `synth eval` prints with our figures.
fn compare(theirs: &Value, ours: &Figures, bound: f64, what: &str) {
    assert_eq!(theirs["tokens"], ours.tokens, "{what}: tokens");
    let figure = |theirs: &Value| theirs.as_f64().unwrap_or_else(|| panic!("{what}: a figure, found {theirs}"));
    near(figure(&theirs["loss"]), ours.loss, bound, &format!("{what}: loss"));
    near(figure(&theirs["perplexity"]), ours.perplexity, bound, &format!("{what}: perplexity"));
    near(figure(&theirs["bits_per_byte"]), ours.bits_per_byte, bound, &format!("{what}: bits per byte"));
    near(figure(&theirs["metrics"]["accuracy"]), ours.accuracy, bound, &format!("{what}: accuracy"));
    // The logarithms, because the nats of a whole word make the power large.
    near(figure(&theirs["word_perplexity"]).ln(), ours.word_perplexity.ln(), bound, &format!("{what}: per word"));
}

/// Two figures differ by no more than the bound, as a share of the greater where that exceeds 1.
pub fn near(theirs: f64, ours: f64, bound: f64, what: &str) {
    let scale = theirs.abs().max(ours.abs()).max(1.0);
    assert!((theirs - ours).abs() <= bound * scale, "{what}: synth says {theirs}, the documentation {ours}");
}
