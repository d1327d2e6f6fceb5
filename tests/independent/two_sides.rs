//! Experiments on pairs of a source and a target.

use crate::experiment::Experiment;
use crate::pairs::covering;
use crate::text::lines;
use crate::variants::Key;

/// The levels of a factor, each by its keys.
pub type Factor = &'static [&'static [Key]];

/// The keys of trainings in which any two choices meet.
pub fn trainings(factors: &[Factor]) -> Vec<Vec<Key>> {
    let keys = |row: Vec<usize>| factors.iter().zip(row).flat_map(|(factor, level)| factor[level]).copied().collect();
    covering(&factors.iter().map(|levels| levels.len()).collect::<Vec<_>>()).into_iter().map(keys).collect()
}

/// What all the models have.
const COMMON: [Key; 22] = [
    ("seed", "31"),
    ("task.kind", "\"translation\""),
    ("data.train", "[\"train.source\", \"train.target\"]"),
    ("data.validation", "[\"validation.source\", \"validation.target\"]"),
    ("tokenizer.kind", "\"char\""),
    ("model.architecture", "\"encoder-decoder\""),
    ("model.layers", "2"),
    ("model.d_model", "8"),
    ("model.heads", "2"),
    ("model.d_ff", "12"),
    ("model.dropout", "0.0"),
    ("model.max_length", "12"),
    ("attention.random.init_std", "0.7"),
    ("attention.fixed-random.init_std", "0.9"),
    ("attention.factorized-random.init_std", "0.8"),
    ("optimizer.lr", "0.02"),
    ("optimizer.weight_decay", "0.1"),
    ("train.steps", "8"),
    ("train.eval_every", "0"),
    ("train.checkpoint_every", "0"),
    ("train.precision", "\"fp64\""),
    ("train.eval_generate", "false"),
];

/// An experiment of these keys over what all have, on so many train pairs of so many to so many words a side.
pub fn experiment(keys: &[Key], pairs: usize, words: [usize; 2]) -> Experiment {
    let given = |key: &str| keys.iter().any(|(given, _)| *given == key);
    let size = ("train.batch_size", "3");
    let others = COMMON.iter().chain((!given("train.batch_tokens")).then_some(&size)).filter(|(key, _)| !given(key));
    let keys: Vec<Key> = others.chain(keys).copied().collect();
    // An empty source, an empty target, and one of white space.
    let text = |seed, pairs, words, more: &str| format!("{}{more}", lines(seed, pairs, words));
    let longer = [words[0], words[1] + 3];
    let texts = [
        ("train.source", text(21, pairs, words, "the cat\n\na I\nthe\n")),
        ("train.target", text(22, pairs, words, "\nblue\n \nnaïve né\n")),
        ("validation.source", text(23, 9, longer, "\nthe unknown Ω\r\nto\n")),
        ("validation.target", text(24, 9, longer, "the\nword\r\n\n")),
    ];
    Experiment::new(&texts.each_ref().map(|(name, text)| (*name, text.as_str())), &keys)
}
