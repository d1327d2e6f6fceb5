//! What `config.toml` says of the model.

use crate::activation::Activation;
use crate::config::Config;
use crate::kinds::{Half, Part, has_encoder, of_cross, of_layers};
use crate::norm::Norm;
use crate::relative::Buckets;

/// How a position enters the model.
#[derive(Clone, Copy, PartialEq)]
pub enum Positions {
    /// A learned table.
    Learned,
    /// Sines and cosines.
    Sinusoidal,
    /// A bias of scores by distance.
    Relative(Buckets),
    /// Not at all.
    None,
}

impl Positions {
    fn new(config: &Config) -> Self {
        match config.required_text("model.positions") {
            "learned" => Self::Learned,
            "sinusoidal" => Self::Sinusoidal,
            "relative" => Self::Relative(Buckets {
                count: config.required_count("model.relative_buckets"),
                distance: config.required_count("model.relative_distance"),
            }),
            "none" => Self::None,
            positions => panic!("documented positions, found {positions}"),
        }
    }
}

/// `model.init`.
#[derive(Clone, Copy, PartialEq)]
pub enum Start {
    /// By the number of inputs.
    FanIn,
    /// GPT-2's.
    Gpt2,
    /// Uniform, by the numbers of inputs and outputs.
    Xavier,
}

impl Start {
    fn named(name: &str) -> Self {
        match name {
            "fan-in" => Self::FanIn,
            "gpt2" => Self::Gpt2,
            "xavier" => Self::Xavier,
            name => panic!("a documented start, found {name}"),
        }
    }
}

/// The sizes and choices of a model.
#[derive(Clone)]
pub struct Plan {
    /// V, of an encoder-decoder that of the targets.
    pub vocabulary: usize,
    /// d.
    pub width: usize,
    /// h.
    pub heads: usize,
    /// w.
    pub head_width: usize,
    /// f.
    pub feed_forward: usize,
    /// L.
    pub max_length: usize,
    /// The parts of the self-attention of each block, of an encoder-decoder those of its decoder.
    pub layers: Vec<Vec<Part>>,
    /// What an encoder-decoder has besides.
    pub encoder: Option<Encoder>,
    /// The kind of the positions.
    pub positions: Positions,
    /// The function in the feed-forward layers.
    pub activation: Activation,
    /// Whether the output projection is the embedding.
    pub tied: bool,
    /// Whether norms and feed-forward layers have biases.
    pub biases: bool,
    /// How linear layers and embeddings start.
    pub start: Start,
    /// The kind of the norms.
    pub norm: Norm,
    /// Whether norms stand after the sums with the stream, not before the layers.
    pub post_norm: bool,
    /// Whether the residual stream is rounded as operands of products are.
    pub narrow_stream: bool,
    /// The choices within the attention.
    pub attention: Attention,
}

/// What an encoder-decoder has that no other model has.
#[derive(Clone)]
pub struct Encoder {
    /// V of the sources.
    pub vocabulary: usize,
    /// Whether sources and targets have one embedding.
    pub shared: bool,
    /// The parts of the self-attention of each block.
    pub layers: Vec<Vec<Part>>,
    /// The parts of the attention over the memory.
    pub cross: Vec<Part>,
}

/// The choices within the attention, each for the parts that have it.
#[derive(Clone)]
pub struct Attention {
    /// Whether queries, keys, values and outputs have biases.
    pub biases: bool,
    /// r.
    pub hidden: usize,
    /// Whether there are b₁ and b₂.
    pub dense_biases: bool,
    /// Whether the heads share W₂ and b₂.
    pub shared_output: bool,
    /// Whether the hidden layer is that of the query projection.
    pub shared_query: bool,
    /// a and b.
    pub factors: [usize; 2],
    /// k.
    pub rank: usize,
    /// Standard deviations at the start of `random`, `fixed-random` and the product of `factorized-random`.
    pub init_stds: [f64; 3],
    /// Whether a mixture has weights.
    pub weighted: bool,
    /// Whether they are each head's own.
    pub weights_per_head: bool,
}

