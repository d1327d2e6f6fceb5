//! A trained encoder-decoder reaches the loss and the accuracy here that synth says it has, whatever it is made of.

use crate::bitext::{Pair, pairs, texts, whole};
use crate::buckets::evaluation;
use crate::config::Config;
use crate::evaluation::near;
use crate::experiment::evaluated;
use crate::folder::{RunFolder, number};
use crate::kinds::reported;
use crate::measure::{first_choice, mean_loss};
use crate::model::rebuilt;
use crate::pair_records::check_pair_records;
use crate::two_sides::{Factor, experiment, trainings};
use crate::variants::Key;

const FACTORS: [Factor; 11] = [
    &[
        &[("attention.kind", "\"vanilla\"")],
        &[
            ("attention.kind", "\"vanilla\""),
            ("attention.encoder", "\"dense\""),
            ("attention.cross", "\"random+vanilla\""),
            ("attention.mixture.per", "\"head\""),
        ],
        &[
            ("attention.encoder", "\"factorized-random\""),
            ("attention.decoder", "\"random\""),
            ("attention.cross", "\"dense\""),
            ("attention.dense.shared_output", "true"),
        ],
        &[
            ("attention.kind", "\"factorized-dense\""),
            ("attention.decoder", "\"random+dense\""),
            ("attention.cross", "\"factorized-dense\""),
            ("attention.dense.shared_query", "true"),
        ],
        &[
            ("attention.kind", "\"fixed-random+factorized-dense\""),
            ("attention.cross", "\"factorized-random\""),
            ("attention.factorized-random.rank", "3"),
            ("attention.mixture.weights", "\"sum\""),
        ],
    ],
    &[
        &[("tokenizer.kind", "\"byte\"")],
        &[("tokenizer.kind", "\"word\""), ("tokenizer.min_frequency", "2"), ("model.max_length", "5")],
        &[("tokenizer.kind", "\"bpe\""), ("tokenizer.vocab_size", "300"), ("model.max_length", "7")],
    ],
    &[
        &[("tokenizer.joint", "true")],
        &[("tokenizer.joint", "true"), ("model.share_embeddings", "false")],
        &[("tokenizer.joint", "false")],
    ],
    &[
        &[("model.positions", "\"learned\"")],
        &[("model.positions", "\"sinusoidal\"")],
        &[("model.positions", "\"relative\""), ("model.relative_buckets", "9"), ("model.relative_distance", "7")],
        &[("model.positions", "\"none\"")],
    ],
    &[
        &[("task.kind", "\"translation\"")],
        &[("task.kind", "\"translation\""), ("data.long_records", "\"cut\""), ("data.length_ratio", "2.5")],
        &[("task.kind", "\"summarization\""), ("data.max_target_length", "5")],
        &[("task.kind", "\"dialogue\""), ("data.max_source_length", "4")],
    ],
    &[
        &[("model.norm_position", "\"pre\"")],
        &[("model.norm_position", "\"post\"")],
        &[("model.norm_position", "\"pre\""), ("model.norm", "\"rms\"")],
    ],
    &[&[("model.tie_embeddings", "true")], &[("model.tie_embeddings", "false")]],
    &[
        &[("model.encoder_layers", "1")],
        &[("model.decoder_layers", "1"), ("model.head_width", "5")],
        &[("model.activation", "\"swiglu\"")],
    ],
    &[
        &[("model.bias", "true"), ("attention.bias", "true"), ("attention.dense.bias", "true")],
        &[("model.bias", "false")],
    ],
    &[&[("train.precision", "\"fp64\"")], &[("train.precision", "\"fp32\"")]],
    &[&[("train.batch_size", "4")], &[("train.batch_tokens", "40")]],
];

#[test]
fn the_losses_on_pairs_agree_in_the_first_half_of_the_trainings() {
    let trainings = trainings(&FACTORS);
    trainings[..trainings.len() / 2].iter().for_each(|keys| check(keys));
}

#[test]
fn the_losses_on_pairs_agree_in_the_second_half_of_the_trainings() {
    let trainings = trainings(&FACTORS);
    trainings[trainings.len() / 2..].iter().for_each(|keys| check(keys));
}

#[test]
fn the_losses_of_hybrid_halves_agree() {
    check(&[
        ("attention.layers", "[\"vanilla\", \"random\", \"random\", \"factorized-dense+vanilla\"]"),
        ("model.positions", "\"relative\""),
    ]);
    check(&[
        ("attention.layers", "[\"dense\", \"vanilla\", \"vanilla\"]"),
        ("model.encoder_layers", "1"),
        ("attention.cross", "\"fixed-random+factorized-dense+dense+vanilla\""),
    ]);
}

