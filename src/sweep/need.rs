//! How much memory a cell needs: measured where a like cell has run, else by formula.

use super::plan::Cell;
use crate::data::options::TokenizerKind;
use crate::experiment::{Experiment, config_toml};
use crate::model::Vocabularies;
use crate::model::size::{Size, model_size, training_bytes};
use crate::train::options::kept_numbers;
use std::collections::HashMap;

const MIB: f64 = 1024.0 * 1024.0;
/// What a process takes before any model: libraries, and on a GPU a context.
const PROCESS: u64 = 500 << 20;
/// Measured peaks are of tensors alone on a GPU; so much more is kept free.
const MARGIN: f64 = 1.1;
/// Logits that stand in memory at one time, at most.
const LARGEST_LOGITS: u128 = 1 << 30;

/// What cells need, as far as it was seen.
#[derive(Debug, Default)]
pub struct Needs {
    measured: HashMap<String, u64>,
}

impl Needs {
    /// Bytes that a cell needs.
    pub fn of(&self, cell: &Cell) -> u64 {
        let known = likeness(&cell.experiment).and_then(|key| self.measured.get(&key).copied());
        known.unwrap_or_else(|| formula(&cell.experiment))
    }

    /// A cell was seen to take so many MiB; all that differ from it in the seed alone take as much.
    pub fn saw(&mut self, cell: &Cell, peak_mib: f64) {
        if let Some(key) = likeness(&cell.experiment) {
            let bytes = (peak_mib * MARGIN * MIB) as u64 + PROCESS;
            let known = self.measured.entry(key).or_default();
            *known = (*known).max(bytes);
        }
    }
}

/// The experiment without what changes nothing in its memory.
fn likeness(experiment: &Experiment) -> Option<String> {
    config_toml(&Experiment { seed: 0, ..experiment.clone() }).ok()
}

/// Tokens that there are, as far as the configuration tells: the others are known once the text was read.
pub fn vocabularies(experiment: &Experiment) -> Vocabularies {
    let tokenizer = &experiment.tokenizer;
    let tokens = match tokenizer.kind {
        TokenizerKind::Byte | TokenizerKind::Char => 256,
        TokenizerKind::Bpe | TokenizerKind::Unigram => tokenizer.vocab_size.unwrap_or(8192),
        TokenizerKind::Word => tokenizer.vocab_size.unwrap_or(32_000),
    };
    Vocabularies::alike(i64::from(tokens), experiment.shares_embeddings())
}

/// Rows of a micro-batch.
pub fn rows(experiment: &Experiment) -> i64 {
    let train = &experiment.train;
    let by_tokens = train.batch_tokens.map(|tokens| tokens / experiment.model.max_length);
    by_tokens.or(train.batch_size).unwrap_or(32).max(1)
}

/// Weights, gradients and the optimizer's numbers; of each layer what the backward pass reads; logits.
fn formula(experiment: &Experiment) -> u64 {
    let (model, train) = (&experiment.model, &experiment.train);
    let bytes = u128::from(train.precision.bytes());
    let state = training_bytes(size(experiment), kept_numbers(&experiment.optimizer, train), bytes);
    let tokens = rows(experiment) as u128 * model.max_length as u128;
    let layers = if train.recompute { 1 } else { model.encoder_layers() as u128 + model.decoder_layers() as u128 };
    let kept = tokens * (12 * model.d_model as u128 + 3 * model.d_ff() as u128) * layers * bytes;
    let tables = (model.max_length as u128).pow(2) * model.heads as u128 * layers * bytes * 2;
    let logits = (tokens * vocabularies(experiment).target as u128 * bytes * 2).min(LARGEST_LOGITS);
    u64::try_from(state + kept + tables + logits).unwrap_or(u64::MAX).saturating_add(PROCESS)
}

/// Bytes that a cell needs at the very least.
pub fn least(experiment: &Experiment) -> u128 {
    let kept = kept_numbers(&experiment.optimizer, &experiment.train);
    training_bytes(size(experiment), kept, u128::from(experiment.train.precision.bytes()))
}

/// Numbers of parameters, as far as the vocabulary is known.
pub fn size(experiment: &Experiment) -> Size {
    model_size(&experiment.model, &experiment.attention, vocabularies(experiment))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::load::tests::experiment;

    fn cell(sets: &[&str]) -> Cell {
        let experiment = experiment(sets);
        Cell { name: "a".into(), seed: 1, run: "a-s1".into(), sets: Vec::new(), experiment, skip: None, control: None }
    }

    #[test]
    fn what_was_measured_counts_for_other_seeds_and_no_other_model() {
        let (one, other, wide) = (cell(&[]), cell(&["seed=2"]), cell(&["model.d_model=128"]));
        let mut needs = Needs::default();
        let before = needs.of(&wide);
        needs.saw(&one, 1000.0);
        needs.saw(&one, 900.0);
        assert_eq!(needs.of(&other), (1100.0 * MIB) as u64 + PROCESS);
        assert_eq!(needs.of(&wide), before);
    }

    #[test]
    fn larger_models_and_batches_need_more() {
        let need = |sets: &[&str]| Needs::default().of(&cell(sets));
        let plain = need(&[]);
        assert!(plain > PROCESS);
        for more in ["model.layers=12", "train.batch_size=64", "model.d_model=512", "train.ema=0.9"] {
            assert!(need(&[more]) > plain, "{more}");
        }
        assert!(need(&["train.recompute=true"]) < plain);
    }
}
