//! A few updates of every kind of attention, with every kind of block around it and with dropout, give the same
//! weights here.

use crate::updates::{compare, tiny};
use crate::variants::Key;

#[test]
fn dense_attention_with_all_its_biases_gives_the_same_weights() {
    learns(&[
        ("attention.kind", "\"dense\""),
        ("attention.dense.hidden", "3"),
        ("attention.dense.bias", "true"),
        ("attention.bias", "true"),
        ("model.activation", "\"gelu\""),
    ]);
}

#[test]
fn a_sum_with_a_shared_query_gives_the_same_weights() {
    learns(&[
        ("attention.kind", "\"dense+vanilla\""),
        ("attention.dense.shared_query", "true"),
        ("attention.dense.shared_output", "true"),
        ("attention.dense.bias", "true"),
        ("attention.mixture.weights", "\"sum\""),
        ("model.activation", "\"gelu-tanh\""),
        ("model.bias", "false"),
        ("model.init", "\"gpt2\""),
    ]);
}

#[test]
fn a_mixture_of_all_parts_with_weights_per_head_gives_the_same_weights() {
    learns(&[
        ("attention.kind", "\"vanilla+dense+factorized-dense+random+fixed-random+factorized-random\""),
        ("attention.mixture.per", "\"head\""),
        ("attention.factorized-random.rank", "2"),
    ]);
}

#[test]
fn a_hybrid_gives_the_same_weights() {
    learns(&[
        ("attention.layers", "[\"factorized-dense\", \"fixed-random+factorized-random\"]"),
        ("attention.factorized-random.rank", "2"),
        ("attention.factorized-random.init_std", "0.5"),
    ]);
}

#[test]
fn dropout_with_masks_per_sample_gives_the_same_weights() {
    learns(&[("attention.kind", "\"dense\""), ("attention.dropout", "0.3")]);
}

#[test]
fn dropout_with_a_mask_for_the_batch_gives_the_same_weights() {
    learns(&[("attention.kind", "\"random\""), ("attention.dropout", "0.4")]);
}

#[test]
fn dropout_of_the_whole_model_gives_the_same_weights() {
    learns(&[("attention.kind", "\"dense\""), ("model.dropout", "0.3"), ("model.positions", "\"learned\"")]);
    learns(&[("attention.kind", "\"random\""), ("model.dropout", "0.2"), ("model.activation", "\"gelu\"")]);
}

#[test]
fn dropout_of_blocks_one_by_one_gives_the_same_weights() {
    let keys = [("attention.kind", "\"factorized-dense\""), ("attention.dropout", "0.3")];
    learns_by(&keys, ("train.batch_size", "1"), ("train.accumulate", "4"));
}

#[test]
fn dropout_in_layers_of_both_sorts_gives_the_same_weights() {
    learns(&[("attention.layers", "[\"random+vanilla\", \"factorized-random\"]"), ("attention.dropout", "0.25")]);
}

#[test]
fn dropout_of_gated_activations_after_norms_gives_the_same_weights() {
    learns(&[
        ("attention.kind", "\"dense\""),
        ("model.activation", "\"swiglu\""),
        ("model.activation_dropout", "0.4"),
        ("model.dropout", "0.1"),
        ("model.norm", "\"rms\""),
        ("model.norm_position", "\"post\""),
        ("model.positions", "\"relative\""),
    ]);
    learns(&[("attention.kind", "\"random\""), ("model.activation_dropout", "0.0"), ("model.dropout", "0.2")]);
}

#[test]
fn gated_blocks_with_relative_positions_give_the_same_weights() {
    learns(&[
        ("attention.kind", "\"random+vanilla\""),
        ("attention.mixture.per", "\"head\""),
        ("model.activation", "\"swiglu\""),
        ("model.norm", "\"rms\""),
        ("model.positions", "\"relative\""),
        ("model.relative_buckets", "4"),
        ("model.relative_distance", "8"),
        ("model.init", "\"xavier\""),
    ]);
}

#[test]
fn norms_after_sums_give_the_same_weights() {
    learns(&[
        ("attention.kind", "\"factorized-dense\""),
        ("model.activation", "\"swiglu\""),
        ("model.norm_position", "\"post\""),
        ("model.bias", "false"),
        ("model.tie_embeddings", "false"),
        ("model.positions", "\"none\""),
    ]);
}

#[test]
fn recomputed_activations_give_the_same_weights() {
    learns(&[
        ("train.recompute", "true"),
        ("attention.kind", "\"random+dense\""),
        ("model.dropout", "0.2"),
        ("model.positions", "\"relative\""),
    ]);
}

fn learns(keys: &[Key]) {
    learns_by(keys, ("train.batch_size", "2"), ("train.accumulate", "2"));
}

/// Four blocks an update, the last of the text among them.
fn learns_by(keys: &[Key], batch_size: Key, accumulate: Key) {
    compare(&tiny(&[keys, &[("train.steps", "4"), batch_size, accumulate]].concat()), 4, 4);
}
