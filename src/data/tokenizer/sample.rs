//! Training the models of the tokenizers library on a text that comes in pieces.

use anyhow::{Result, anyhow};
use tokenizers::Trainer;

/// Shows `trainer` the words of a text that comes in pieces.
///
/// # Errors
/// Those of reading the text.
pub fn feed<T: Trainer>(
    trainer: &mut T,
    text: impl Iterator<Item = Result<String>> + Send,
    words: impl Fn(&str) -> Vec<String> + Sync,
) -> Result<()> {
    let mut failure = None;
    let pieces = text.map_while(|piece| piece.map_err(|error| failure = Some(error)).ok());
    let fed = trainer.feed(pieces, |piece| Ok(words(piece)));
    match failure {
        Some(error) => Err(error),
        None => fed.map_err(|error| anyhow!("cannot train the tokenizer: {error}")),
    }
}

/// Learns from what was shown.
///
/// # Errors
/// What the library reports.
pub fn train<T: Trainer>(trainer: &T, model: &mut T::Model) -> Result<()> {
    let trained = trainer.train(model);
    trained.map(drop).map_err(|error| anyhow!("cannot train the tokenizer: {error}"))
}
