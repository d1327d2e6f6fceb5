//! A few updates give the same weights here, whatever the optimizer is told.

use crate::folder::number;
use crate::updates::{compare, stream, tiny};

#[test]
fn accumulated_clipped_updates_with_a_cosine_give_the_same_weights() {
    let run = tiny(&[
        ("attention.kind", "\"vanilla\""),
        ("optimizer.clip_norm", "0.1"),
        ("optimizer.schedule.warmup", "2"),
        ("train.steps", "5"),
        ("train.batch_size", "2"),
        ("train.accumulate", "2"),
    ]);
    assert!(run.rows("train").iter().all(|row| number(row, "grad_norm") > 0.1), "clipping acts");
    compare(&run, 5, 4);
}

#[test]
fn epochs_of_batches_by_tokens_with_an_inverse_root_give_the_same_weights() {
    let run = tiny(&[
        ("attention.kind", "\"random\""),
        ("model.positions", "\"sinusoidal\""),
        ("model.tie_embeddings", "false"),
        ("model.head_width", "3"),
        ("optimizer.betas", "[0.8, 0.95]"),
        ("optimizer.eps", "1e-4"),
        ("optimizer.clip_norm", "0"),
        ("optimizer.schedule.kind", "\"inverse-sqrt\""),
        ("optimizer.schedule.warmup", "3"),
        ("train.epochs", "2.2"),
        ("train.batch_tokens", "23"),
    ]);
    let blocks = stream(&run).len().div_ceil(6);
    compare(&run, (2.2 * blocks as f64 / 3.0).ceil() as usize, 3);
}

#[test]
fn a_constant_rate_without_positions_gives_the_same_weights() {
    let run = tiny(&[
        ("attention.kind", "\"vanilla\""),
        ("model.positions", "\"none\""),
        ("optimizer.schedule.kind", "\"constant\""),
        ("train.steps", "4"),
        ("train.batch_size", "5"),
    ]);
    compare(&run, 4, 5);
}
