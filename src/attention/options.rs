//! The table `[attention]` of a configuration.

use super::kind::Kind;
use garde::Validate;
use serde::{Deserialize, Serialize};

/// The table `[attention]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct AttentionOptions {
    /// The kind of every self-attention.
    #[garde(skip)]
    pub kind: Kind,
    /// The kind of the decoder's self-attention, where it differs from `kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub decoder: Option<Kind>,
    /// Dropout of the attention weights; `model.dropout` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 0.99)))]
    pub dropout: Option<f64>,
    /// `[attention.random]`.
    #[garde(dive)]
    pub random: RandomOptions,
}

impl Default for AttentionOptions {
    fn default() -> Self {
        Self { kind: Kind::Vanilla, decoder: None, dropout: None, random: RandomOptions::default() }
    }
}

impl AttentionOptions {
    /// The kind of the decoder's self-attention.
    pub fn decoder_kind(&self) -> Kind {
        self.decoder.unwrap_or(self.kind)
    }
}

/// The table `[attention.random]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct RandomOptions {
    /// Standard deviation of R at the start. The paper states none; mesh-tensorflow's is about 0.003.
    #[garde(range(min = 0.0))]
    pub init_std: f64,
}

impl Default for RandomOptions {
    fn default() -> Self {
        Self { init_std: 0.02 }
    }
}
