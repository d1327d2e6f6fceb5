//! A unigram language model over pieces of words (Kudo 2018): the most likely pieces of each word.
//!
//! Training it twice gives two vocabularies that differ a little, for the library draws on the order of its hash tables:
//! a run trains it once and keeps it.

use super::encoded::{Encoded, Memory};
use super::{pattern, sample};
use anyhow::{Context, Result, anyhow, ensure};
use std::collections::HashSet;
use tokenizers::Model;
use tokenizers::models::unigram::{Unigram as Library, UnigramTrainer};

/// The id of what the vocabulary lacks.
pub const UNKNOWN: u32 = 0;

/// What stands for [`UNKNOWN`]: no piece can have the name, which GPT-2's pattern would cut.
const UNKNOWN_ENTRY: &str = "<unknown>";

/// Pieces with the logarithms of their probabilities.
#[derive(Clone)]
pub struct Unigram {
    vocabulary: Vec<String>,
    log_probabilities: Vec<f64>,
    model: Library,
}

impl Unigram {
    /// Learns at most `size` pieces, every character of the text among them, from the pieces of a text.
    ///
    /// # Errors
    /// Those of reading the text; more characters than there is room for.
    pub fn train(size: usize, text: impl Iterator<Item = Result<String>> + Send) -> Result<Self> {
        let mut builder = UnigramTrainer::builder();
        builder.show_progress(false).vocab_size(size as u32).unk_token(Some(UNKNOWN_ENTRY.into()));
        let trainer = builder.build().map_err(|error| anyhow!("cannot train the tokenizer: {error}"))?;
        let mut characters = HashSet::new();
        let text = text.inspect(|piece| characters.extend(piece.iter().flat_map(|text| text.chars())));
        let counts = sample::count(text, |text, take| pattern::pieces(text).for_each(take))?;
        ensure!(
            characters.len() < size,
            "the train split has {} characters: too many for tokenizer.vocab_size = {size}; raise it, or take bpe",
            characters.len()
        );
        ensure!(!characters.is_empty(), "the train split is empty: a unigram tokenizer needs text");
        let mut model = Library::default();
        let counts = counts.into_iter().map(|(word, count)| (word, u32::try_from(count).unwrap_or(u32::MAX)));
        let trained = trainer.do_train(counts.collect(), &mut model);
        trained.map_err(|error| anyhow!("cannot train the tokenizer: {error}"))?;
        let (vocabulary, log_probabilities) = model.iter().cloned().unzip();
        Self::new(vocabulary, log_probabilities)
    }

    /// From a `vocabulary`, in which an entry's index is its id and entry 0 is `"<unknown>"`, and the natural logarithm of
    /// each entry's probability.
    ///
    /// # Errors
    /// No probability for each entry; an entry twice; another entry 0.
    pub fn new(vocabulary: Vec<String>, log_probabilities: Vec<f64>) -> Result<Self> {
        let first = vocabulary.first().context("the vocabulary is empty")?;
        ensure!(first == UNKNOWN_ENTRY, "vocabulary[0] is {first:?}; expected {UNKNOWN_ENTRY:?}");
        ensure!(
            vocabulary.len() == log_probabilities.len() && log_probabilities.iter().all(|number| number.is_finite()),
            "expected a finite number in log_probabilities for each entry of the vocabulary"
        );
        ensure!(
            vocabulary.iter().collect::<HashSet<_>>().len() == vocabulary.len(),
            "the vocabulary has an entry twice"
        );
        let pairs = vocabulary.iter().cloned().zip(log_probabilities.iter().copied()).collect();
        let mut model = Library::from(pairs, Some(UNKNOWN as usize), false).map_err(|error| anyhow!("{error}"))?;
        // Words are remembered by each thread for itself.
        model.resize_cache(0);
        Ok(Self { vocabulary, log_probabilities, model })
    }

    /// The vocabulary that it was made of.
    pub fn vocabulary(&self) -> &[String] {
        &self.vocabulary
    }

    /// The logarithms of probabilities that it was made of.
    pub fn log_probabilities(&self) -> &[f64] {
        &self.log_probabilities
    }

    /// Number of tokens.
    pub fn size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The text of a token; none of the unknown one and of an id that there is not.
    pub fn text(&self, id: u32) -> Option<&str> {
        self.vocabulary.get(id as usize).filter(|_| id != UNKNOWN).map(String::as_str)
    }

    /// Appends the tokens of `text`. Neighbouring characters that the vocabulary lacks are one unknown token.
    pub fn encode(&self, text: &str, memory: &mut Memory, out: &mut Encoded) {
        for piece in pattern::pieces(text) {
            memory.append(piece, out, |word| self.encode_piece(word));
        }
    }

    fn encode_piece(&self, piece: &str) -> Vec<(u32, u32)> {
        // There is an unknown token: there is nothing that the model cannot cut.
        let parts = self.model.encode(piece).unwrap_or_default();
        let id = |part: &str| self.model.token_to_id(part).unwrap_or(UNKNOWN);
        parts.iter().map(|part| (id(part), part.len() as u32)).collect()
    }
}

impl PartialEq for Unigram {
    fn eq(&self, other: &Self) -> bool {
        self.vocabulary == other.vocabulary && self.log_probabilities == other.log_probabilities
    }
}
