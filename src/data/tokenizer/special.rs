//! Tokens that stand for no text. No text is ever cut into one of them.

use serde::{Deserialize, Serialize};

/// A token that stands for no text. Which of them a tokenizer has depends on the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Special {
    /// Fills a batch up.
    #[serde(rename = "<pad>")]
    Padding,
    /// Begins a target.
    #[serde(rename = "<s>")]
    Begin,
    /// Ends a record.
    #[serde(rename = "</s>")]
    End,
    /// Hides a token.
    #[serde(rename = "<mask>")]
    Mask,
}
