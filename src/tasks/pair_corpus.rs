//! What a model with a source and a target is trained and measured on: pairs as tokens, in rows.

use super::Batches;
use super::feed::{HostArray, HostBatch, Origin};
use crate::data::batches::BatchSize;
use crate::data::options::{DataOptions, LongRecords};
use crate::data::pairs::{
    Bounds, Keep, PairBatch, PairEvaluation, PairIds, PairOrder, PairRows, PairSplit, PairSplits, Train,
};
use crate::data::text::{Flow, Text};
use crate::data::tokenizer::{Special, StoredTokenizer, Tokenizer, Tokenizers};
use crate::data::tokens::{Job, Tokens, prepare};
use crate::runs::Split;
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;

/// The special tokens of the tokenizers of pairs.
pub const SPECIAL: [Special; 2] = [Special::Begin, Special::End];

/// The rows of an experiment.
pub struct PairCorpus {
    /// The order of training, where it is wanted.
    pub train: Option<PairOrder>,
    /// The splits that are measured.
    pub held_out: Vec<(Split, Arc<PairEvaluation>)>,
}

/// How pairs become rows.
pub struct PairCorpusOptions<'a> {
    /// `[data]`.
    pub data: &'a DataOptions,
    /// What cuts sources and targets into tokens.
    pub tokenizer: &'a StoredTokenizer,
    /// `tokenizer.joint`: whether both have one vocabulary.
    pub joint: bool,
    /// Tokens of a side at most, its end included, where `[data]` has no bound of its own: `model.max_length`.
    pub longest: usize,
    /// What stays of a source that is cut.
    pub keep: Keep,
    /// The size of a micro-batch.
    pub batch: BatchSize,
    /// What the order of training derives from.
    pub seed: u64,
    /// The folder of token files.
    pub folder: &'a Path,
}

impl PairCorpus {
    /// Cuts the pairs of `splits`, and says what is cut short and left out.
    ///
    /// # Errors
    /// Texts that cannot be read; a split without a pair that can be used; tokenizers without the tokens that stand around
    /// pairs, or other ones than `tokenizer.joint` says.
    pub fn new(splits: &PairSplits, options: &PairCorpusOptions<'_>) -> Result<Self> {
        options.tokenizer.check_joint(options.joint)?;
        let (mut train, mut held_out) = (None, Vec::new());
        for (name, split) in splits.named() {
            let rows = options.rows(name, split).with_context(|| format!("the {} split", name.name()))?;
            rows.lengths().tell(name.name());
            match &split.raw {
                Some(raw) if name != Split::Train => {
                    held_out.push((name, Arc::new(PairEvaluation::new(rows, raw.clone(), options.batch)?)));
                }
                _ => train = Some(PairOrder::new(rows, options.batch, options.seed)),
            }
        }
        Ok(Self { train, held_out })
    }
}

impl PairCorpusOptions<'_> {
    fn rows(&self, name: Split, split: &PairSplit) -> Result<PairRows> {
        let tokenizers = &self.tokenizer.tokenizers;
        let ids = ids(tokenizers)?;
        let source = self.tokens(&split.source, (tokenizers.source(), "source"), ids.source_end)?;
        let target = self.tokens(&split.target, (tokenizers.target(), "target"), ids.target_end)?;
        PairRows::new(source, target, ids, self.limits(name))
    }

    /// What is measured is measured whole, as far as the model can read it.
    fn limits(&self, split: Split) -> Bounds {
        let bound = |own: Option<usize>| own.unwrap_or(self.longest).min(self.longest);
        let skip = self.data.long_records() == LongRecords::Skip;
        Bounds {
            source: bound(self.data.max_source_length),
            target: bound(self.data.max_target_length),
            keep: self.keep,
            train: (split == Split::Train).then_some(Train { skip, ratio: self.data.length_ratio }),
        }
    }

    fn tokens(&self, text: &Text, (tokenizer, side): (&Tokenizer, &str), end: u32) -> Result<Tokens> {
        // Two tokenizers in one file are told apart by their side.
        let sha256 = match &self.tokenizer.tokenizers {
            Tokenizers::Joint(_) => self.tokenizer.sha256.clone(),
            Tokenizers::Separate { .. } => format!("{} {side}", self.tokenizer.sha256),
        };
        let (flow, end) = (Flow::Sides, Some(end));
        prepare(&Job { text, tokenizer, tokenizer_sha256: &sha256, flow, end, measured: None, folder: self.folder })
    }
}

/// The tokens that stand around pairs.
///
/// # Errors
/// Tokenizers that lack them.
pub fn ids(tokenizers: &Tokenizers) -> Result<PairIds> {
    let id = |tokenizer: &Tokenizer, special, name| {
        let id = tokenizer.special(special);
        id.with_context(|| format!("the run's tokenizer has no {name}; it was trained for another task"))
    };
    Ok(PairIds {
        source_end: id(tokenizers.source(), Special::End, "</s>")?,
        target_begin: id(tokenizers.target(), Special::Begin, "<s>")?,
        target_end: id(tokenizers.target(), Special::End, "</s>")?,
    })
}

impl Batches for PairOrder {
    fn micro_batch(&self, index: u64) -> Result<HostBatch> {
        Ok(self.batch(index)?.into())
    }
}

