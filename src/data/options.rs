//! The tables `[data]` and `[tokenizer]` of a configuration.

mod paths;

pub use paths::Paths;

use garde::Validate;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The table `[data]`: exactly one of `dataset`, `path`, or `train` with `validation`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct DataOptions {
    /// Name of a prepared dataset (`synth data fetch NAME`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub dataset: Option<String>,
    /// The field of a dataset's records that is the text; `text` where they have no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub field: Option<String>,
    /// Text files of the train split: a path or a glob, whose matches are taken in order of name; a pair of these, for the
    /// source and the target, where a task has both.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub train: Option<Paths>,
    /// Text files of the validation split.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub validation: Option<Paths>,
    /// Text files of the test split.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub test: Option<Paths>,
    /// One text file, cut by `split`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub path: Option<PathBuf>,
    /// Shares of train, validation and, if a third is given, test: contiguous, by characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub split: Option<Vec<f64>>,
    /// What a row of a batch is, for a language model.
    #[garde(skip)]
    pub rows: RowKind,
    /// What becomes of a train record that is longer than `model.max_length`, its end included, or of a train pair of which
    /// a side is longer than its own bound. Its default depends on the task; a loaded experiment has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub long_records: Option<LongRecords>,
    /// Tokens of a source at most, its end included; `model.max_length` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub max_source_length: Option<usize>,
    /// Tokens of a target at most, its end included; `model.max_length` unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub max_target_length: Option<usize>,
    /// Train pairs of which a side has more than so many times the tokens of the other, ends included, are left out; more
    /// than 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub length_ratio: Option<f64>,
    /// Of a dialogue: whether sentences about who replies stand before the history.
    #[garde(skip)]
    pub persona: bool,
    /// Of a dialogue: how many of the newest turns of the history are kept; 0 = all.
    #[garde(skip)]
    pub history_turns: usize,
}

impl DataOptions {
    /// What becomes of long train records.
    pub fn long_records(&self) -> LongRecords {
        self.long_records.unwrap_or_default()
    }
}

/// `data.rows`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowKind {
    /// A block of the text as one stream.
    #[default]
    Blocks,
    /// A record: a document of a dataset, a line of a text.
    Records,
}

/// `data.long_records`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LongRecords {
    /// Cut into rows, each of which goes on where the one before ends.
    #[default]
    Cut,
    /// Left out of training.
    Skip,
}

/// The table `[tokenizer]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerOptions {
    /// What a token is.
    #[garde(skip)]
    pub kind: TokenizerKind,
    /// Tokens at most, those that stand for no text among them: 8192 for `bpe` and `unigram`, any number for `word`. The
    /// other kinds take what the text has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 300, max = 16_777_216)))]
    pub vocab_size: Option<u32>,
    /// Bytes of the train split from which `bpe`, `unigram` and `word` learn their vocabulary: pieces of it, evenly spaced.
    #[garde(range(min = 1, max = 1_000_000_000))]
    pub sample_bytes: u64,
    /// How often a word occurs at least that becomes a token of kind `word`.
    #[garde(range(min = 1))]
    pub min_frequency: u64,
    /// Whether sources and targets have one vocabulary, learned from both; else each has its own.
    #[garde(skip)]
    pub joint: bool,
}

impl Default for TokenizerOptions {
    fn default() -> Self {
        Self { kind: TokenizerKind::Bpe, vocab_size: None, sample_bytes: 100_000_000, min_frequency: 3, joint: true }
    }
}

impl TokenizerOptions {
    /// Tokens at most, where there is a bound.
    pub fn vocab_size(&self) -> Option<usize> {
        let default = match self.kind {
            TokenizerKind::Bpe | TokenizerKind::Unigram => Some(DEFAULT_VOCAB_SIZE),
            TokenizerKind::Byte | TokenizerKind::Char | TokenizerKind::Word => None,
        };
        self.vocab_size.or(default).map(|size| size as usize)
    }
}

/// `tokenizer.vocab_size` of kinds that need one.
const DEFAULT_VOCAB_SIZE: u32 = 8192;

/// `tokenizer.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Byte-level byte pair encoding, as in GPT-2.
    Bpe,
    /// Pieces of words by a unigram language model.
    Unigram,
    /// White-space words and ends of lines.
    Word,
    /// Each character of the train split; any other becomes one unknown token.
    Char,
    /// Each byte of the UTF-8 text: 256 tokens.
    Byte,
}
