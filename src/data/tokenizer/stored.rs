//! `tokenizer.json`.

use super::byte_pair::BytePair;
use super::characters::Characters;
use super::unigram::Unigram;
use super::words::Words;
use super::{Model, Special, Tokenizer};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The key of special tokens, whose ids follow those of the vocabulary.
const SPECIAL: &str = "special";

/// The content of `tokenizer.json` but for special tokens. In a `vocabulary` an entry's index is its id.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Stored {
    Byte {},
    Char { vocabulary: Vec<String> },
    Word { vocabulary: Vec<String> },
    Bpe { vocabulary: Vec<String>, merges: Vec<String> },
    Unigram { vocabulary: Vec<String>, log_probabilities: Vec<f64> },
}

impl Tokenizer {
    /// The content of `tokenizer.json`: one line.
    ///
    /// # Errors
    /// None that a tokenizer can cause.
    pub fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string(&self.to_value()?).context("cannot write the tokenizer as JSON")?;
        Ok(json + "\n")
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// Anything else. The message does not know the file: the caller names it.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::from_value(serde_json::from_str(json).context(NOT_OURS)?)
    }

    pub(super) fn to_value(&self) -> Result<Map<String, Value>> {
        let stored = match &self.model {
            Model::Byte => Stored::Byte {},
            Model::Char(characters) => Stored::Char { vocabulary: characters.entries() },
            Model::Word(words) => Stored::Word { vocabulary: words.vocabulary().to_vec() },
            Model::BytePair(model) => {
                Stored::Bpe { vocabulary: model.vocabulary().to_vec(), merges: model.merges().to_vec() }
            }
            Model::Unigram(model) => Stored::Unigram {
                vocabulary: model.vocabulary().to_vec(),
                log_probabilities: model.log_probabilities().to_vec(),
            },
        };
        let Value::Object(mut object) = serde_json::to_value(stored)? else { unreachable!("an enum of structs") };
        if !self.special.is_empty() {
            object.insert(SPECIAL.into(), serde_json::to_value(&self.special)?);
        }
        Ok(object)
    }

    pub(super) fn from_value(mut object: Map<String, Value>) -> Result<Self> {
        let special = object.shift_remove(SPECIAL).map(serde_json::from_value).transpose().context(NOT_OURS)?;
        let special: Vec<Special> = special.unwrap_or_default();
        for (index, token) in special.iter().enumerate() {
            ensure!(!special[..index].contains(token), "special has an entry twice");
        }
        let model = match serde_json::from_value(Value::Object(object)).context(NOT_OURS)? {
            Stored::Byte {} => Model::Byte,
            Stored::Char { vocabulary } => Model::Char(Characters::from_entries(&vocabulary)?),
            Stored::Word { vocabulary } => Model::Word(Words::new(vocabulary)?),
            Stored::Bpe { vocabulary, merges } => Model::BytePair(Box::new(BytePair::new(vocabulary, merges)?)),
            Stored::Unigram { vocabulary, log_probabilities } => {
                Model::Unigram(Box::new(Unigram::new(vocabulary, log_probabilities)?))
            }
        };
        Ok(Self { model, special })
    }
}

/// What is said of other files.
const NOT_OURS: &str = "not a tokenizer of synth";