impl Plan {
    /// The plan of a resolved experiment, for a vocabulary of this size.
    pub fn new(config: &Config, vocabulary: usize) -> Self {
        Self::of_pairs(config, [vocabulary; 2])
    }

    /// The plan of a resolved experiment, for vocabularies of sources and targets of these sizes.
    pub fn of_pairs(config: &Config, [sources, vocabulary]: [usize; 2]) -> Self {
        let width = config.required_count("model.d_model");
        let heads = config.required_count("model.heads");
        let head_width = config.count("model.head_width").unwrap_or(width / heads);
        let max_length = config.required_count("model.max_length");
        Self {
            vocabulary,
            width,
            heads,
            head_width,
            feed_forward: config.count("model.d_ff").unwrap_or(4 * width),
            max_length,
            layers: of_layers(config, Half::Decoder),
            encoder: has_encoder(config).then(|| Encoder::new(config, sources)),
            positions: Positions::new(config),
            activation: Activation::named(config.required_text("model.activation")),
            tied: config.required_choice("model.tie_embeddings"),
            biases: config.required_choice("model.bias"),
            start: Start::named(config.required_text("model.init")),
            norm: Norm::named(config.required_text("model.norm")),
            post_norm: config.required_text("model.norm_position") == "post",
            narrow_stream: config.required_text("model.residual_stream") == "bfloat16",
            attention: Attention::new(config, head_width, max_length),
        }
    }
}

impl Plan {
    /// The name of what each half of an encoder-decoder has, and other models have once.
    pub fn of_half(&self, name: &str, half: Half) -> String {
        if self.encoder.is_some() { format!("{}.{name}", half.name()) } else { name.to_owned() }
    }

    /// The name of the embedding of a half's tokens.
    pub fn embedding(&self, half: Half) -> String {
        let shared = self.encoder.as_ref().is_some_and(|encoder| encoder.shared);
        if shared { "embedding".to_owned() } else { self.of_half("embedding", half) }
    }
}

impl Encoder {
    fn new(config: &Config, vocabulary: usize) -> Self {
        let shared = config.value("model.share_embeddings").or_else(|| config.value("tokenizer.joint"));
        Self {
            vocabulary,
            shared: shared.and_then(toml::Value::as_bool).expect("one embedding or two"),
            layers: of_layers(config, Half::Encoder),
            cross: of_cross(config),
        }
    }
}

impl Attention {
    fn new(config: &Config, head_width: usize, max_length: usize) -> Self {
        let tables = ["random", "fixed-random", "factorized-random"];
        Self {
            biases: config.required_choice("attention.bias"),
            hidden: config.count("attention.dense.hidden").unwrap_or(head_width),
            dense_biases: config.required_choice("attention.dense.bias"),
            shared_output: config.required_choice("attention.dense.shared_output"),
            shared_query: config.required_choice("attention.dense.shared_query"),
            factors: factors(config, max_length),
            rank: config.required_count("attention.factorized-random.rank"),
            init_stds: tables.map(|table| config.required_number(&format!("attention.{table}.init_std"))),
            weighted: config.required_text("attention.mixture.weights") == "softmax",
            weights_per_head: config.required_text("attention.mixture.per") == "head",
        }
    }
}

/// a or `[a, b]` as given, the rest the least that reaches the length.
fn factors(config: &Config, max_length: usize) -> [usize; 2] {
    let key = "attention.factorized-dense.factors";
    if let Some(factors) = config.counts(key) {
        return factors.try_into().expect("two factors");
    }
    let root = || (1..).find(|root| root * root >= max_length).expect("a root");
    let first = config.count(key).unwrap_or_else(root);
    [first, max_length.div_ceil(first)]
}
