//! A training repeated from its first checkpoint and its log of batches, and how far synth's is from it.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::corpus::Corpus;
use crate::data::split_text;
use crate::folder::{RunFolder, Tensor, number};
use crate::gradient::Descent;
use crate::lines::records;
use crate::logged::{LoggedRow, micro_batches};
use crate::measure::{Block, blocks, mean_loss};
use crate::model::Model;
use crate::objective::Objective;
use crate::optimizer::{Settings, State};
use crate::plan::Plan;
use crate::shapes::trained;

/// The largest difference, by what differs.
pub type Differences = BTreeMap<String, f64>;

/// Repeats a run by an experiment, its own or one that is changed on purpose. Only losses, weights and what else the run
/// wrote in float64 are compared.
pub fn differences(run: &RunFolder, config: &Config) -> Differences {
    let plan = run.plan(config);
    let steps = config.required_count("train.steps");
    let (settings, objective) = (Settings::new(config, steps), Objective::new(config));
    let mut state = State::new(run.tensors("step-0", "model"));
    let corpus = Corpus::new(run, config, "train");
    let (batches, logged) = (micro_batches(run), run.rows("train"));
    assert_eq!(logged.len(), steps, "a row per update");
    let mut differences = Differences::new();
    for (step, row) in (1..).zip(&logged) {
        let batch = corpus.read(config, &batches, step);
        let descent = Descent::of(&plan, &state.weights, objective, &batch);
        let norm = state.update(&settings, step, &descent.gradient);
        for (column, ours) in [("loss", descent.loss), ("grad_norm", norm), ("lr", settings.schedule.rate(step))] {
            differ(&mut differences, column, number(row, column), ours);
        }
        if Objective::new(&run.config()).differs() {
            differ(&mut differences, "objective", number(row, "objective"), descent.objective);
        } else {
            assert_eq!(row["objective"], "", "the run has no other objective than the loss");
        }
    }
    compare_end(&mut differences, run, config, (&plan, &state));
    differences
}

/// The stream of a split, and the rows that it is cut into.
pub fn rows(run: &RunFolder, config: &Config, split: &str) -> (Vec<usize>, Vec<LoggedRow>) {
    let (tokenizer, text) = (run.tokenizer(), split_text(config, split));
    let length = config.required_count("model.max_length");
    if config.text("data.rows") == Some("records") {
        return records(&tokenizer, &text, length);
    }
    let stream = tokenizer.tokens(&text);
    let row =
        |(number, block): (usize, Block)| LoggedRow { number, offset: number * length, targets: block.targets.len() };
    let rows = blocks(&stream, length).into_iter().enumerate().map(row).collect();
    (stream, rows)
}

/// The weights, moments and averages after the last update, and the validation loss of whichever weights it takes.
fn compare_end(differences: &mut Differences, run: &RunFolder, config: &Config, (plan, state): (&Plan, &State)) {
    let checkpoint = run.checkpoint("last");
    compare_tensors(differences, &run.tensors(&checkpoint, "model"), &state.weights);
    let mut moments = run.tensors(&checkpoint, "optimizer");
    moments.retain(|name, _| !name.starts_with("updates"));
    compare_tensors(differences, &moments, &state.moments.0);
    let averaged = config.number_or("train.ema", 0.0) > 0.0;
    if averaged {
        let mut ours = state.average.clone();
        ours.retain(|name, _| trained(name));
        compare_tensors(differences, &run.tensors(&checkpoint, "ema"), &ours);
    }
    let weights = if averaged { &state.average } else { &state.weights };
    let values = weights.iter().map(|(name, tensor)| (name.clone(), tensor.values.clone())).collect();
    let model: Model<f64> = Model { plan: plan.clone(), weights: values, round: |x| x };
    let validation = Corpus::new(run, config, "validation");
    let validated = run.rows("validation");
    let row = validated.last().expect("an evaluation at the end");
    differ(differences, "validation", number(row, "loss"), mean_loss(&model, &validation.blocks()));
}

fn compare_tensors(differences: &mut Differences, theirs: &BTreeMap<String, Tensor>, ours: &BTreeMap<String, Tensor>) {
    for name in theirs.keys().chain(ours.keys()) {
        let [theirs, ours] = [theirs, ours].map(|tensors| f64::from(u8::from(tensors.contains_key(name))));
        differ(differences, &format!("the presence of {name}"), theirs, ours);
    }
    for (name, ours) in ours.iter().filter(|(name, _)| theirs.contains_key(*name)) {
        assert_eq!(theirs[name].shape, ours.shape, "{name}");
        let pairs = theirs[name].values.iter().zip(&ours.values);
        pairs.for_each(|(theirs, ours)| differ(differences, name, *theirs, *ours));
    }
}

/// Notes a difference; one that is no number counts as the largest.
fn differ(differences: &mut Differences, what: &str, theirs: f64, ours: f64) {
    let difference = (theirs - ours).abs();
    let largest = differences.entry(what.to_owned()).or_insert(0.0);
    if difference.is_nan() || difference > *largest {
        *largest = if difference.is_nan() { f64::INFINITY } else { difference };
    }
}
