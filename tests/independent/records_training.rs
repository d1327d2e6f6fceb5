//! Updates on records, whose micro-batches have unlike numbers of targets, repeated from the log of batches.

use crate::fifty_updates::trained;
use crate::logged::{MicroBatch, micro_batches};
use crate::repetition::{differences, rows};

const LENGTH: usize = 16;

#[test]
fn updates_on_records_agree_and_the_log_has_each_row_once_an_epoch() {
    let run = trained(&[
        ("data.rows", "\"records\""),
        ("model.max_length", "16"),
        ("model.d_model", "8"),
        ("model.heads", "2"),
        ("model.positions", "\"relative\""),
        ("model.relative_buckets", "6"),
        ("model.relative_distance", "16"),
        ("optimizer.lr", "0.01"),
        ("train.batch_size", "3"),
        ("train.accumulate", "2"),
        ("train.steps", "12"),
        ("train.label_smoothing", "0.2"),
    ]);
    for (what, difference) in differences(&run, &run.config()) {
        assert!(difference <= 1e-8, "{what} differs by {difference:e}");
    }
    let (_, rows) = rows(&run, &run.config(), "train");
    assert!(rows.iter().any(|row| row.targets < 9) && rows.iter().any(|row| row.targets == LENGTH), "short and long");
    let logged = micro_batches(&run);
    logged.iter().for_each(|batch| {
        assert!(batch.rows.iter().all(|row| *row == rows[row.number]), "{batch:?}");
        let longest = batch.rows.iter().map(|row| row.targets).max().expect("rows");
        assert!(longest <= batch.length && batch.length <= LENGTH && batch.rows.len() <= 3, "{batch:?}");
    });
    check_epochs(&logged, rows.len());
    let unlike = |batches: &[MicroBatch]| {
        let targets = |batch: &MicroBatch| batch.rows.iter().map(|row| row.targets).sum::<usize>();
        targets(&batches[0]) != targets(&batches[1])
    };
    assert!(logged.chunks(2).any(unlike), "micro-batches of an update have unlike numbers of targets");
}

/// Whole epochs, from the first on, have each row once.
fn check_epochs(logged: &[MicroBatch], rows: usize) {
    let numbers: Vec<usize> = logged.iter().flat_map(|batch| &batch.rows).map(|row| row.number).collect();
    assert!(numbers.len() > rows, "more than an epoch: {} of {rows}", numbers.len());
    for epoch in numbers.chunks_exact(rows) {
        let mut sorted = epoch.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..rows).collect::<Vec<_>>());
    }
}