/// Sources `[rows, M]`, their lengths `[rows]`, inputs and targets `[rows, N]`.
impl From<PairBatch> for HostBatch {
    fn from(batch: PairBatch) -> Self {
        let (rows, (m, n)) = (batch.rows as i64, batch.shape);
        let matrix = |values, columns: usize| HostArray { shape: vec![rows, columns as i64], values };
        let arrays = vec![
            matrix(batch.source, m),
            HostArray { shape: vec![rows], values: batch.lengths },
            matrix(batch.inputs, n),
            matrix(batch.targets, n),
        ];
        let rows = batch.places.iter().map(|place| [place.row as u64, place.begin, place.targets as u64]).collect();
        let origin = Origin { length: n as u64, source_length: Some(m as u64), rows };
        let (target_tokens, source_tokens) = (batch.target_tokens as u64, batch.source_tokens as u64);
        HostBatch { arrays, target_tokens, source_tokens, origin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::card::SPLITS;
    use crate::data::options::{Paths, TokenizerKind, TokenizerOptions};
    use crate::data::pairs;
    use crate::data::record::Shape;
    use std::fs;

    const PAIRS: [(&str, &str); 5] =
        [("a b c", "x"), ("d", ""), ("", "y z"), ("e f g h i j k l", "u v"), ("m", "w w w w w w")];

    /// The corpus of the same pairs as train and test, in bytes.
    fn corpus(folder: &Path, data: DataOptions, joint: bool) -> (PairCorpus, StoredTokenizer) {
        let [source, target] = ["a.en", "a.de"].map(|name| folder.join(name));
        let side = |of: fn(&(&str, &str)) -> String| Vec::from_iter(PAIRS.iter().map(of)).join("\n") + "\n";
        fs::write(&source, side(|pair| pair.0.into())).unwrap();
        fs::write(&target, side(|pair| pair.1.into())).unwrap();
        let paths = Some(Paths::Pair([source, target]));
        let data = DataOptions { train: paths.clone(), test: paths, ..data };
        let splits = pairs::load(&data, &[Shape::Pairs], folder, &SPLITS).unwrap();
        let train = splits.train.as_ref().unwrap();
        let options = TokenizerOptions { kind: TokenizerKind::Byte, joint, ..Default::default() };
        let texts = (&train.source, &train.target);
        let tokenizer = StoredTokenizer::prepare_pair(&options, &SPECIAL, texts, folder).unwrap();
        let options = PairCorpusOptions {
            data: &data,
            tokenizer: &tokenizer,
            joint,
            longest: 10,
            keep: Keep::Last,
            batch: BatchSize::Tokens(20),
            seed: 1,
            folder,
        };
        (PairCorpus::new(&splits, &options).unwrap(), tokenizer)
    }

    #[test]
    fn training_leaves_out_what_measuring_cuts() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataOptions { long_records: Some(LongRecords::Skip), ..Default::default() };
        for joint in [true, false] {
            let (corpus, tokenizer) = corpus(folder.path(), data.clone(), joint);
            let train = corpus.train.unwrap();
            let numbers = Vec::from_iter((0..train.rows().count()).map(|row| train.rows().number(row)));
            assert_eq!(numbers, [0, 2]);
            let (split, evaluation) = &corpus.held_out[0];
            assert_eq!((*split, evaluation.rows().count()), (Split::Test, 5));
            let mut seen = Vec::new();
            for number in 0..evaluation.count() {
                let (batch, rows) = evaluation.batch(number).unwrap();
                for (place, row) in batch.places.iter().zip(&rows) {
                    assert_eq!(place.row, *row);
                }
                for (index, &row) in rows.iter().enumerate() {
                    let (m, n) = batch.shape;
                    let kept = batch.lengths[index] as usize;
                    let ids = Vec::from_iter(batch.source[index * m..][..kept - 1].iter().map(|id| *id as u32));
                    assert!(PAIRS[row].0.ends_with(&tokenizer.tokenizers.source().decode(&ids)), "the newest stay");
                    let targets = batch.targets[index * n..][..n].iter().filter(|id| (0..256).contains(*id));
                    let ids = Vec::from_iter(targets.map(|id| *id as u32));
                    assert!(PAIRS[row].1.starts_with(&tokenizer.tokenizers.target().decode(&ids)));
                    assert_eq!(evaluation.source(row), PAIRS[row].0);
                    assert_eq!(evaluation.references(row), [PAIRS[row].1]);
                    assert_eq!(evaluation.rows().columns(row).0, (PAIRS[row].0.len() + 1).min(10));
                }
                seen.extend(rows);
            }
            seen.sort();
            assert_eq!(seen, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn a_batch_is_four_arrays() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataOptions { max_source_length: Some(2), max_target_length: Some(4), ..Default::default() };
        let (corpus, _) = corpus(folder.path(), data, true);
        let order = corpus.train.unwrap();
        assert_eq!((order.rows().count(), order.largest()), (4, (5, (2, 4))));
        let batch = order.micro_batch(0).unwrap();
        let shapes = Vec::from_iter(batch.arrays.iter().map(|array| array.shape.clone()));
        assert_eq!(shapes, [vec![5, 2], vec![5], vec![5, 4], vec![5, 4]]);
        assert!(batch.arrays.iter().all(|array| array.values.len() as i64 == array.shape.iter().product::<i64>()));
        // Of the sources the end and at most a byte before it; of the targets `x`, `y z`, `u v`, `w w`.
        assert_eq!((batch.source_tokens, batch.target_tokens), (7, 14));
        assert_eq!((batch.origin.length, batch.origin.source_length, batch.origin.rows.len()), (4, Some(2), 4));
        assert!((order.padding() - (1.0 - 21.0 / 30.0)).abs() < 1e-12);
    }

    #[test]
    fn tokenizers_of_other_tasks_are_refused_by_name() {
        let tokenizers = Tokenizers::Joint(Tokenizer::byte());
        assert!(ids(&tokenizers).unwrap_err().to_string().contains("has no </s>"));
    }
}
