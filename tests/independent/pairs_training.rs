//! Updates of encoder-decoders, repeated from a run's first checkpoint and its log of batches.

use crate::bitext::{pairs, texts};
use crate::buckets::epoch;
use crate::folder::RunFolder;
use crate::logged::micro_batches;
use crate::random::initial;
use crate::repetition::{Differences, differences};
use crate::two_sides::experiment;
use crate::variants::Key;

const LOGGED: [Key; 5] = [
    ("train.steps", "25"),
    ("train.log_every", "1"),
    ("train.save_initial", "true"),
    ("train.log_batches", "true"),
    ("model.max_length", "14"),
];

/// A run of pairs whose updates can be repeated.
pub fn trained(keys: &[Key]) -> RunFolder {
    let others = LOGGED.iter().filter(|(key, _)| keys.iter().all(|(given, _)| given != key));
    let keys: Vec<Key> = others.chain(keys).copied().collect();
    experiment(&keys, 14, [1, 3]).train()
}

#[test]
fn updates_of_adamw_agree() {
    check(&[("optimizer.schedule.warmup", "5"), ("train.label_smoothing", "0.1"), ("train.z_loss", "1e-3")]);
    check(&[
        ("model.norm_position", "\"post\""),
        ("model.positions", "\"relative\""),
        ("model.relative_buckets", "6"),
        ("model.relative_distance", "9"),
        ("model.activation", "\"gelu\""),
        ("attention.encoder", "\"dense\""),
        ("attention.decoder", "\"factorized-random+vanilla\""),
        ("attention.cross", "\"random+vanilla\""),
        ("attention.dense.bias", "true"),
        ("attention.bias", "true"),
        ("tokenizer.joint", "false"),
        ("model.init", "\"xavier\""),
        ("train.ema", "0.9"),
    ]);
}

#[test]
fn updates_of_other_rules_agree() {
    check(&[
        ("data.long_records", "\"cut\""),
        ("model.positions", "\"sinusoidal\""),
        ("model.norm", "\"rms\""),
        ("model.share_embeddings", "false"),
        ("model.tie_embeddings", "false"),
        ("model.encoder_layers", "1"),
        ("model.init", "\"gpt2\""),
        ("attention.kind", "\"random\""),
        ("attention.cross", "\"fixed-random\""),
        ("optimizer.kind", "\"adafactor\""),
        ("optimizer.lr", "0.05"),
        ("optimizer.adafactor.min_factored", "4"),
        ("train.accumulate", "2"),
    ]);
    check(&[
        ("task.kind", "\"dialogue\""),
        ("data.max_source_length", "3"),
        ("model.decoder_layers", "1"),
        ("attention.cross", "\"factorized-dense\""),
        ("tokenizer.kind", "\"word\""),
        ("tokenizer.min_frequency", "1"),
        ("optimizer.kind", "\"sgd\""),
        ("optimizer.lr", "0.3"),
        ("optimizer.momentum", "0.9"),
        ("train.batch_tokens", "45"),
    ]);
}

fn check(keys: &[Key]) {
    let run = trained(keys);
    check_start(&run, keys);
    check_order(&run, keys);
    for (what, difference) in differences(&run, &run.config()) {
        assert!(difference <= 1e-8, "{keys:?}: {what} differs by {difference:e}");
    }
}

/// The first checkpoint holds what follows from the seed.
fn check_start(run: &RunFolder, keys: &[Key]) {
    let plan = run.plan(&run.config());
    let tensors = run.tensors("step-0", "model");
    assert_eq!(tensors.len(), plan.shapes().len(), "{keys:?}");
    for (name, shape) in plan.shapes() {
        assert_eq!(tensors[&name].shape, shape, "{keys:?}: {name}");
        for (found, expected) in tensors[&name].values.iter().zip(initial(&plan, 31, &name, &shape)) {
            let near = (found - expected).abs() <= 1e-15 * expected.abs();
            assert!(near, "{keys:?}: {name} starts with {found}, not {expected}");
        }
    }
}

