//! Making a tokenizer from the train split.

use super::byte_pair::BytePair;
use super::characters::Characters;
use super::unigram::Unigram;
use super::words::Words;
use super::{Model, Special, Tokenizer};
use crate::data::options::{TokenizerKind, TokenizerOptions};
use anyhow::Result;

impl Tokenizer {
    /// The tokenizer that `options` describe, for a model that learns from `text`, which comes in pieces that GPT-2's
    /// pattern would cut. The same text gives the same tokenizer, but for unigram. `special` tokens come last.
    ///
    /// # Errors
    /// Those of reading the text; a text without what the tokenizer is made of.
    pub fn train(
        options: &TokenizerOptions,
        special: &[Special],
        text: impl Iterator<Item = Result<String>> + Send,
    ) -> Result<Self> {
        let size = options.vocab_size().map(|size| size.saturating_sub(special.len()));
        let model = match (options.kind, size) {
            (TokenizerKind::Byte, _) => Model::Byte,
            (TokenizerKind::Char, _) => Model::Char(Characters::train(text)?),
            (TokenizerKind::Word, size) => Model::Word(Words::train(size, options.min_frequency, text)?),
            (TokenizerKind::Bpe, size) => Model::BytePair(Box::new(BytePair::train(size.unwrap_or(256), text)?)),
            (TokenizerKind::Unigram, size) => Model::Unigram(Box::new(Unigram::train(size.unwrap_or(256), text)?)),
        };
        Ok(Self { model, special: special.to_vec() })
    }

    /// [`train`](Self::train) on one text, without special tokens.
    ///
    /// # Errors
    /// As there.
    pub fn of_text(options: &TokenizerOptions, text: &str) -> Result<Self> {
        Self::train(options, &[], std::iter::once(Ok(text.to_string())))
    }
}
