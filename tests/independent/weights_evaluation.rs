//! Evaluations take the weights that they say: the moving average, the trained ones, or a mean of checkpoints.

use std::collections::BTreeMap;

use crate::data::split_text;
use crate::evaluation::near;
use crate::experiment::evaluated_with;
use crate::fifty_updates::trained;
use crate::folder::{RunFolder, Tensor};
use crate::measure::figures;
use crate::model::Model;
use crate::plan::Plan;
use crate::variants::Key;

/// What both runs have.
const COMMON: [Key; 8] = [
    ("train.steps", "9"),
    ("model.d_model", "8"),
    ("model.heads", "2"),
    ("model.norm", "\"rms\""),
    ("model.norm_position", "\"post\""),
    ("optimizer.lr", "0.02"),
    ("train.checkpoint_every", "3"),
    ("train.keep", "3"),
];

#[test]
fn an_evaluation_takes_the_moving_average_or_the_trained_weights() {
    let run = trained(&[&COMMON[..], &[("train.ema", "0.8")]].concat());
    let [model, ema] = ["model", "ema"].map(|file| loss(&run, run.tensors("step-9", file)));
    assert!((model - ema).abs() > 1e-4, "the average is another model");
    let checkpoint = ["--checkpoint", "step-9", "--split", "validation"];
    let chosen =
        [(&[][..], ema, "ema"), (&["--weights", "ema"], ema, "ema"), (&["--weights", "trained"], model, "trained")];
    for (arguments, ours, name) in chosen {
        let theirs = evaluated_with(&run, &[&checkpoint, arguments].concat());
        near(theirs["loss"].as_f64().expect("a loss"), ours, 1e-11, name);
        assert_eq!(theirs["weights"], name);
    }
}

#[test]
fn an_evaluation_takes_the_mean_of_the_newest_checkpoints() {
    let run = trained(&COMMON);
    for count in [2, 3] {
        let newest = (0..count).map(|index| run.tensors(&format!("step-{}", 9 - 3 * index), "model"));
        let ours = loss(&run, newest.reduce(added).map(|sum| divided(sum, count as f64)).expect("checkpoints"));
        let mean = format!("average:{count}");
        let theirs = evaluated_with(&run, &["--checkpoint", &mean, "--split", "validation"]);
        near(theirs["loss"].as_f64().expect("a loss"), ours, 1e-11, &mean);
    }
}

fn added(mut sum: BTreeMap<String, Tensor>, more: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    for (name, tensor) in &mut sum {
        tensor.values.iter_mut().zip(&more[name].values).for_each(|(sum, value)| *sum += value);
    }
    sum
}

fn divided(mut sum: BTreeMap<String, Tensor>, count: f64) -> BTreeMap<String, Tensor> {
    sum.values_mut().flat_map(|tensor| &mut tensor.values).for_each(|value| *value /= count);
    sum
}

/// The validation loss of these weights.
fn loss(run: &RunFolder, weights: BTreeMap<String, Tensor>) -> f64 {
    let (config, tokenizer) = (run.config(), run.tokenizer());
    let plan = Plan::new(&config, tokenizer.vocabulary_size());
    let weights = weights.into_iter().map(|(name, tensor)| (name, tensor.values)).collect();
    figures(&Model { plan, weights, round: |x| x }, &tokenizer, &split_text(&config, "validation")).loss
}
