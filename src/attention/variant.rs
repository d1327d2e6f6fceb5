//! What a part of the Synthesizer family tells of itself: one descriptor per file of a part.

use super::options::AttentionOptions;
use super::score_source::ScoreSource;
use crate::parameters::Scope;

/// A part: its name, what it can do, what it costs, how it is built.
pub struct Variant {
    /// The name in configurations and results.
    pub name: &'static str,
    /// Position i can be kept from seeing positions after i.
    pub causal: bool,
    /// Keys beyond a sample's length can be hidden.
    pub padding: bool,
    /// Its tables are tied to positions, so that no input may be longer than `model.max_length`.
    pub length_bound: bool,
    /// Its scores are the same for every sample of a batch.
    pub batch_independent: bool,
    /// Its scores come in no factored form: a table of N × M per head stands in memory, once for the batch.
    pub whole_table: bool,
    /// Its own parameters are trained.
    pub trained: bool,
    /// Whether it reads the layer's query projection.
    pub reads_query: fn(&AttentionOptions) -> bool,
    /// Its scores depend on the keys' input, of which generation keeps what `ScoreSource::keys` makes.
    pub reads_keys: bool,
    /// Number of its own parameters.
    pub parameters: fn(&AttentionOptions, Dimensions) -> u128,
    /// Floating-point operations of its scores, 2 per multiply-add of a product.
    pub flops: fn(&AttentionOptions, Dimensions, Work) -> u128,
    /// Makes its parameters below a scope.
    pub build: fn(&mut Scope<'_>, &AttentionOptions, Dimensions) -> Box<dyn ScoreSource>,
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

impl Dimensions {
    /// Number of weights of a projection from the model's width to `width` per head, or back.
    pub fn projection(self, width: i64) -> u128 {
        [self.d_model, self.heads, width].into_iter().map(|n| n as u128).product()
    }

    /// All heads side by side.
    pub fn inner(self) -> i64 {
        self.heads * self.head_width
    }
}

/// The sizes of one forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// Samples.
    pub batch: u64,
    /// Samples for which scores are computed: 1 where they do not depend on the input.
    pub scored: u64,
    /// Queries of a sample.
    pub n: u64,
    /// Keys of a sample.
    pub m: u64,
}

impl Work {
    /// Operations of projecting the queries' input to `width` per head.
    pub fn project_queries(self, dimensions: Dimensions, width: i64) -> u128 {
        2 * u128::from(self.batch) * u128::from(self.n) * dimensions.projection(width)
    }

    /// Operations of projecting the keys' input to `width` per head.
    pub fn project_keys(self, dimensions: Dimensions, width: i64) -> u128 {
        2 * u128::from(self.batch) * u128::from(self.m) * dimensions.projection(width)
    }

    /// Operations of a product over `width` for every pair of a query and a key, of `samples`.
    pub fn pairs(self, samples: u64, dimensions: Dimensions, width: i64) -> u128 {
        let pairs = u128::from(samples) * u128::from(self.n) * u128::from(self.m);
        2 * pairs * dimensions.heads as u128 * width as u128
    }
}
