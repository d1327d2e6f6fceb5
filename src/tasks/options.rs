//! The table `[task]` of a configuration.

use crate::metrics::generation::{GenerationMetrics, GenerationSet};
use crate::metrics::tokenizers::Tokenizer;
use crate::model::options::Architecture;
use garde::Validate;
use serde::{Deserialize, Serialize};

/// The table `[task]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate)]
#[serde(deny_unknown_fields)]
pub struct TaskOptions {
    /// What is learned.
    #[garde(skip)]
    pub kind: TaskKind,
    /// How BLEU cuts lines into words, by sacrebleu's names.
    #[serde(default)]
    #[garde(skip)]
    pub bleu_tokenize: Tokenizer,
    /// Metrics compare outputs and references in lower case.
    #[serde(default)]
    #[garde(skip)]
    pub lowercase: bool,
}

impl TaskOptions {
    /// What is measured of outputs, where there are some.
    pub fn generation_metrics(&self) -> Option<GenerationMetrics> {
        let set = self.kind.generation_set()?;
        Some(GenerationMetrics { set, tokenizer: self.bleu_tokenize, lowercase: self.lowercase })
    }
}

/// `task.kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// The next token of a text, over blocks or records.
    LanguageModeling,
    /// A text in another language.
    Translation,
    /// A short text of a long one.
    Summarization,
    /// The reply to what was said.
    Dialogue,
}

/// What a language model measures besides loss and perplexity.
const OF_LANGUAGE_MODELS: &[&str] = &["bits_per_byte", "accuracy"];

impl TaskKind {
    /// The name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::LanguageModeling => "language-modeling",
            Self::Translation => "translation",
            Self::Summarization => "summarization",
            Self::Dialogue => "dialogue",
        }
    }

    /// The architecture that it runs on.
    pub fn architecture(self) -> Architecture {
        match self {
            Self::LanguageModeling => Architecture::Decoder,
            Self::Translation | Self::Summarization | Self::Dialogue => Architecture::EncoderDecoder,
        }
    }

    /// Whether it makes outputs of sources.
    pub fn has_sources(self) -> bool {
        self.generation_set().is_some()
    }

    fn generation_set(self) -> Option<GenerationSet> {
        match self {
            Self::LanguageModeling => None,
            Self::Translation => Some(GenerationSet::Translation),
            Self::Summarization => Some(GenerationSet::Summarization),
            Self::Dialogue => Some(GenerationSet::Dialogue),
        }
    }

    /// The names of what is measured of outputs alone.
    pub fn generation_metric_names(self) -> &'static [&'static str] {
        self.generation_set().map_or(&[], GenerationSet::names)
    }

    /// The names of the task's own columns in `metrics.csv` that evaluations fill.
    pub fn metric_names(self) -> Vec<&'static str> {
        match self.generation_set() {
            None => OF_LANGUAGE_MODELS.to_vec(),
            Some(set) => [&["accuracy"], set.names()].concat(),
        }
    }
}
