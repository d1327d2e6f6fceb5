//! A few updates give the same weights, moments and averages, whatever optimizers are told.

use crate::updates::{compare, tiny};
use crate::variants::Key;

#[test]
fn adafactor_with_tables_of_three_axes_gives_the_same_weights() {
    let factored = [ADAFACTOR, ("optimizer.adafactor.min_factored", "2"), ("attention.factorized-random.rank", "2")];
    learns(
        &[&factored[..], &[("attention.kind", "\"random+factorized-random\""), ("attention.random.init_std", "0.4")]]
            .concat(),
    );
    learns(&[&factored[..], &[("attention.kind", "\"dense\""), ("attention.dense.hidden", "3")]].concat());
}

#[test]
fn adafactor_with_moments_of_some_tensors_whole_gives_the_same_weights() {
    learns(&[
        ADAFACTOR,
        ("optimizer.adafactor.min_factored", "5"),
        ("optimizer.adafactor.beta1", "0.8"),
        ("optimizer.adafactor.decay_exponent", "0.7"),
        ("optimizer.adafactor.clip_threshold", "0.6"),
        ("optimizer.schedule.kind", "\"linear\""),
        ("optimizer.schedule.final_fraction", "0.3"),
    ]);
}

#[test]
fn adafactor_without_clipping_and_scale_gives_the_same_weights() {
    learns(&[
        ADAFACTOR,
        ("optimizer.lr", "0.01"),
        ("optimizer.clip_norm", "0"),
        ("optimizer.adafactor.clip_threshold", "0.0"),
        ("optimizer.adafactor.scale_by_parameter", "false"),
        ("optimizer.adafactor.eps", "[1e-8, 1e-2]"),
        ("optimizer.schedule.kind", "\"constant\""),
    ]);
}

#[test]
fn adafactor_scales_small_tensors_by_its_eps() {
    learns(&[
        ADAFACTOR,
        ("model.init", "\"gpt2\""),
        ("optimizer.adafactor.min_factored", "4"),
        ("optimizer.adafactor.eps", "[1e-30, 0.5]"),
    ]);
}

#[test]
fn gradient_descent_gives_the_same_weights() {
    learns(&[SGD, ("optimizer.clip_norm", "0")]);
    learns(&[SGD, ("optimizer.momentum", "0.7"), ("optimizer.schedule.kind", "\"one-cycle\"")]);
    learns(&[SGD, ("optimizer.momentum", "0.7"), ("optimizer.nesterov", "true"), ("optimizer.clip_norm", "0.1")]);
}

#[test]
fn tensor2tensors_rates_and_an_average_give_the_same_weights() {
    learns(&[
        ("optimizer.schedule.kind", "\"inverse-sqrt\""),
        ("optimizer.schedule.constant", "0.4"),
        ("optimizer.schedule.warmup_start", "0.1"),
        ("train.ema", "0.75"),
        ("train.label_smoothing", "0.3"),
    ]);
}

const ADAFACTOR: Key = ("optimizer.kind", "\"adafactor\"");
const SGD: Key = ("optimizer.kind", "\"sgd\"");

/// Five updates of four blocks each.
fn learns(keys: &[Key]) {
    let common = [
        ("attention.kind", "\"vanilla\""),
        ("optimizer.schedule.warmup", "2"),
        ("train.steps", "5"),
        ("train.batch_size", "2"),
        ("train.accumulate", "2"),
    ];
    let others = common.iter().filter(|(key, _)| keys.iter().all(|(given, _)| given != key));
    compare(&tiny(&others.chain(keys).copied().collect::<Vec<_>>()), 5, 4);
}
