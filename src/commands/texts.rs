//! The texts of an experiment: running text and records for a language model, pairs for tasks that have a source.

use super::setup::tokens_folder;
use crate::data::datasets;
use crate::data::pairs::{self, PairSplit, PairSplits};
use crate::data::record::Shape;
use crate::data::splits::{self, Splits};
use crate::data::tokenizer::StoredTokenizer;
use crate::experiment::Experiment;
use crate::refuse;
use crate::runs::Split;
use crate::tasks::options::TaskKind;
use crate::tasks::{corpus, pair_corpus};
use anyhow::Result;
use std::collections::BTreeMap;

/// The texts of the splits that were asked for.
pub enum Texts {
    /// Those of a language model.
    Streams(Box<Splits>),
    /// Those of a task with a source and a target.
    Pairs(Box<PairSplits>),
}

/// The shapes of records that hold pairs for a task; none for one that reads single texts.
fn shapes(kind: TaskKind) -> Option<&'static [Shape]> {
    match kind {
        TaskKind::LanguageModeling => None,
        TaskKind::Translation | TaskKind::Summarization => Some(&[Shape::Pairs]),
        TaskKind::Dialogue => Some(&[Shape::Dialogue, Shape::Pairs]),
    }
}

impl Texts {
    /// Checks that what `[data]` names is there and of use, without reading it.
    ///
    /// # Errors
    /// Refusals.
    pub fn check(experiment: &Experiment) -> Result<()> {
        match shapes(experiment.task.kind) {
            None => splits::check(&experiment.data, &datasets::root()),
            Some(shapes) => pairs::check(&experiment.data, shapes, &datasets::root()),
        }
    }

    /// Looks through the texts of the splits `wanted`.
    ///
    /// # Errors
    /// Refusals; texts that cannot be read or used.
    pub fn load(experiment: &Experiment, wanted: &[&str]) -> Result<Self> {
        let (data, root) = (&experiment.data, datasets::root());
        Ok(match shapes(experiment.task.kind) {
            None => Self::Streams(splits::load(data, &root, wanted)?.into()),
            Some(shapes) => Self::Pairs(pairs::load(data, shapes, &root, wanted)?.into()),
        })
    }

    /// The names of the splits that are there.
    pub fn splits(&self) -> Vec<&'static str> {
        match self {
            Self::Streams(splits) => splits.named().map(|(name, _)| name).collect(),
            Self::Pairs(splits) => splits.named().map(|(split, _)| split.name()).collect(),
        }
    }

    /// What identifies the texts: the SHA-256 of each by its name, which begins with the split's, and of a dataset's list by
    /// the name of the set.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        match self {
            Self::Streams(splits) => {
                let texts = splits.named().map(|(name, text)| (name.to_string(), text.sha256.clone()));
                let list = splits.dataset.iter().map(|set| (set.name.clone(), set.list_sha256.clone()));
                texts.chain(list).collect()
            }
            Self::Pairs(splits) => splits.hashes(),
        }
    }

    /// Of [`Texts::hashes`] those of the texts of one split, by what stands behind its name: nothing, `source`, `target`.
    pub fn hashes_of(&self, split: Split) -> Vec<(String, String)> {
        let of_split = |(name, hash): (String, String)| {
            let rest = name.strip_prefix(split.name())?;
            let side = rest.strip_prefix('.').or(rest.is_empty().then_some(""))?;
            Some((side.to_string(), hash))
        };
        self.hashes().into_iter().filter_map(of_split).collect()
    }

    /// What a model of the experiment that learns from the train split cuts text with.
    ///
    /// # Errors
    /// A refusal where there is no train split; a text from which nothing can be learned.
    pub fn tokenizer(&self, experiment: &Experiment) -> Result<StoredTokenizer> {
        let (options, folder) = (&experiment.tokenizer, tokens_folder());
        let made = match self {
            Self::Streams(splits) => splits
                .train
                .as_ref()
                .map(|train| StoredTokenizer::prepare(options, corpus::special(&experiment.data), train, &folder)),
            Self::Pairs(splits) => splits.train.as_ref().map(|PairSplit { source, target, .. }| {
                StoredTokenizer::prepare_pair(options, &pair_corpus::SPECIAL, (source, target), &folder)
            }),
        };
        match made {
            Some(made) => made,
            None => refuse!("the data has no train split to learn from; it has {}", self.splits().join(", ")),
        }
    }
}
