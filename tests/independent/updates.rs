//! Updates of a tiny model, computed again from the initial weights on: what is read, the gradient, and what the
//! optimizer makes of it.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::data::split_text;
use crate::experiment::Experiment;
use crate::folder::{Row, RunFolder, Tensor, number};
use crate::gradient::Descent;
use crate::kinds::reported;
use crate::masks::Masks;
use crate::measure::{Block, blocks};
use crate::objective::Objective;
use crate::optimizer::{Settings, State};
use crate::plan::Plan;
use crate::random::{initial, order};
use crate::records::{activation_dropout, dropout, micro_batch};
use crate::shapes::trained;
use crate::text::sentences;

const SEED: u64 = 9_007_199_254_740_993;

/// What all the runs have; keys of their own come before these.
const TINY: [(&str, &str); 15] = [
    ("seed", "9007199254740993"),
    ("data.train", "\"text.txt\""),
    ("data.validation", "\"text.txt\""),
    ("tokenizer.kind", "\"char\""),
    ("model.layers", "2"),
    ("model.d_model", "4"),
    ("model.heads", "2"),
    ("model.d_ff", "6"),
    ("model.dropout", "0.0"),
    ("model.max_length", "6"),
    ("attention.random.init_std", "0.5"),
    ("optimizer.lr", "0.05"),
    ("optimizer.weight_decay", "0.3"),
    ("train.log_every", "2"),
    ("train.precision", "\"fp64\""),
];

/// A trained run with these keys over what all have.
pub fn tiny(more: &[(&str, &str)]) -> RunFolder {
    let others = TINY.iter().filter(|(key, _)| more.iter().all(|(given, _)| given != key));
    let keys: Vec<(&str, &str)> = others.chain(more).copied().collect();
    Experiment::new(&[("text.txt", &sentences(8, 45))], &keys).train()
}

/// The tokens of the train split.
pub fn stream(run: &RunFolder) -> Vec<usize> {
    run.tokenizer().tokens(&split_text(&run.config(), "train"))
}

/// Repeats so many updates of so many blocks each, and compares the rows and what the last checkpoint holds.
pub fn compare(run: &RunFolder, steps: usize, blocks_per_update: usize) {
    let config = run.config();
    let plan = Plan::new(&config, run.tokenizer().vocabulary_size());
    let (settings, objective) = (Settings::new(&config, steps), Objective::new(&config));
    let stream = stream(run);
    let blocks = blocks(&stream, plan.max_length);
    assert!(blocks.last().is_some_and(|last| last.targets.len() < plan.max_length), "the last block is shorter");
    let mut reading = (0..).flat_map(|epoch| order(SEED, epoch, blocks.len())).map(|block| blocks[block]);
    let mut state = State::new(initial_weights(&plan));
    let mut rows = run.rows("train").into_iter();
    let (mut nats, mut minimised, mut targets, mut tokens) = (0.0, 0.0, 0, 0);
    for step in 1..=steps {
        let batch = masked(reading.by_ref().take(blocks_per_update), &config, &plan, step - 1);
        let descent = Descent::of(&plan, &state.weights, objective, &batch);
        let grad_norm = state.update(&settings, step, &descent.gradient);
        let count: usize = batch.iter().map(|block| block.targets.len()).sum();
        (nats, targets, tokens) = (nats + descent.loss * count as f64, targets + count, tokens + count);
        minimised += descent.objective * count as f64;
        if step % 2 == 0 || step == steps {
            let row = rows.next().expect("a row per two updates and one at the end");
            let loss = nats / targets as f64;
            let epoch = (step * blocks_per_update) as f64 / blocks.len() as f64;
            compare_row(&row, [step as f64, epoch, tokens as f64, loss, settings.schedule.rate(step), grad_norm]);
            if objective.differs() {
                near(number(&row, "objective"), minimised / targets as f64, 1e-11, "objective");
            }
            (nats, minimised, targets) = (0.0, 0.0, 0);
        }
    }
    assert!(rows.next().is_none(), "no more updates than {steps}");
    compare_state(run, &state, steps);
}

/// The blocks of an update, counted from 0, with their masks.
fn masked<'a>(blocks: impl Iterator<Item = Block<'a>>, config: &Config, plan: &Plan, update: usize) -> Vec<Block<'a>> {
    let (attention, micro_batch) = (dropout(config), micro_batch(config, plan));
    let (activations, model) = (activation_dropout(config), config.required_number("model.dropout"));
    let masks = |index: usize| Masks {
        attention,
        activations,
        model,
        key: Masks::key(SEED, update, index / micro_batch),
        sample: index % micro_batch,
        length: plan.max_length,
        source_length: 0,
    };
    let masks = |index| (attention.max(activations).max(model) > 0.0).then(|| masks(index));
    blocks.enumerate().map(|(index, block)| Block { masks: masks(index), ..block }).collect()
}

fn compare_row(row: &Row, ours: [f64; 6]) {
    for (column, ours) in ["step", "epoch", "tokens", "loss", "lr", "grad_norm"].into_iter().zip(ours) {
        // Six decimals are written.
        let bound = if column == "epoch" { 1e-6 } else { 1e-11 };
        near(number(row, column), ours, bound, &format!("{column} at step {}", row["step"]));
    }
}

fn compare_state(run: &RunFolder, state: &State, steps: usize) {
    let checkpoint = run.checkpoint("last");
    let metadata = run.metadata(&checkpoint);
    assert_eq!((metadata["format"].as_u64(), metadata["step"].as_u64()), (Some(1), Some(steps as u64)));
    assert_eq!(metadata["kind"], reported(&run.config()));
    compare_tensors(&run.tensors(&checkpoint, "model"), &state.weights);
    let mut optimizer = run.tensors(&checkpoint, "optimizer");
    let counts = if run.config().required_text("optimizer.kind") == "adamw" {
        &["updates.decayed", "updates.not_decayed"][..]
    } else {
        &["updates"]
    };
    for count in counts {
        assert_eq!(optimizer.remove(*count).expect("a count of updates").values, [steps as f64]);
    }
    compare_tensors(&optimizer, &state.moments.0);
    if run.config().number_or("train.ema", 0.0) > 0.0 {
        let trained = state.average.clone().into_iter().filter(|(name, _)| trained(name));
        compare_tensors(&run.tensors(&checkpoint, "ema"), &trained.collect());
    }
}

/// Compares tensors by name; those that are not trained are the same.
fn compare_tensors(theirs: &BTreeMap<String, Tensor>, ours: &BTreeMap<String, Tensor>) {
    assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
    for (name, ours) in ours {
        let theirs = &theirs[name];
        assert_eq!(theirs.shape, ours.shape, "{name}");
        for (theirs, ours) in theirs.values.iter().zip(&ours.values) {
            near(*theirs, *ours, if trained(name) { 1e-11 } else { 0.0 }, name);
        }
    }
}

fn initial_weights(plan: &Plan) -> BTreeMap<String, Tensor> {
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let values = initial(plan, SEED, &name, &shape);
        (name, Tensor { kind: safetensors::Dtype::F64, shape, values })
    };
    plan.shapes().into_iter().map(tensor).collect()
}

fn near(theirs: f64, ours: f64, bound: f64, what: &str) {
    assert!(
        (theirs - ours).abs() <= bound * ours.abs().max(1.0),
        "{what}: synth says {theirs}, the documentation {ours}"
    );
}
