//! What a run reads of a split: a stream that is cut into rows, or pairs.

use crate::bitext::{Pair, pairs};
use crate::config::Config;
use crate::folder::RunFolder;
use crate::kinds::has_encoder;
use crate::logged::{LoggedRow, MicroBatch};
use crate::masks::Masks;
use crate::measure::Block;
use crate::records::{activation_dropout, dropout};
use crate::repetition::rows;

/// A split.
pub enum Corpus {
    /// A stream, and the rows that it is cut into.
    Stream(Vec<usize>, Vec<LoggedRow>),
    /// Pairs.
    Pairs(Vec<Pair>),
}

impl Corpus {
    /// A split of a run, read by an experiment.
    pub fn new(run: &RunFolder, config: &Config, split: &str) -> Self {
        if has_encoder(config) {
            return Self::Pairs(pairs(run, config, split));
        }
        let (stream, rows) = rows(run, config, split);
        Self::Stream(stream, rows)
    }

    /// All its rows.
    pub fn blocks(&self) -> Vec<Block<'_>> {
        match self {
            Self::Stream(stream, rows) => rows.iter().map(|row| row.block(stream)).collect(),
            Self::Pairs(pairs) => pairs.iter().map(Pair::block).collect(),
        }
    }

    /// What an update read, counted from 1: all rows of all its micro-batches, with what dropout leaves of them.
    pub fn read(&self, config: &Config, batches: &[MicroBatch], step: usize) -> Vec<Block<'_>> {
        let masks = |batch: &MicroBatch, sample: usize| {
            let (attention, activations) = (dropout(config), activation_dropout(config));
            let model = config.required_number("model.dropout");
            let seed = config.required_count("seed") as u64;
            (attention.max(activations).max(model) > 0.0).then(|| Masks {
                attention,
                activations,
                model,
                key: Masks::key(seed, batch.step - 1, batch.number),
                sample,
                length: batch.length,
                source_length: batch.source_length.unwrap_or(0),
            })
        };
        let batches = batches.iter().filter(|batch| batch.step == step);
        let rows =
            batches.flat_map(|batch| batch.rows.iter().enumerate().map(move |(sample, row)| (batch, sample, row)));
        rows.map(|(batch, sample, row)| Block { masks: masks(batch, sample), ..self.block(*row) }).collect()
    }

    fn block(&self, row: LoggedRow) -> Block<'_> {
        match self {
            Self::Stream(stream, _) => row.block(stream),
            Self::Pairs(pairs) => {
                pairs.iter().find(|pair| pair.number == row.number).expect("a pair that training reads").block()
            }
        }
    }
}
