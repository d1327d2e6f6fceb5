//! The table `[model]` of a configuration.

use crate::attention::Dimensions;
use crate::attention::options::Depth;
use garde::Validate;
use serde::{Deserialize, Serialize};

/// The table `[model]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
#[serde(default, deny_unknown_fields)]
pub struct ModelOptions {
    /// The arrangement of the blocks.
    #[garde(skip)]
    pub architecture: Architecture,
    /// Number of blocks; in an encoder-decoder of each half that is not given its own.
    #[garde(range(min = 1))]
    pub layers: i64,
    /// Number of an encoder's blocks; `layers` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub encoder_layers: Option<i64>,
    /// Number of blocks of a decoder with an encoder; `layers` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub decoder_layers: Option<i64>,
    /// Width of the residual stream.
    #[garde(range(min = 1))]
    pub d_model: i64,
    /// Heads of every attention.
    #[garde(range(min = 1))]
    pub heads: i64,
    /// Width of a head; d_model / heads where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub head_width: Option<i64>,
    /// Width of the feed-forward layer; 4 · d_model where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 1)))]
    pub d_ff: Option<i64>,
    /// Dropout of embeddings and residual branches, and where these are not given of the rest.
    #[garde(range(min = 0.0, max = 0.99))]
    pub dropout: f64,
    /// Dropout of feed-forward activations (tensor2tensor's `relu_dropout`); `dropout` where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(inner(range(min = 0.0, max = 0.99)))]
    pub activation_dropout: Option<f64>,
    /// Longest input; a language model's block.
    #[garde(range(min = 1))]
    pub max_length: i64,
    /// How a block's input, or its sum with a branch, is normalised.
    #[garde(skip)]
    pub norm: Norm,
    /// Where the norms stand.
    #[garde(skip)]
    pub norm_position: NormPosition,
    /// The feed-forward layer's activation.
    #[garde(skip)]
    pub activation: Activation,
    /// Biases in feed-forward layers and norms; those of attention are `attention.bias`.
    #[garde(skip)]
    pub bias: bool,
    /// How linear layers and embeddings start.
    #[garde(skip)]
    pub init: Initialisation,
    /// How the model is told of positions.
    #[garde(skip)]
    pub positions: Positions,
    /// Buckets of distances that `positions = "relative"` tells apart.
    #[garde(range(min = 2, max = 4096))]
    pub relative_buckets: i64,
    /// The distance from which on all share the last of these buckets.
    #[garde(range(min = 2))]
    pub relative_distance: i64,
    /// The output projection is the embedding, in an encoder-decoder the target's.
    #[garde(skip)]
    pub tie_embeddings: bool,
    /// Source and target have one embedding; where absent, if they have one vocabulary.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[garde(skip)]
    pub share_embeddings: Option<bool>,
    /// The kind of the residual stream.
    #[garde(skip)]
    pub residual_stream: ResidualStream,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            architecture: Architecture::Decoder,
            layers: 6,
            encoder_layers: None,
            decoder_layers: None,
            d_model: 512,
            heads: 8,
            head_width: None,
            d_ff: None,
            dropout: 0.1,
            activation_dropout: None,
            max_length: 256,
            norm: Norm::Layer,
            norm_position: NormPosition::Pre,
            activation: Activation::Relu,
            bias: true,
            init: Initialisation::FanIn,
            positions: Positions::Learned,
            relative_buckets: 32,
            relative_distance: 128,
            tie_embeddings: true,
            share_embeddings: None,
            residual_stream: ResidualStream::Float32,
        }
    }
}

impl ModelOptions {
    /// Number of the encoder's blocks; 0 where there is none.
    pub fn encoder_layers(&self) -> i64 {
        match self.architecture {
            Architecture::Decoder => 0,
            Architecture::EncoderDecoder => self.encoder_layers.unwrap_or(self.layers),
        }
    }

    /// Number of the decoder's blocks.
    pub fn decoder_layers(&self) -> i64 {
        match self.architecture {
            Architecture::Decoder => self.layers,
            Architecture::EncoderDecoder => self.decoder_layers.unwrap_or(self.layers),
        }
    }

    /// Both numbers, as `[attention]` wants them.
    pub fn depth(&self) -> Depth {
        Depth { encoder: self.encoder_layers(), decoder: self.decoder_layers() }
    }

    /// Width of one head.
    pub fn head_width(&self) -> i64 {
        self.head_width.unwrap_or(self.d_model / self.heads)
    }

    /// The widths of each attention layer.
    pub fn dimensions(&self) -> Dimensions {
        Dimensions {
            d_model: self.d_model,
            heads: self.heads,
            head_width: self.head_width(),
            max_length: self.max_length,
        }
    }

    /// Width of the feed-forward layer.
    pub fn d_ff(&self) -> i64 {
        self.d_ff.unwrap_or(self.d_model.saturating_mul(4))
    }

    /// Dropout of feed-forward activations.
    pub fn activation_dropout(&self) -> f64 {
        self.activation_dropout.unwrap_or(self.dropout)
    }
}

/// `model.architecture`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Causal blocks over one sequence.
    Decoder,
    /// Blocks over a source, and causal blocks over a target that read what the former give (arXiv 1706.03762).
    EncoderDecoder,
}

impl Architecture {
    /// The name in configurations and results.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Decoder => "decoder",
            Architecture::EncoderDecoder => "encoder-decoder",
        }
    }
}

/// `model.norm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// LayerNorm with gain and, where `bias` says so, bias (arXiv 1607.06450).
    Layer,
    /// RMSNorm, a gain alone (arXiv 1910.07467).
    Rms,
}

/// `model.norm_position`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPosition {
    /// x + f(norm(x)), and one more norm at the end.
    Pre,
    /// norm(x + f(x)) (arXiv 1706.03762).
    Post,
}

/// `model.activation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0).
    Relu,
    /// x·Φ(x), by the error function (arXiv 1606.08415).
    Gelu,
    /// Its approximation by tanh, GPT-2's.
    GeluTanh,
    /// x·σ(x) of a gate of its own, times the layer without activation (arXiv 2002.05202): one matrix more.
    Swiglu,
}

/// `model.init`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initialisation {
    /// Normal with the standard deviation inputs^−½, less for what a residual stream collects.
    FanIn,
    /// Normal with the standard deviation 0.02, less for what a residual stream collects, as in GPT-2.
    Gpt2,
    /// Uniform within √(6 / (inputs + outputs)) (Glorot and Bengio, 2010): tensor2tensor's `uniform_unit_scaling`.
    Xavier,
}

/// `model.positions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Positions {
    /// One trained vector per position.
    Learned,
    /// Sines and cosines (arXiv 1706.03762, section 3.5); the embedding is multiplied by √d_model.
    Sinusoidal,
    /// What T5 adds to the scores of every self-attention (arXiv 1910.10683): a trained number for each head and bucket
    /// of distances, shared by the layers.
    Relative,
    /// None: order is known through the causal mask or the attention only.
    None,
}

/// `model.residual_stream`: the embedding's output, every sum of stream and branch, and the gradients along them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResidualStream {
    /// The kind of the weights: float32, float64 in `fp64`.
    Float32,
    /// The kind of products, which has to be bfloat16.
    Bfloat16,
}
