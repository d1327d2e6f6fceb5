//! The table `[task]` of a configuration.

use garde::Validate;
use serde::{Deserialize, Serialize};

/// The table `[task]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct TaskOptions {
    /// What is learned.
    #[garde(skip)]
    pub kind: TaskKind,
}

/// `task.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// The next token of a text, over contiguous blocks.
    LanguageModeling,
}

impl TaskKind {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::LanguageModeling => "language-modeling",
        }
    }

    /// The names of the task's own columns in `metrics.csv` that evaluations fill.
    pub fn metric_names(self) -> &'static [&'static str] {
        match self {
            Self::LanguageModeling => &["bits_per_byte", "accuracy"],
        }
    }
}
