//! Tasks with a source and a target: translation, summarization and dialogue over files that a test writes.

mod errors;
mod evaluation;
mod generation;
mod interruptions;
mod learning;
mod sweeps;
mod training;

use crate::place::Place;

/// The tiny experiment: `pairs.toml`.
pub const EXPERIMENT: &str = r#"name = "pairs"

[task]
kind = "translation"

[data]
train = ["train.src", "train.tgt"]
validation = ["validation.src", "validation.tgt"]
test = ["test.src", "test.tgt"]

[model]
architecture = "encoder-decoder"
layers = 1
d_model = 16
heads = 2
max_length = 24

[train]
steps = 6
batch_size = 8
log_every = 2
eval_every = 3
checkpoint_every = 3

[tokenizer]
kind = "byte"
"#;

/// The folder of the run that the tiny experiment makes.
pub const RUN: &str = "results/pairs/vanilla-s1";

/// Settings with which some words are put in reverse order within a few hundred steps.
pub const LEARNS: &str = "--set tokenizer.kind=word --set tokenizer.min_frequency=1 --set model.d_model=32 \
                          --set model.dropout=0 --set optimizer.lr=0.01 --set train.batch_size=32 \
                          --set train.eval_every=0 --set train.checkpoint_every=0 --set train.log_every=50";

/// Pairs of a split whose sides are lines of [`sources`] and of [`reversed`].
pub const HELD_OUT: usize = 12;

const WORDS: [&str; 8] = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen"];

/// So many lines of one to five words, others for each `seed`.
pub fn sources(count: usize, seed: u64) -> String {
    let mut state = seed;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let mut line = || (0..1 + next(5)).map(|_| next(WORDS.len())).collect::<Vec<_>>();
    let lines = (0..count).map(|_| line().into_iter().map(|word| WORDS[word]).collect::<Vec<_>>().join(" ") + "\n");
    lines.collect()
}

/// The same lines with their words in reverse order.
pub fn reversed(lines: &str) -> String {
    lines.lines().map(|line| line.rsplit(' ').collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// A folder with so many pairs to learn from and [`HELD_OUT`] for each of the other splits.
pub fn place(train: usize) -> Place {
    let place = Place::new();
    place.write("pairs.toml", EXPERIMENT);
    for (split, count, seed) in [("train", train, 1), ("validation", HELD_OUT, 2), ("test", HELD_OUT, 3)] {
        let source = sources(count, seed);
        place.write(&format!("{split}.tgt"), reversed(&source));
        place.write(&format!("{split}.src"), source);
    }
    place
}

/// [`place`] with a run of so many steps that has learned a part of what there is to learn.
pub fn with_learned(steps: usize, more: &str) -> Place {
    let place = place(2000);
    place.succeeds(&format!("train pairs.toml --quiet {LEARNS} --set train.steps={steps} {more}"));
    place
}

/// [`place`] with the run of the tiny experiment, which has hardly begun to learn.
pub fn with_run() -> Place {
    let place = place(48);
    place.succeeds("train pairs.toml --quiet");
    place
}
