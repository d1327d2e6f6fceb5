//! Pairs of a source and a target, read from two texts and cut as `[data]` says.

use crate::config::Config;
use crate::data::files_text;
use crate::folder::RunFolder;
use crate::measure::Block;
use crate::tokenizer::Tokenizers;

/// A pair as a model reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The number of its lines, from 0.
    pub number: usize,
    /// The source, its end included.
    pub source: Vec<usize>,
    /// The target between its beginning and its end.
    pub target: Vec<usize>,
}

impl Pair {
    /// What is read and predicted.
    pub fn block(&self) -> Block<'_> {
        let (inputs, targets) = (&self.target[..self.target.len() - 1], &self.target[1..]);
        Block { source: Some(&self.source), inputs, targets, masks: None }
    }

    /// Its lengths.
    pub fn lengths(&self) -> [usize; 2] {
        [self.source.len(), self.target.len() - 1]
    }
}

/// The bounds of both lengths.
pub fn bounds(config: &Config) -> [usize; 2] {
    ["data.max_source_length", "data.max_target_length"]
        .map(|key| config.count(key).unwrap_or_else(|| config.required_count("model.max_length")))
}

/// The pairs of a split that are read, in order.
pub fn pairs(run: &RunFolder, config: &Config, split: &str) -> Vec<Pair> {
    let [sources, targets] = texts(config, split);
    assert_eq!(sources.lines().count(), targets.lines().count(), "as many lines");
    let (tokenizers, bounds) = (run.tokenizers(), bounds(config));
    let lines = sources.lines().zip(targets.lines()).enumerate();
    let whole = lines.map(|(number, (source, target))| whole(&tokenizers, number, source, target));
    let read = whole.filter(|pair| split != "train" || kept(config, bounds, pair));
    read.map(|pair| cut(config, bounds, pair)).collect()
}

/// The texts of both sides of a split.
pub fn texts(config: &Config, split: &str) -> [String; 2] {
    let key = format!("data.{split}");
    let sides = config.value(&key).and_then(toml::Value::as_array).expect("two sides");
    [0, 1].map(|side| files_text(sides[side].as_str().expect("a path")))
}

/// A pair with all its tokens.
pub fn whole(tokenizers: &Tokenizers, number: usize, source: &str, target: &str) -> Pair {
    let mut source = tokenizers.source.tokens(source);
    source.push(tokenizers.source.end());
    let mut tokens = vec![tokenizers.target.begin()];
    tokens.extend(tokenizers.target.tokens(target));
    tokens.push(tokenizers.target.end());
    Pair { number, source, target: tokens }
}

/// Whether training reads a pair.
fn kept(config: &Config, bounds: [usize; 2], pair: &Pair) -> bool {
    let [source, target] = pair.lengths();
    let skips = config.required_text("data.long_records") == "skip";
    let unequal = config.number("data.length_ratio").is_some_and(|ratio| {
        let [source, target] = [source, target].map(|length| length as f64);
        source > ratio * target || target > ratio * source
    });
    target > 1 && !(skips && (source > bounds[0] || target > bounds[1])) && !unequal
}

/// A pair of which no side exceeds its bound. The ends stay.
pub fn cut(config: &Config, bounds: [usize; 2], mut pair: Pair) -> Pair {
    if pair.source.len() > bounds[0] {
        let more = pair.source.len() - bounds[0];
        let first = if config.text("task.kind") == Some("dialogue") { 0 } else { bounds[0] - 1 };
        pair.source.drain(first..first + more);
    }
    let length = pair.target.len() - 1;
    if length > bounds[1] {
        pair.target.drain(bounds[1]..length);
    }
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(task: &str, long_records: &str, ratio: &str) -> Config {
        Config::parse(&format!("task.kind = {task:?}\ndata = {{ long_records = {long_records:?}, {ratio} }}"))
    }

    fn pair(source: usize, target: usize) -> Pair {
        let target = [&[8][..], &(0..target).collect::<Vec<_>>(), &[9]].concat();
        Pair { number: 0, source: (0..source).chain([9]).collect(), target }
    }

    #[test]
    fn a_long_side_is_cut_before_its_end() {
        let cut = |task: &str| cut(&config(task, "cut", ""), [4, 3], pair(6, 5));
        assert_eq!((cut("translation").source, cut("translation").target), (vec![0, 1, 2, 9], vec![8, 0, 1, 9]));
        assert_eq!((cut("dialogue").source, cut("dialogue").target), (vec![3, 4, 5, 9], vec![8, 0, 1, 9]));
    }

    #[test]
    fn train_pairs_are_kept_that_are_neither_empty_nor_long_nor_unequal() {
        let kept = |long: &str, ratio: &str, source, target| {
            kept(&config("translation", long, ratio), [6, 6], &pair(source, target))
        };
        assert!(!kept("cut", "", 3, 0) && kept("cut", "", 0, 3));
        assert!(kept("skip", "", 5, 5) && !kept("skip", "", 6, 5) && !kept("skip", "", 5, 6) && kept("cut", "", 6, 6));
        let ratio = "length_ratio = 2.0";
        assert!(
            kept("cut", ratio, 9, 4)
                && !kept("cut", ratio, 10, 4)
                && kept("cut", ratio, 1, 3)
                && !kept("cut", ratio, 1, 4)
        );
    }
}
