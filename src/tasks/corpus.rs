//! What a language model is trained and measured on: texts as tokens, in rows.

use crate::data::batches::BatchSize;
use crate::data::evaluation::Evaluation;
use crate::data::options::{DataOptions, LongRecords, RowKind};
use crate::data::order::TrainOrder;
use crate::data::rows::{Long, Rows};
use crate::data::splits::Splits;
use crate::data::text::{Flow, Text};
use crate::data::tokenizer::{Special, StoredTokenizer};
use crate::data::tokens::{Job, MeasuredRows, Tokens, prepare};
use crate::refuse;
use crate::runs::Split;
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;

/// The rows of an experiment.
pub struct Corpus {
    /// The order of training, where it is wanted.
    pub train: Option<TrainOrder>,
    /// The splits that are measured.
    pub held_out: Vec<(Split, Arc<Evaluation>)>,
    /// Whether a row is a record.
    pub records: bool,
}

/// How texts become rows.
pub struct CorpusOptions<'a> {
    /// `[data]`.
    pub data: &'a DataOptions,
    /// What cuts them into tokens.
    pub tokenizer: &'a StoredTokenizer,
    /// Tokens of a row at most, `model.max_length`.
    pub longest: usize,
    /// The size of a micro-batch.
    pub batch: BatchSize,
    /// What the order of training derives from.
    pub seed: u64,
    /// The folder of token files.
    pub folder: &'a Path,
}

/// The special tokens that a language model's tokenizer has.
pub fn special(data: &DataOptions) -> &'static [Special] {
    match data.rows {
        RowKind::Blocks => &[],
        RowKind::Records => &[Special::End],
    }
}

impl Corpus {
    /// Cuts the texts of `splits`.
    ///
    /// # Errors
    /// Texts that cannot be read or are too short; a refusal of records where the tokenizer has no end for them.
    pub fn new(splits: &Splits, options: &CorpusOptions<'_>) -> Result<Self> {
        let train = splits.train.as_ref().map(|text| options.train(text)).transpose()?;
        let mut held_out = Vec::new();
        for (split, text) in [(Split::Validation, &splits.validation), (Split::Test, &splits.test)] {
            if let Some(text) = text {
                held_out.push((split, Arc::new(options.evaluation(split, text)?)));
            }
        }
        Ok(Self { train, held_out, records: options.data.rows == RowKind::Records })
    }
}

impl CorpusOptions<'_> {
    fn train(&self, text: &Text) -> Result<TrainOrder> {
        let tokens = self.tokens(text, false)?;
        let rows = self.rows(tokens, Split::Train)?;
        Ok(match (self.data.rows, self.batch) {
            (RowKind::Blocks, size) => TrainOrder::of_blocks(rows, size.rows(self.longest), self.seed),
            (RowKind::Records, size) => TrainOrder::of_records(rows, size, self.seed),
        })
    }

    fn evaluation(&self, split: Split, text: &Text) -> Result<Evaluation> {
        let rows = self.rows(self.tokens(text, true)?, split)?;
        Ok(match self.data.rows {
            RowKind::Blocks => Evaluation::of_blocks(rows, self.batch.rows(self.longest)),
            RowKind::Records => Evaluation::of_records(rows, self.batch),
        })
    }

    fn tokens(&self, text: &Text, measured: bool) -> Result<Tokens> {
        let end = self.end()?;
        let flow = if end.is_some() { Flow::Records } else { Flow::Running };
        let measured = measured.then_some(MeasuredRows { length: self.longest as u32, end });
        let (tokenizer, tokenizer_sha256) = (self.tokenizer.tokenizer()?, self.tokenizer.sha256.as_str());
        prepare(&Job { text, tokenizer, tokenizer_sha256, flow, end, measured, folder: self.folder })
    }

    /// The token that ends a record, where a row is one.
    fn end(&self) -> Result<Option<u32>> {
        if self.data.rows == RowKind::Blocks {
            return Ok(None);
        }
        match self.tokenizer.tokenizer()?.special(Special::End) {
            Some(end) => Ok(Some(end)),
            None => refuse!("data.rows = \"records\": the run's tokenizer has no </s>; it was trained on blocks"),
        }
    }

    fn rows(&self, tokens: Tokens, split: Split) -> Result<Rows> {
        // What is measured is measured whole.
        let long = match (self.data.long_records(), split) {
            (LongRecords::Skip, Split::Train) => Long::Skip,
            _ => Long::Cut,
        };
        let rows = match self.end()? {
            None => Rows::blocks(tokens, self.longest),
            Some(end) => Rows::records(tokens, self.longest, end, long),
        };
        rows.with_context(|| format!("the {} split is too short", split.name()))
    }
}