/// The log names the pairs of each batch of each epoch, in order.
fn check_order(run: &RunFolder, keys: &[Key]) {
    let config = run.config();
    let pairs = pairs(run, &config, "train");
    let sources = texts(&config, "train")[0].clone();
    let tokenizer = run.tokenizers().source;
    // Every line with its end, whether it is read or not, before anything is cut.
    let lengths: Vec<usize> = sources.lines().map(|line| tokenizer.tokens(line).len() + 1).collect();
    let lines = lengths.len();
    assert!(pairs.len() < lines, "{keys:?}: pairs are left out");
    let mut expected = (0..).flat_map(|number| epoch(&config, &pairs, 31, number));
    let accumulated = config.required_count("train.accumulate");
    let logged = micro_batches(run);
    assert_eq!(logged.len(), config.required_count("train.steps") * accumulated, "{keys:?}");
    for (index, batch) in logged.iter().enumerate() {
        let expected = expected.next().expect("a batch");
        assert_eq!((batch.step, batch.number), (index / accumulated + 1, index % accumulated), "{keys:?}");
        assert_eq!([batch.source_length, Some(batch.length)], expected.shape.map(Some), "{keys:?}, {index}");
        let numbers = |rows: &[usize]| rows.iter().map(|row| pairs[*row].number).collect::<Vec<_>>();
        let found: Vec<usize> = batch.rows.iter().map(|row| row.number).collect();
        assert_eq!(found, numbers(&expected.rows), "{keys:?}, {index}");
        for (row, place) in batch.rows.iter().zip(&expected.rows) {
            assert_eq!(row.targets, pairs[*place].lengths()[1], "{keys:?}, {index}");
            // The stream begins with an end; what a dialogue lacks is the beginning.
            let cut = if config.text("task.kind") == Some("dialogue") {
                lengths[row.number] - pairs[*place].source.len()
            } else {
                0
            };
            assert_eq!(
                row.offset,
                1 + lengths[..row.number].iter().sum::<usize>() + cut,
                "{keys:?}, {index}, pair {place}"
            );
        }
    }
}

#[test]
fn updates_with_dropout_agree() {
    // A fused kernel would take masks of its own.
    check(&[
        ("train.steps", "6"),
        ("model.dropout", "0.2"),
        ("model.activation_dropout", "0.3"),
        ("attention.dropout", "0.1"),
        ("attention.encoder", "\"random\""),
        ("attention.decoder", "\"factorized-dense\""),
        ("attention.cross", "\"factorized-random\""),
        ("train.accumulate", "2"),
    ]);
    check(&[
        ("train.steps", "6"),
        ("model.dropout", "0.2"),
        ("attention.encoder", "\"random+factorized-dense\""),
        ("attention.decoder", "\"fixed-random\""),
        ("attention.cross", "\"random+dense\""),
    ]);
    check(&[("train.steps", "6"), ("model.dropout", "0.2"), ("attention.dropout", "0.0")]);
}

#[test]
fn an_encoder_decoder_agrees_with_no_other_choice() {
    let relative: &[Key] = &[
        ("train.steps", "5"),
        ("data.long_records", "\"cut\""),
        ("model.positions", "\"relative\""),
        ("model.relative_buckets", "6"),
        ("model.relative_distance", "9"),
        ("model.tie_embeddings", "false"),
        ("attention.encoder", "\"factorized-random+vanilla\""),
        ("attention.cross", "\"random+vanilla\""),
    ];
    check_changed(
        relative,
        &[
            ("task.kind", "\"dialogue\""),
            ("data.max_source_length", "13"),
            ("data.max_target_length", "13"),
            ("model.encoder_layers", "1"),
            ("model.decoder_layers", "1"),
            ("model.norm", "\"rms\""),
            ("model.norm_position", "\"post\""),
            ("model.activation", "\"gelu\""),
            ("model.relative_buckets", "5"),
            ("model.relative_distance", "8"),
            ("model.tie_embeddings", "true"),
            ("attention.encoder", "\"vanilla\""),
            ("attention.cross", "\"vanilla\""),
            ("train.label_smoothing", "1e-4"),
            ("optimizer.betas", "[0.90001, 0.98]"),
        ],
    );
    let learned: &[Key] = &[
        ("train.steps", "5"),
        ("model.norm_position", "\"post\""),
        ("attention.decoder", "\"random+dense\""),
        ("attention.dense.bias", "true"),
    ];
    check_changed(
        learned,
        &[
            ("model.positions", "\"sinusoidal\""),
            ("model.positions", "\"none\""),
            ("model.heads", "1"),
            ("attention.decoder", "\"random\""),
        ],
    );
}

fn check_changed(keys: &[Key], others: &[Key]) {
    let run = trained(keys);
    let largest = |differences: &Differences| differences["loss"].max(differences["validation"]);
    assert!(largest(&differences(&run, &run.config())) <= 1e-8, "{keys:?}");
    for (key, other) in others {
        let difference = largest(&differences(&run, &run.config().with(key, other)));
        assert!(difference > 1e-8, "{key} = {other} would change the losses by {difference:e} only");
    }
}
