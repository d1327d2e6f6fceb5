//! The kinds of attention that a configuration can name.

use serde::{Deserialize, Serialize};

/// One kind of self-attention, under the name that configurations and results use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Scaled dot product of queries and keys (Vaswani et al., arXiv 1706.03762).
    Vanilla,
    /// One trained matrix of scores per head, whatever the input (Synthesizer, arXiv 2005.00743, section 3.2).
    Random,
}

impl Kind {
    /// Every kind that is built, in the order of reports.
    pub const ALL: [Kind; 2] = [Kind::Vanilla, Kind::Random];

    /// The name in configurations and results.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Vanilla => "vanilla",
            Kind::Random => "random",
        }
    }

    /// Number of parameters of one self-attention layer of this kind, value and output projection included.
    pub fn parameters(self, dimensions: Dimensions) -> u128 {
        let Dimensions { d_model, heads, head_width, max_length } = dimensions;
        let [d_model, heads, head_width, max_length] = [d_model, heads, head_width, max_length].map(|n| n as u128);
        let projection = d_model * heads * head_width;
        match self {
            Kind::Vanilla => 4 * projection,
            Kind::Random => 2 * projection + heads * max_length * max_length,
        }
    }

    /// What the kind can do. A combination outside is refused, never approximated.
    pub fn capabilities(self) -> Capabilities {
        match self {
            Kind::Vanilla => {
                Capabilities { causal: true, padding: true, length_bound: false, batch_independent: false }
            }
            Kind::Random => Capabilities { causal: true, padding: true, length_bound: true, batch_independent: true },
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a kind of attention can do, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Position i can be kept from seeing positions after i.
    pub causal: bool,
    /// Keys beyond a sample's length can be hidden.
    pub padding: bool,
    /// Parameters are tied to positions, so that no input may be longer than `model.max_length`.
    pub length_bound: bool,
    /// The weights are the same for every sample of a batch.
    pub batch_independent: bool,
}

/// Widths of an attention layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// Width of the input and the output.
    pub d_model: i64,
    /// Number of heads.
    pub heads: i64,
    /// Width of a head.
    pub head_width: i64,
    /// Size of every table by position.
    pub max_length: i64,
}
