//! Byte-level byte pair encoding, as in GPT-2: every text comes back as it was.

use super::encoded::{Encoded, Memory};
use super::{bytes, pattern, sample};
use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use tokenizers::Model;
use tokenizers::models::bpe::{BPE, BpeTrainer, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

/// Pairs that occur less often become no token.
const MIN_FREQUENCY: u64 = 2;

/// A vocabulary of bytes and of merges of them, both in GPT-2's alphabet of bytes.
#[derive(Clone)]
pub struct BytePair {
    vocabulary: Vec<String>,
    merges: Vec<String>,
    model: BPE,
    /// What each id stands for.
    texts: Vec<Vec<u8>>,
}

impl BytePair {
    /// Learns at most `size` tokens, the 256 bytes among them, from the pieces of a text.
    ///
    /// # Errors
    /// Those of reading the text.
    pub fn train(size: usize, text: impl Iterator<Item = Result<String>> + Send) -> Result<Self> {
        ensure!(size >= 256, "a vocabulary of {size} tokens has no room for the 256 bytes");
        let builder = BpeTrainer::builder().show_progress(false).vocab_size(size).min_frequency(MIN_FREQUENCY);
        let trainer = builder.initial_alphabet(ByteLevel::alphabet().into_iter().collect()).build();
        let mut word = String::new();
        let counts = sample::count(text, |text, take| {
            for piece in pattern::pieces(text) {
                bytes::write(piece, &mut word);
                take(&word);
            }
        })?;
        let counts = counts.into_iter().map(|(word, count)| (word.into(), count)).collect();
        let mut model = BPE::default();
        let trained = trainer.do_train(&counts, &mut model);
        trained.map_err(|error| anyhow!("cannot train the tokenizer: {error}"))?;
        let (vocabulary, merges) = parts(&model)?;
        Self::new(vocabulary, merges)
    }

    /// From a `vocabulary`, in which an entry's index is its id, and `merges`: two entries and a space between them, the
    /// earlier merge first.
    ///
    /// # Errors
    /// A vocabulary that lacks a byte or has an entry twice; merges of what it lacks.
    pub fn new(vocabulary: Vec<String>, merges: Vec<String>) -> Result<Self> {
        let texts = vocabulary.iter().enumerate().map(|(id, entry)| {
            let text = bytes::read(entry).filter(|bytes| !bytes.is_empty());
            text.with_context(|| format!("vocabulary[{id}] is {entry:?}; expected characters of GPT-2's alphabet"))
        });
        let texts = texts.collect::<Result<Vec<_>>>()?;
        ensure!(texts.iter().collect::<HashSet<_>>().len() == texts.len(), "the vocabulary has an entry twice");
        let bytes = texts.iter().filter(|text| text.len() == 1).count();
        ensure!(bytes == 256, "the vocabulary has {bytes} of the 256 bytes");
        let pairs = merges.iter().enumerate().map(|(index, merge)| {
            let pair = merge.split_once(' ').map(|(left, right)| (left.to_string(), right.to_string()));
            pair.with_context(|| format!("merges[{index}] is {merge:?}; expected two entries and a space between them"))
        });
        let pairs = pairs.collect::<Result<Vec<_>>>()?;
        let ids: Vocab = vocabulary.iter().cloned().zip(0..).collect();
        // Words are remembered by each thread for itself.
        let model = BPE::builder().vocab_and_merges(ids, pairs).cache_capacity(0).build();
        let model = model.map_err(|error| anyhow!("the merges do not fit the vocabulary: {error}"))?;
        Ok(Self { vocabulary, merges, model, texts })
    }

    /// The vocabulary that it was made of.
    pub fn vocabulary(&self) -> &[String] {
        &self.vocabulary
    }

    /// The merges that it was made of.
    pub fn merges(&self) -> &[String] {
        &self.merges
    }

    /// Number of tokens.
    pub fn size(&self) -> usize {
        self.texts.len()
    }

    /// The bytes of a token; none of an id that there is not.
    pub fn text(&self, id: u32) -> Option<&[u8]> {
        self.texts.get(id as usize).map(Vec::as_slice)
    }

    /// Appends the tokens of `text`.
    pub fn encode(&self, text: &str, memory: &mut Memory, out: &mut Encoded) {
        for piece in pattern::pieces(text) {
            memory.append(piece, out, |word| self.encode_piece(word));
        }
    }

    fn encode_piece(&self, piece: &str) -> Vec<(u32, u32)> {
        let mut word = String::new();
        bytes::write(piece, &mut word);
        // Every byte is in the vocabulary: there is nothing that the model cannot cut.
        let tokens = self.model.tokenize(&word).unwrap_or_default();
        tokens.iter().map(|token| (token.id, self.texts[token.id as usize].len() as u32)).collect()
    }
}

/// The vocabulary and the merges of the library's model.
fn parts(model: &BPE) -> Result<(Vec<String>, Vec<String>)> {
    #[derive(Deserialize)]
    struct OfLibrary {
        vocab: HashMap<String, u32>,
        merges: Vec<(String, String)>,
    }
    let OfLibrary { vocab, merges } = serde_json::from_value(serde_json::to_value(model)?)?;
    let mut entries: Vec<(u32, String)> = vocab.into_iter().map(|(word, id)| (id, word)).collect();
    entries.sort();
    ensure!(entries.iter().zip(0..).all(|((id, _), index)| *id == index), "the trained vocabulary has gaps");
    let vocabulary = entries.into_iter().map(|(_, word)| word).collect();
    Ok((vocabulary, merges.into_iter().map(|(left, right)| format!("{left} {right}")).collect()))
}

impl PartialEq for BytePair {
    fn eq(&self, other: &Self) -> bool {
        self.vocabulary == other.vocabulary && self.merges == other.merges
    }
}
