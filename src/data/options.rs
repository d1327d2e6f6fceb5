//! The tables `[data]` and `[tokenizer]` of a configuration.

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
    /// Text files of the train split: a path or a glob, whose matches are taken in order of name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub train: Option<PathBuf>,
    /// Text files of the validation split.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub validation: Option<PathBuf>,
    /// Text files of the test split.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub test: Option<PathBuf>,
    /// One text file, cut by `split`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub path: Option<PathBuf>,
    /// Shares of train, validation and, if a third is given, test: contiguous, by characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub split: Option<Vec<f64>>,
}

/// The table `[tokenizer]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct TokenizerOptions {
    /// What a token is.
    #[garde(skip)]
    pub kind: TokenizerKind,
}

impl Default for TokenizerOptions {
    fn default() -> Self {
        Self { kind: TokenizerKind::Byte }
    }
}

/// `tokenizer.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// Each byte of the UTF-8 text: 256 tokens.
    Byte,
    /// Each character of the train split; any other becomes one unknown token.
    Char,
}
