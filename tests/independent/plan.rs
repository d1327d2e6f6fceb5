//! What `config.toml` says of the model, and the tensors that follow from it.

use crate::config::Config;

/// Where the scores of the attention come from.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Queries and keys.
    Vanilla,
    /// One table per head.
    Random,
}

/// How a position enters the model.
#[derive(Clone, Copy, PartialEq)]
pub enum Positions {
    /// A learned table.
    Learned,
    /// Sines and cosines.
    Sinusoidal,
    /// Not at all.
    None,
}

/// The sizes and choices of a model.
#[derive(Clone, Copy)]
pub struct Plan {
    /// V.
    pub vocabulary: usize,
    /// Number of blocks.
    pub layers: usize,
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
    /// The kind of the attention.
    pub kind: Kind,
    /// The kind of the positions.
    pub positions: Positions,
    /// Whether the output projection is the embedding.
    pub tied: bool,
}

impl Plan {
    /// The plan of a resolved experiment, for a vocabulary of this size.
    pub fn new(config: &Config, vocabulary: usize) -> Self {
        let width = config.required_count("model.d_model");
        let heads = config.required_count("model.heads");
        let kind = match config.text("attention.decoder").unwrap_or_else(|| config.required_text("attention.kind")) {
            "vanilla" => Kind::Vanilla,
            "random" => Kind::Random,
            kind => panic!("a documented attention, found {kind}"),
        };
        let positions = match config.required_text("model.positions") {
            "learned" => Positions::Learned,
            "sinusoidal" => Positions::Sinusoidal,
            "none" => Positions::None,
            positions => panic!("documented positions, found {positions}"),
        };
        Self {
            vocabulary,
            layers: config.required_count("model.layers"),
            width,
            heads,
            head_width: config.count("model.head_width").unwrap_or(width / heads),
            feed_forward: config.count("model.d_ff").unwrap_or(4 * width),
            max_length: config.required_count("model.max_length"),
            kind,
            positions,
            tied: config.value("model.tie_embeddings").and_then(toml::Value::as_bool).expect("a yes or no"),
        }
    }

    /// The names and shapes of all tensors of `model.safetensors`.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes = vec![("embedding.weight".to_owned(), vec![self.vocabulary, self.width])];
        if self.positions == Positions::Learned {
            shapes.push(("positions.weight".to_owned(), vec![self.max_length, self.width]));
        }
        for layer in 0..self.layers {
            let named = |(name, shape)| (format!("decoder.layers.{layer}.{name}"), shape);
            shapes.extend(self.attention_shapes().into_iter().chain(self.feed_forward_shapes()).map(named));
        }
        shapes.extend(["weight", "bias"].map(|part| (format!("decoder.norm.{part}"), vec![self.width])));
        if !self.tied {
            shapes.push(("output.weight".to_owned(), vec![self.vocabulary, self.width]));
        }
        shapes
    }

    fn attention_shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (width, inner) = (self.width, self.heads * self.head_width);
        let mut shapes = vec![
            ("attention_norm.weight", vec![width]),
            ("attention_norm.bias", vec![width]),
            ("attention.value.weight", vec![inner, width]),
            ("attention.output.weight", vec![width, inner]),
        ];
        match self.kind {
            Kind::Vanilla => shapes
                .extend([("attention.query.weight", vec![inner, width]), ("attention.key.weight", vec![inner, width])]),
            Kind::Random => shapes.push(("attention.random.r", vec![self.heads, self.max_length, self.max_length])),
        }
        shapes
    }

    fn feed_forward_shapes(&self) -> Vec<(&'static str, Vec<usize>)> {
        vec![
            ("feed_forward_norm.weight", vec![self.width]),
            ("feed_forward_norm.bias", vec![self.width]),
            ("feed_forward.input.weight", vec![self.feed_forward, self.width]),
            ("feed_forward.input.bias", vec![self.feed_forward]),
            ("feed_forward.output.weight", vec![self.width, self.feed_forward]),
            ("feed_forward.output.bias", vec![self.width]),
        ]
    }
}
