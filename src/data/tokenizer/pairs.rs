//! The tokenizers of a task with a source and a target: one for both, or one for each.

use super::{Special, Tokenizer};
use crate::data::options::TokenizerOptions;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// What sources and targets are cut with.
#[derive(Clone, PartialEq)]
pub enum Tokenizers {
    /// One vocabulary for both.
    Joint(Tokenizer),
    /// One for each.
    Separate {
        /// That of the source.
        source: Tokenizer,
        /// That of the target.
        target: Tokenizer,
    },
}

/// `kind` in `tokenizer.json` where there are two.
const KIND: &str = "separate";

impl Tokenizers {
    /// Learns from sources and targets: from both together where `joint`. See [`Tokenizer::train`].
    ///
    /// # Errors
    /// As there.
    pub fn train(
        joint: bool,
        options: &TokenizerOptions,
        special: &[Special],
        sources: impl Iterator<Item = Result<String>> + Send,
        targets: impl Iterator<Item = Result<String>> + Send,
    ) -> Result<Self> {
        if joint {
            return Ok(Self::Joint(Tokenizer::train(options, special, sources.chain(targets))?));
        }
        let source = Tokenizer::train(options, special, sources).context("the source's tokenizer")?;
        let target = Tokenizer::train(options, special, targets).context("the target's tokenizer")?;
        Ok(Self::Separate { source, target })
    }

    /// What sources are cut with.
    pub fn source(&self) -> &Tokenizer {
        match self {
            Self::Joint(tokenizer) => tokenizer,
            Self::Separate { source, .. } => source,
        }
    }

    /// What targets are cut with.
    pub fn target(&self) -> &Tokenizer {
        match self {
            Self::Joint(tokenizer) => tokenizer,
            Self::Separate { target, .. } => target,
        }
    }

    /// The content of `tokenizer.json`: that of the one tokenizer, or `{"kind": "separate", "source": …, "target": …}`.
    ///
    /// # Errors
    /// None that a tokenizer can cause.
    pub fn to_json(&self) -> Result<String> {
        match self {
            Self::Joint(tokenizer) => tokenizer.to_json(),
            Self::Separate { source, target } => {
                let object = json!({ "kind": KIND, "source": source.to_value()?, "target": target.to_value()? });
                Ok(format!("{object}\n"))
            }
        }
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// Anything else. The message does not know the file: the caller names it.
    pub fn from_json(json: &str) -> Result<Self> {
        let mut object: Map<String, Value> = serde_json::from_str(json).context("not a tokenizer of synth")?;
        if object.get("kind").and_then(Value::as_str) != Some(KIND) {
            return Ok(Self::Joint(Tokenizer::from_value(object)?));
        }
        let mut of = |name: &str| {
            let value = object.shift_remove(name).and_then(|value| match value {
                Value::Object(object) => Some(object),
                _ => None,
            });
            Tokenizer::from_value(value.with_context(|| format!("no tokenizer of the {name}"))?)
                .with_context(|| format!("the {name}'s tokenizer"))
        };
        Ok(Self::Separate { source: of("source")?, target: of("target")? })
    }
}
