//! `synth data show`.

use super::super::output::{print, print_json, thousands};
use super::lengths::Lengths;
use super::list::holds;
use super::splits;
use crate::cli::ShowArguments;
use crate::data::card::{Card, Layout};
use crate::data::datasets::{self, Prepared};
use crate::data::source::Lines;
use crate::randomness::derive;
use crate::terminal::Bar;
use anyhow::Result;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use std::collections::BinaryHeap;
use std::path::Path;

/// Characters of a sample's text that are printed.
const SHOWN: usize = 500;

/// What was seen of a split.
struct Seen {
    /// By field, in the order in which the fields were met.
    lengths: Vec<(String, Lengths)>,
    samples: Samples,
}

/// Prints a dataset's card, samples of a split, and how long its texts are.
pub fn run(arguments: &ShowArguments, root: &Path) -> Result<()> {
    let set = datasets::open(&arguments.name, root)?;
    let first = || set.card().splits.names().first().map(|name| name.to_string()).unwrap_or_default();
    let split = arguments.split.clone().unwrap_or_else(first);
    let seen = look(&set, &split, arguments)?;
    if arguments.json {
        return print_json(&as_json(set.card(), &split, seen));
    }
    print_card(&set)?;
    print(&format!("\nsamples of {split}"))?;
    for (number, sample) in seen.samples.in_order() {
        print(&format!("  {}  {}", thousands(number + 1), shown(&sample)))?;
    }
    print_lengths(&split, &seen.lengths)
}

/// Reads the split once.
fn look(set: &Prepared, split: &str, arguments: &ShowArguments) -> Result<Seen> {
    let path = set.path(split)?;
    let total = set.card().splits.get(split).map_or(0, |split| split.records);
    let bar = Bar::new(split, total, 0);
    let mut seen = Seen { lengths: Vec::new(), samples: Samples::new(arguments.seed, arguments.samples as usize) };
    if set.card().layout == Layout::Text {
        let mut lines = Lines::open(&path)?;
        let (mut line, mut number) = (String::new(), 0);
        while lines.read(&mut line)? {
            seen.add("line", &line);
            seen.samples.offer(number, || line.as_str().into());
            tick(&bar, number);
            number += 1;
        }
        return Ok(seen);
    }
    for (number, record) in (0..).zip(set.records(split)?) {
        let record = record?;
        record.texts().into_iter().for_each(|(field, text)| seen.add(field, text));
        seen.samples.offer(number, || json!(record));
        tick(&bar, number);
    }
    Ok(seen)
}

fn tick(bar: &Bar, number: u64) {
    if number.is_multiple_of(1 << 16) {
        bar.set(number);
    }
}

impl Seen {
    fn add(&mut self, field: &str, text: &str) {
        match self.lengths.iter_mut().find(|(name, _)| name == field) {
            Some((_, lengths)) => lengths.add(text),
            None => {
                let mut lengths = Lengths::default();
                lengths.add(text);
                self.lengths.push((field.to_string(), lengths));
            }
        }
    }
}

/// Those records whose draws are smallest: each is as likely as any other, however many there are.
struct Samples {
    generator: ChaCha8Rng,
    wanted: usize,
    /// The draws, the largest on top, with the numbers of the records and the records.
    kept: BinaryHeap<Drawn>,
}

#[derive(PartialEq, Eq)]
struct Drawn {
    draw: u64,
    number: u64,
    sample: Value,
}

impl Ord for Drawn {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.draw, self.number).cmp(&(other.draw, other.number))
    }
}

impl PartialOrd for Drawn {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Samples {
    fn new(seed: u64, wanted: usize) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&derive(seed, "samples", &[]).to_le_bytes());
        Self { generator: ChaCha8Rng::from_seed(key), wanted, kept: BinaryHeap::new() }
    }

    fn offer(&mut self, number: u64, sample: impl FnOnce() -> Value) {
        let draw = self.generator.next_u64();
        if self.kept.len() < self.wanted || self.kept.peek().is_some_and(|largest| draw < largest.draw) {
            self.kept.push(Drawn { draw, number, sample: sample() });
        }
        if self.kept.len() > self.wanted {
            self.kept.pop();
        }
    }

    /// The samples in the order of the records, with their numbers, counted from 0.
    fn in_order(self) -> Vec<(u64, Value)> {
        let mut samples: Vec<(u64, Value)> = self.kept.into_iter().map(|drawn| (drawn.number, drawn.sample)).collect();
        samples.sort_by_key(|(number, _)| *number);
        samples
    }
}

fn print_card(set: &Prepared) -> Result<()> {
    let card = set.card();
    print(&format!("{}: {}, in {}", card.name, holds(card), set.folder().display()))?;
    let only = if card.research_only { " (research only)" } else { "" };
    for (what, text) in [
        ("what", card.description.clone()),
        ("source", card.source.clone()),
        ("revision", card.revision.clone().unwrap_or_default()),
        ("licence", format!("{}{only}", card.licence)),
        ("labels", card.labels.clone().unwrap_or_default().join(", ")),
        ("prepared", card.created.clone()),
    ] {
        if !text.is_empty() {
            print(&format!("  {what:<10} {text}"))?;
        }
    }
    print(&splits(card))
}

/// A sample on one line, its end cut off where it is long.
fn shown(sample: &Value) -> String {
    let text = match sample {
        Value::String(line) => line.clone(),
        record => record.to_string(),
    };
    // What would move a terminal's cursor is written out.
    let text: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn print_lengths(split: &str, fields: &[(String, Lengths)]) -> Result<()> {
    for (field, lengths) in fields {
        for (unit, counts) in [("words", &lengths.words), ("bytes", &lengths.bytes)] {
            print(&format!("\n{split}, {field}, {unit}: {}", counts.line()))?;
            counts.bars().iter().try_for_each(|bar| print(bar))?;
        }
    }
    Ok(())
}

fn as_json(card: &Card, split: &str, seen: Seen) -> Value {
    let lengths = seen.lengths.iter();
    let lengths: Map<String, Value> = lengths
        .map(|(field, lengths)| {
            (field.clone(), json!({ "words": lengths.words.as_json(), "bytes": lengths.bytes.as_json() }))
        })
        .collect();
    let samples = seen.samples.in_order().into_iter();
    let samples: Vec<Value> =
        samples.map(|(number, sample)| json!({ "number": number + 1, "sample": sample })).collect();
    json!({ "card": card, "split": split, "samples": samples, "lengths": lengths })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64, wanted: usize, total: u64) -> Vec<u64> {
        let mut samples = Samples::new(seed, wanted);
        (0..total).for_each(|number| samples.offer(number, || number.into()));
        samples.in_order().into_iter().map(|(number, _)| number).collect()
    }

    #[test]
    fn samples_depend_on_the_seed_alone() {
        let first = numbers(1, 5, 1000);
        assert!(first.len() == 5 && first.is_sorted());
        assert_eq!(first, numbers(1, 5, 1000));
        assert_ne!(first, numbers(2, 5, 1000));
        assert_eq!(numbers(1, 5, 3), [0, 1, 2]);
        assert!(numbers(1, 0, 3).is_empty());
    }

    #[test]
    fn samples_are_shown_on_one_line() {
        assert_eq!(shown(&json!("a\u{1b}[2J")), "a\u{fffd}[2J");
        assert_eq!(shown(&json!({"text": "a\nb"})), r#"{"text":"a\nb"}"#);
        assert_eq!(shown(&json!("x".repeat(600))).chars().count(), SHOWN + 1);
    }
}