fn check(keys: &[Key]) {
    let what = format!("{keys:?}");
    let run = experiment(keys, 24, [1, 5]).train();
    let bound = if run.config().text("train.precision") == Some("fp32") { 1e-6 } else { 1e-11 };
    let ours = measured(&run);
    let theirs = evaluated(&run, "last", "validation");
    assert_eq!(theirs["tokens"], ours.tokens, "{what}");
    let figure = |theirs: &serde_json::Value| theirs.as_f64().unwrap_or_else(|| panic!("{what}: a figure"));
    near(figure(&theirs["loss"]), ours.loss, bound, &what);
    near(figure(&theirs["perplexity"]), ours.loss.exp(), bound, &what);
    near(figure(&theirs["metrics"]["accuracy"]), ours.accuracy, 1e-12, &format!("{what}, lead {:e}", ours.narrowest));
    let row = run.rows("validation").pop().expect("an evaluation at the end");
    near(number(&row, "loss"), ours.loss, bound, &what);
    near(number(&row, "accuracy"), ours.accuracy, 1e-12, &what);
    assert_eq!(run.metadata(&run.checkpoint("last"))["kind"], reported(&run.config()), "{what}");
    check_pair_records(&run, &what);
    check_bounds(&run, &what);
}

/// Bounds change what is measured and, with its padding, what training reads.
fn check_bounds(run: &RunFolder, what: &str) {
    let config = run.config();
    let (tokenizers, [sources, targets]) = (run.tokenizers(), texts(&config, "validation"));
    let lines = sources.lines().zip(targets.lines()).enumerate();
    let whole: Vec<_> = lines.map(|(line, (source, target))| whole(&tokenizers, line, source, target)).collect();
    let measured = pairs(run, &config, "validation");
    let cut = |of: fn(&Pair) -> usize| whole.iter().zip(&measured).any(|(whole, cut)| of(whole) > of(cut));
    assert!(cut(|pair| pair.source.len()) && cut(|pair| pair.target.len()), "{what}: sources and targets are cut");
    let read = |config: &Config| pairs(run, config, "train").len();
    for (key, lax) in [("data.long_records", "\"cut\""), ("data.length_ratio", "1000.0")] {
        let binds = key != "data.long_records" || config.text(key) == Some("skip");
        if config.value(key).is_some() && binds {
            assert!(read(&config) < read(&config.with(key, lax)), "{what}: {key} leaves pairs out");
        }
    }
}

/// The figures of a run's last checkpoint on its validation split.
struct Figures {
    tokens: usize,
    loss: f64,
    accuracy: f64,
    narrowest: f64,
}

fn measured(run: &RunFolder) -> Figures {
    let pairs = pairs(run, &run.config(), "validation");
    let blocks: Vec<_> = pairs.iter().map(|pair| pair.block()).collect();
    let model = rebuilt(run, &run.checkpoint("last"), |x| x);
    let (mut right, mut tokens, mut narrowest) = (0, 0, f64::INFINITY);
    for block in &blocks {
        for (logits, target) in model.logits(*block).iter().zip(block.targets) {
            let (choice, lead) = first_choice(logits);
            right += usize::from(choice == *target);
            tokens += 1;
            narrowest = narrowest.min(lead);
        }
    }
    Figures { tokens, loss: mean_loss(&model, &blocks), accuracy: right as f64 / tokens as f64, narrowest }
}

#[test]
fn an_evaluation_in_training_reads_the_first_batches_of_pairs() {
    let run =
        experiment(&[("train.eval_batches", "2"), ("train.batch_size", "2"), ("model.max_length", "40")], 24, [1, 5])
            .train();
    let config = run.config();
    let pairs = pairs(&run, &config, "validation");
    let batches = evaluation(&config, &pairs);
    assert!(batches.iter().any(|batch| batch.shape != batches[0].shape), "batches of unlike shapes");
    let rows = batches[..2].iter().flat_map(|batch| &batch.rows);
    let blocks: Vec<_> = rows.map(|row| pairs[*row].block()).collect();
    let ours = mean_loss(&rebuilt(&run, &run.checkpoint("last"), |x| x), &blocks);
    near(number(&run.rows("validation")[0], "loss"), ours, 1e-11, "two batches of the validation split");
}
