//! Fifty updates, repeated from a run's first checkpoint and its log of batches, whatever the run chooses: any two
//! choices meet in a run.

use crate::experiment::Experiment;
use crate::factors::trainings;
use crate::folder::RunFolder;
use crate::logged::micro_batches;
use crate::plan::Plan;
use crate::random::{initial, order};
use crate::repetition::{differences, rows};
use crate::text::sentences;
use crate::variants::Key;

/// What all the runs have.
const COMMON: [Key; 19] = [
    ("seed", "23"),
    ("data.train", "\"train.txt\""),
    ("data.validation", "\"validation.txt\""),
    ("tokenizer.kind", "\"char\""),
    ("model.layers", "2"),
    ("model.dropout", "0.0"),
    ("model.max_length", "8"),
    ("attention.random.init_std", "0.5"),
    ("attention.factorized-random.init_std", "0.5"),
    ("optimizer.weight_decay", "0.1"),
    ("optimizer.schedule.warmup", "5"),
    ("train.steps", "50"),
    ("train.batch_size", "2"),
    ("train.eval_every", "0"),
    ("train.checkpoint_every", "0"),
    ("train.log_every", "1"),
    ("train.save_initial", "true"),
    ("train.log_batches", "true"),
    ("train.precision", "\"fp64\""),
];

/// A run of these keys over what all have.
pub fn trained(keys: &[Key]) -> RunFolder {
    let others = COMMON.iter().filter(|(key, _)| keys.iter().all(|(given, _)| given != key));
    let keys: Vec<Key> = others.chain(keys).copied().collect();
    Experiment::new(&[("train.txt", &sentences(11, 310)), ("validation.txt", &sentences(10, 60))], &keys).train()
}

#[test]
fn fifty_updates_agree_in_the_first_half_of_the_trainings() {
    let trainings = trainings();
    trainings[..trainings.len() / 2].iter().for_each(|keys| check(keys));
}

#[test]
fn fifty_updates_agree_in_the_second_half_of_the_trainings() {
    let trainings = trainings();
    trainings[trainings.len() / 2..].iter().for_each(|keys| check(keys));
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
    let plan = Plan::new(&run.config(), run.tokenizer().vocabulary_size());
    let tensors = run.tensors("step-0", "model");
    assert_eq!(tensors.len(), plan.shapes().len(), "{keys:?}");
    for (name, shape) in plan.shapes() {
        assert_eq!(tensors[&name].shape, shape, "{keys:?}: {name}");
        for (found, expected) in tensors[&name].values.iter().zip(initial(&plan, 23, &name, &shape)) {
            let near = (found - expected).abs() <= 1e-15 * expected.abs();
            assert!(near, "{keys:?}: {name} starts with {found}, not {expected}");
        }
    }
}

/// The log names the blocks in the order of their epochs, each micro-batch two.
fn check_order(run: &RunFolder, keys: &[Key]) {
    let (_, rows) = rows(run, &run.config(), "train");
    assert!(rows.last().is_some_and(|row| row.targets < 8), "the last block is shorter");
    let mut blocks = (0..).flat_map(|epoch| order(23, epoch, rows.len())).map(|number| rows[number]);
    let accumulated = run.config().required_count("train.accumulate");
    let logged = micro_batches(run);
    assert_eq!(logged.len(), 50 * accumulated, "{keys:?}");
    for (index, batch) in logged.iter().enumerate() {
        assert_eq!((batch.step, batch.number), (index / accumulated + 1, index % accumulated), "{keys:?}");
        assert_eq!(batch.length, 8, "{keys:?}");
        assert_eq!(batch.rows, blocks.by_ref().take(2).collect::<Vec<_>>(), "{keys:?}, micro-batch {index}");
    }
}
