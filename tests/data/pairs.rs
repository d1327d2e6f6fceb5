//! Real sets of pairs in `$SYNTH_TEST_DATA` as a model with a source and a target reads them: an epoch has each pair once.

use crate::place::Place;
use crate::real::{keys, real_data};
use std::collections::HashSet;
use synth::data::batches::BatchSize;
use synth::data::import::{ImportOptions, import};
use synth::data::options::{DataOptions, LongRecords, TokenizerKind, TokenizerOptions};
use synth::data::pairs::{self, Keep, PairBatch, PairShape};
use synth::data::record::Shape;
use synth::data::tokenizer::StoredTokenizer;
use synth::tasks::pair_corpus::{PairCorpus, PairCorpusOptions, SPECIAL};

const LONGEST: usize = 1024;
const TOKENS: usize = 4096;

/// What is looked at: a set, and how many pairs its splits have.
struct Set<'a> {
    name: &'a str,
    folder: &'a str,
    options: ImportOptions,
    shape: Shape,
    counts: &'a [(&'a str, u64)],
    /// The most that may be padding.
    padding: f64,
}

#[test]
fn translations() {
    let counts = [("train", 29_000), ("validation", 1_014), ("test", 1_000)];
    let options = keys("en", "de");
    let (name, folder, shape) = ("multi30k-en-de", "multi30k", Shape::Pairs);
    check(Set { name, folder, options, shape, counts: &counts, padding: 0.25 });
}

#[test]
fn summaries() {
    let counts = [("train", 1_992), ("validation", 619), ("test", 618)];
    let (name, folder, shape) = ("scitldr", "scitldr-a", Shape::Pairs);
    check(Set { name, folder, options: ImportOptions::default(), shape, counts: &counts, padding: 0.5 });
}

#[test]
fn dialogues() {
    let counts = [("validation", 7_316), ("test", 7_801)];
    let (name, folder, shape) = ("convai2", "convai2-personachat", Shape::Dialogue);
    check(Set { name, folder, options: ImportOptions::default(), shape, counts: &counts, padding: 0.5 });
}

/// Imports a set and goes through an epoch and every evaluation of it.
#[expect(clippy::print_stderr, reason = "the share of padding is to be seen")]
fn check(set: Set<'_>) {
    let Some(data) = real_data() else { return };
    let (place, path) = (Place::new(), data.join(set.folder));
    let (root, folder) = (place.path("data"), place.path("tokens"));
    import(set.name, &[path.to_str().unwrap().to_string()], &set.options, &root).unwrap();
    let persona = set.shape == Shape::Dialogue;
    let long_records = Some(LongRecords::Skip);
    let data = DataOptions { dataset: Some(set.name.into()), persona, long_records, ..Default::default() };
    pairs::check(&data, &[set.shape], &root).unwrap();
    let splits = pairs::load(&data, &[set.shape], &root, &["train", "validation", "test"]).unwrap();
    let counts = Vec::from_iter(splits.named().map(|(name, split)| (name.name(), split.pairs)));
    assert_eq!(counts, set.counts, "{}", set.name);
    let (_, first) = splits.named().next().unwrap();
    let tokenizer = TokenizerOptions { kind: TokenizerKind::Bpe, sample_bytes: 1_000_000, ..Default::default() };
    let texts = (&first.source, &first.target);
    let tokenizer = StoredTokenizer::prepare_pair(&tokenizer, &SPECIAL, texts, &folder).unwrap();
    let options = PairCorpusOptions {
        data: &data,
        tokenizer: &tokenizer,
        joint: true,
        longest: LONGEST,
        keep: if persona { Keep::Last } else { Keep::First },
        batch: BatchSize::Tokens(TOKENS),
        seed: 1,
        folder: &folder,
    };
    let corpus = PairCorpus::new(&splits, &options).unwrap();
    if let Some(order) = &corpus.train {
        let lengths = order.rows().lengths();
        assert_eq!(lengths.pairs - lengths.left_out(), order.rows().count() as u64);
        let mut pass = Pass::default();
        (0..order.examples()).for_each(|index| pass.add(&order.batch(index).unwrap()));
        let expected = Vec::from_iter((0..order.rows().count()).map(|row| order.rows().number(row)));
        let padding = pass.finish(&expected, order.rows().token_count());
        eprintln!("{} train: {padding:.3} padding, {} shapes, {lengths:?}", set.name, order.shapes().len());
        assert!((padding - order.padding()).abs() < 1e-9 && padding < set.padding, "{padding}");
    }
    for (split, evaluation) in &corpus.held_out {
        let mut pass = Pass::default();
        for number in 0..evaluation.count() {
            let (batch, rows) = evaluation.batch(number).unwrap();
            assert!(batch.places.iter().map(|place| place.row).eq(rows));
            pass.add(&batch);
        }
        let count = evaluation.rows().count();
        let padding = pass.finish(&Vec::from_iter(0..count), evaluation.rows().token_count());
        eprintln!("{} {}: {padding:.3} padding, {:?}", set.name, split.name(), evaluation.rows().lengths());
        assert_eq!(set.counts.iter().find(|(name, _)| *name == split.name()).unwrap().1, count as u64);
        assert!((0..count).all(|row| !evaluation.references(row).is_empty()));
    }
}

/// What the batches of an epoch were.
#[derive(Default)]
struct Pass {
    pairs: Vec<usize>,
    shapes: HashSet<(usize, PairShape)>,
    tokens: usize,
    places: usize,
}

impl Pass {
    fn add(&mut self, batch: &PairBatch) {
        let (m, n) = batch.shape;
        assert!(batch.rows * m.max(n) <= TOKENS && !batch.places.is_empty());
        let lengths: i64 = batch.lengths[..batch.places.len()].iter().sum();
        let targets = batch.targets.iter().filter(|target| **target >= 0).count();
        assert_eq!((lengths as usize, targets), (batch.source_tokens, batch.target_tokens));
        self.pairs.extend(batch.places.iter().map(|place| place.row));
        self.shapes.insert((batch.rows, batch.shape));
        self.tokens += batch.source_tokens + batch.target_tokens;
        self.places += batch.rows * (m + n);
    }

    /// Compares the pairs with these, the tokens with so many, and answers the share of padding.
    fn finish(mut self, pairs: &[usize], tokens: u64) -> f64 {
        self.pairs.sort_unstable();
        assert!(self.pairs == pairs, "every pair once");
        assert_eq!(self.tokens as u64, tokens);
        assert!(self.shapes.len() <= 16, "{:?}", self.shapes);
        1.0 - self.tokens as f64 / self.places as f64
    }
}
