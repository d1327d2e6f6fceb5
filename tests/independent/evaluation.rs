//! A trained model reaches the loss here that synth says it has, whatever the model is made of.

use serde_json::Value;

use crate::data::split_text;
use crate::experiment::{Experiment, evaluated};
use crate::folder::{RunFolder, number};
use crate::measure::{Figures, blocks, figures, mean_loss};
use crate::model::Model;
use crate::number::bfloat16;
use crate::plan::Plan;
use crate::text::sentences;

/// What differs between the trained models; any two choices meet in one of them (see the test).
type Case = [&'static str; 9];

const CASES: [Case; 10] = [
    ["random", "none", "untied", "byte", "default", "shorter", "fp64", "best", "path"],
    ["vanilla", "learned", "tied", "char", "own", "whole", "fp32", "last", "path"],
    ["random", "sinusoidal", "untied", "char", "own", "whole", "fp64", "best", "files"],
    ["vanilla", "sinusoidal", "tied", "byte", "default", "shorter", "fp32", "last", "glob"],
    ["random", "learned", "tied", "byte", "own", "shorter", "fp32", "best", "files"],
    ["vanilla", "none", "untied", "char", "default", "whole", "fp64", "last", "glob"],
    ["vanilla", "learned", "tied", "byte", "default", "whole", "fp64", "last", "files"],
    ["random", "learned", "untied", "char", "own", "shorter", "fp32", "best", "glob"],
    ["random", "none", "tied", "byte", "own", "shorter", "fp32", "last", "files"],
    ["vanilla", "sinusoidal", "untied", "byte", "own", "whole", "fp32", "best", "path"],
];

const MAX_LENGTH: usize = 24;

#[test]
fn any_two_choices_meet_in_a_case() {
    for (first, second) in (0..9).flat_map(|second| (0..second).map(move |first| (first, second))) {
        let met: std::collections::HashSet<_> = CASES.iter().map(|case| (case[first], case[second])).collect();
        let count = |index: usize| CASES.iter().map(|case| case[index]).collect::<std::collections::HashSet<_>>().len();
        assert_eq!(met.len(), count(first) * count(second), "choices {first} and {second}");
    }
}

#[test]
fn the_losses_agree_whatever_the_model_is_made_of() {
    for case in CASES {
        check(case);
    }
}

fn check(case: Case) {
    let run = experiment(case).train();
    let [.., precision, checkpoint, _] = case;
    let bound = if precision == "fp64" { 1e-9 } else { 1e-5 };
    let (name, ours) = rebuilt(&run, checkpoint, |x| x);
    let theirs = evaluated(&run, checkpoint, "validation");
    assert_eq!(theirs["checkpoint"], name.as_str(), "{case:?}");
    compare(&theirs, &ours, bound, &format!("{case:?}"));
    assert_eq!(run.text("eval/validation.predictions.txt"), ours.predictions, "{case:?}, {}", ours.narrowest_lead);
    let step = name.strip_prefix("step-").expect("step-N");
    let rows = run.rows("validation");
    let row = rows.iter().rfind(|row| row["step"] == step).expect("a row of the checkpoint's evaluation");
    for (column, figure) in [
        ("loss", ours.loss),
        ("perplexity", ours.perplexity),
        ("bits_per_byte", ours.bits_per_byte),
        ("accuracy", ours.accuracy),
    ] {
        near(number(row, column), figure, bound, &format!("{case:?}: {column} of metrics.csv"));
    }
    let before = number(&rows[0], "loss");
    assert!((before - number(&rows[rows.len() - 1], "loss")).abs() > 0.01, "{case:?}: the weights have moved");
}

/// An experiment of the case, whose best checkpoint is an early one, so that it differs from the last.
fn experiment(case: Case) -> Experiment {
    let [kind, positions, tied, tokenizer, head_width, fit, precision, _, source] = case;
    let quoted = |text: &str| format!("{text:?}");
    let (kind, positions, tokenizer, precision) =
        (quoted(kind), quoted(positions), quoted(tokenizer), quoted(precision));
    let mut keys = vec![
        ("attention.kind", kind.as_str()),
        ("attention.random.init_std", "0.7"),
        ("model.positions", &positions),
        ("model.tie_embeddings", if tied == "tied" { "true" } else { "false" }),
        ("model.layers", "2"),
        ("model.d_model", "12"),
        ("model.heads", "3"),
        ("model.max_length", "24"),
        ("tokenizer.kind", &tokenizer),
        ("optimizer.lr", "0.02"),
        ("train.steps", "20"),
        ("train.batch_size", "8"),
        ("train.eval_every", "5"),
        ("train.best", "{ metric = \"loss\", mode = \"max\" }"),
        ("train.precision", &precision),
    ];
    if head_width == "own" {
        keys.extend([("model.head_width", "5"), ("model.d_ff", "20")]);
    }
    let (train, validation) = (sentences(1, 3000), validation_text(&tokenizer, fit));
    let middle = validation.char_indices().nth(300).expect("more than 300 characters").0;
    match source {
        "path" => {
            let (whole, shares) = in_one(&train, &validation);
            keys.extend([("data.path", "\"whole.txt\""), ("data.split", &shares)]);
            Experiment::new(&[("whole.txt", &whole)], &keys)
        }
        "glob" => {
            keys.extend([("data.train", "\"train.txt\""), ("data.validation", "\"part-*.txt\"")]);
            let (first, second) = validation.split_at(middle);
            Experiment::new(&[("train.txt", &train), ("part-2.txt", second), ("part-10.txt", first)], &keys)
        }
        _ => {
            keys.extend([("data.train", "\"train.txt\""), ("data.validation", "\"validation.txt\"")]);
            Experiment::new(&[("train.txt", &train), ("validation.txt", &validation)], &keys)
        }
    }
}

/// A text with a character that no train text has, whose targets fill whole blocks or leave a shorter one.
fn validation_text(tokenizer: &str, fit: &str) -> String {
    let mut text = format!("é. {}Ω said Ωmega\n", sentences(2, 600));
    let left_over = |text: &str| {
        let tokens = if tokenizer.contains("byte") { text.len() } else { text.chars().count() };
        (tokens - 1) % MAX_LENGTH
    };
    while (left_over(&text) == 0) != (fit == "whole") {
        text.push('x');
    }
    text
}

/// One text that holds both, and the shares that cut it between them.
fn in_one(train: &str, validation: &str) -> (String, String) {
    let (first, second) = (train.chars().count() as f64, validation.chars().count() as f64);
    // The half keeps the border clear of rounding.
    let share = (first + 0.5) / (first + second);
    (format!("{train}{validation}"), format!("[{share:?}, {:?}]", 1.0 - share))
}

#[test]
fn bfloat16_reaches_nearly_the_loss_of_a_computation_rounded_alike() {
    for kind in ["vanilla", "random"] {
        let run = experiment([kind, "learned", "tied", "byte", "own", "shorter", "bf16", "last", "files"]).train();
        let theirs = evaluated(&run, "last", "validation");
        let loss = theirs["loss"].as_f64().expect("a loss");
        eprintln!("{kind} theirs {loss} rounded {} exact {}", rebuilt(&run, "last", bfloat16).1.loss, rebuilt(&run, "last", |x| x).1.loss);
        near(loss, rebuilt(&run, "last", bfloat16).1.loss, 2e-4, &format!("{kind}, rounded"));
        near(loss, rebuilt(&run, "last", |x| x).1.loss, 5e-3, &format!("{kind}, not rounded"));
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
    let model = model(&run, &run.checkpoint("last"), |x| x);
    let stream = tokenizer.tokens(&split_text(&config, "validation"));
    let ours = mean_loss(&model, &blocks(&stream, 10)[..8]);
    near(number(&run.rows("validation")[0], "loss"), ours, 1e-9, "eight blocks of the validation split");
    let test = figures(&model, &tokenizer, &split_text(&config, "test"));
    compare(&evaluated(&run, "last", "test"), &test, 1e-9, "the test split");
}

/// The name of the checkpoint that `best` or `last` names, and the figures of its model on the validation split.
fn rebuilt(run: &RunFolder, checkpoint: &str, round: fn(f64) -> f64) -> (String, Figures) {
    let name = run.checkpoint(checkpoint);
    let text = split_text(&run.config(), "validation");
    let figures = figures(&model(run, &name, round), &run.tokenizer(), &text);
    (name, figures)
}

/// The model of a checkpoint, its tensors being those that the documentation names.
fn model(run: &RunFolder, checkpoint: &str, round: fn(f64) -> f64) -> Model<f64> {
    let plan = Plan::new(&run.config(), run.tokenizer().vocabulary_size());
    let tensors = run.tensors(checkpoint, "model");
    let mut documented = plan.shapes();
    documented.sort();
    let found: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    assert_eq!(found, documented);
    Model { plan, weights: tensors.into_iter().map(|(name, tensor)| (name, tensor.values)).collect(), round }
}

fn compare(theirs: &Value, ours: &Figures, bound: f64, what: &str) {
    assert_eq!(theirs["tokens"], ours.tokens, "{what}: tokens");
    let figure = |theirs: &Value| theirs.as_f64().unwrap_or_else(|| panic!("{what}: a figure, found {theirs}"));
    eprintln!("{what} {:e}", (figure(&theirs["loss"])-ours.loss).abs());
    near(figure(&theirs["loss"]), ours.loss, bound, &format!("{what}: loss"));
    near(figure(&theirs["perplexity"]), ours.perplexity, bound, &format!("{what}: perplexity"));
    near(figure(&theirs["bits_per_byte"]), ours.bits_per_byte, bound, &format!("{what}: bits per byte"));
    near(figure(&theirs["metrics"]["accuracy"]), ours.accuracy, bound, &format!("{what}: accuracy"));
    // The logarithm, because the nats of a whole word make the power large.
    near(figure(&theirs["word_perplexity"]).ln(), ours.word_perplexity.ln(), 10.0 * bound, &format!("{what}: per word"));
}

/// Two figures differ by no more than the bound, as a share of the greater where that exceeds 1.
fn near(theirs: f64, ours: f64, bound: f64, what: &str) {
    let scale = theirs.abs().max(ours.abs()).max(1.0);
    assert!((theirs - ours).abs() <= bound * scale, "{what}: synth says {theirs}, the documentation {ours}");
}
