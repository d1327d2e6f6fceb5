//! A decoder made ready for steps of one token: few kernels, and no word from the host.
//!
//! A step reads and writes tensors that stay where they are, so that it can be recorded as a CUDA graph and replayed at
//! other positions. Only how far it reads into the state is part of the record: positions share a [`Bucket`].
//!
//! Its kernels on CUDA in bfloat16, by the defaults of `[model]`:
//!
//! - 3 to begin: the tokens' rows, the position's row, their sum;
//! - 8 for each layer of `vanilla`: norm; query, key and value at once; both into the state; attention; its output onto
//!   the stream; norm; W₁ with bias and ReLU; W₂ with bias onto the stream;
//! - 8 for each layer whose weights no input changes (`random` and its like), with a product of weights and values in
//!   attention's place, and 1 for all such layers, which reads the weights' rows;
//! - 2 for logits: norm and product.
//!
//! The stream is kept in the kind of computation: in float32 each norm would need a kernel more, to round.

use super::{Decoder, DecoderState};
use crate::attention::Clock;
use crate::attention::cached::Cached;
use crate::attention::linear::Linear;
use crate::attention::mask::Mask;
use crate::attention::prepared::{PreparedAttention, Row, Tables};
use crate::model::block::Block;
use crate::model::feed_forward::PreparedFeedForward;
use crate::model::norm::Norm;
use tch::{Kind, Tensor};

/// A decoder with its weights rounded to the kind of computation and joined, made once they no longer change.
pub struct PreparedDecoder<'a> {
    decoder: &'a Decoder,
    compute: Kind,
    blocks: Vec<PreparedBlock<'a>>,
    norm: Option<Norm>,
    output: Linear,
}

struct PreparedBlock<'a> {
    attention_norm: Norm,
    attention: PreparedAttention<'a>,
    feed_forward_norm: Norm,
    feed_forward: PreparedFeedForward,
}

/// What the steps at the first so many positions read besides the state.
pub struct Bucket {
    layers: Vec<Place>,
    /// Weights that no input changes, of all layers that have them: `[layers, M, heads, M]`.
    weights: Option<Tensor>,
    /// 0, or −∞ at keys after the query, for layers that add nothing else: `[M, M]`.
    hidden: Option<Tensor>,
}

/// Where a layer finds its row.
enum Place {
    Weights(i64),
    Scores { added: Option<Tensor>, keys: Vec<Option<Tensor>> },
    Cached,
}

/// The tensors of a step, for `batch` sequences. Without gradients.
pub struct Step<'a> {
    /// The tokens, int64 `[rows]`: the batch, and any number of rows more that nothing is read of.
    pub tokens: &'a Tensor,
    /// Where they stand.
    pub clock: &'a Clock,
    /// The state, which gets their keys and values.
    pub state: &'a DecoderState,
    /// The stock kernel over it, where one is taken.
    pub cached: Option<&'a Cached>,
    /// Gets the logits of the tokens after them, `[batch, vocabulary]` in the kind of computation.
    pub logits: &'a Tensor,
}

impl<'a> PreparedDecoder<'a> {
    /// `decoder` ready for steps in which products are computed in `compute`.
    pub fn new(decoder: &'a Decoder, compute: Kind) -> Self {
        let _no_grad = tch::no_grad_guard();
        let prepared = |block: &'a Block| PreparedBlock {
            attention_norm: block.attention_norm.in_kind(compute),
            attention: PreparedAttention::new(&block.attention, compute),
            feed_forward_norm: block.feed_forward_norm.in_kind(compute),
            feed_forward: PreparedFeedForward::new(&block.feed_forward, compute),
        };
        Self {
            decoder,
            compute,
            blocks: decoder.sequence.stack.blocks.iter().map(prepared).collect(),
            norm: decoder.sequence.stack.norm.as_ref().map(|norm| norm.in_kind(compute)),
            output: Linear::new(&decoder.output, None, compute),
        }
    }

    /// The decoder that it was made of.
    pub fn decoder(&self) -> &'a Decoder {
        self.decoder
    }

    /// The kind in which products are computed.
    pub fn compute(&self) -> Kind {
        self.compute
    }

    /// The stock kernel for layers of the dot product over `state`, where there are such layers and it takes them.
    pub fn cached(&self, state: &DecoderState) -> Option<Cached> {
        let layer = self.blocks.iter().position(|block| self.is_bare_dot_product(block))?;
        Cached::where_taken(&state.layers[layer])
    }

    /// Whether the stock kernel is all attention there is, so that one bucket serves all positions at the same cost.
    pub fn is_dot_product(&self) -> bool {
        self.blocks.iter().all(|block| self.is_bare_dot_product(block))
    }

    /// Whether a block's scores are the dot product's and nothing else.
    fn is_bare_dot_product(&self, block: &PreparedBlock<'_>) -> bool {
        self.decoder.sequence.relative_positions.is_none() && block.attention.is_dot_product()
    }

    /// What the steps at the first `m` positions read. `cached` says that layers of the dot product need nothing.
    pub fn bucket(&self, m: i64, cached: bool) -> Bucket {
        let _no_grad = tch::no_grad_guard();
        let mut weights = Vec::new();
        let bias = self.decoder.sequence.relative_bias(0, m);
        let place = |block: &PreparedBlock<'_>| {
            if cached && self.is_bare_dot_product(block) {
                return Place::Cached;
            }
            match block.attention.tables(m, bias.as_ref()) {
                Tables::Weights(table) => {
                    weights.push(table);
                    Place::Weights(weights.len() as i64 - 1)
                }
                Tables::Scores { added, keys } => Place::Scores { added, keys },
            }
        };
        let layers: Vec<Place> = self.blocks.iter().map(place).collect();
        let bare = layers.iter().any(|place| matches!(place, Place::Scores { added: None, .. }));
        let weights = (!weights.is_empty()).then(|| Tensor::stack(&weights, 0));
        Bucket { layers, weights, hidden: bare.then(|| self.hidden(m)) }
    }

    /// `[m, m]`, in the kind of softmax.
    fn hidden(&self, m: i64) -> Tensor {
        let kind = if self.compute == Kind::Double { Kind::Double } else { Kind::Float };
        let device = self.decoder.sequence.embedding.device();
        let zeros = Tensor::zeros([m, m], (kind, device));
        match Mask::causal().hidden(&(0..m), m, (m, m), device) {
            Some(hidden) => zeros.masked_fill(&hidden.view([m, m]), f64::NEG_INFINITY),
            None => zeros,
        }
    }

    /// Reads one token per sequence, at the clock's position, which lies within the bucket. The clock stays, and so
    /// does the state's length.
    ///
    /// # Panics
    /// Where libtorch refuses an operation, as all of tch's operators.
    pub fn step(&self, step: &Step<'_>, bucket: &Bucket) {
        let batch = step.logits.size()[0];
        let rows = bucket.rows(step, batch);
        let embedded = self.decoder.sequence.embedding.index_select(0, step.tokens);
        let positions = step.clock.positions(step.tokens.size()[0]);
        let mut stream = self.decoder.sequence.positions.forward_at(&embedded, &positions, self.compute); // [rows, d_model]
        let mut real = stream.narrow(0, 0, batch);
        for ((block, state), row) in self.blocks.iter().zip(&step.state.layers).zip(&rows) {
            match &self.norm {
                Some(_) => {
                    let x = block.attention_norm.forward(&real);
                    block.attention.step(&x, &mut real, state, step.clock, row);
                    let x = block.feed_forward_norm.forward(&stream);
                    block.feed_forward.add_to(&mut stream, &x);
                }
                None => {
                    let x = real.shallow_clone();
                    block.attention.step(&x, &mut real, state, step.clock, row);
                    stream = block.attention_norm.forward(&stream);
                    let x = stream.shallow_clone();
                    block.feed_forward.add_to(&mut stream, &x);
                    stream = block.feed_forward_norm.forward(&stream);
                    real = stream.narrow(0, 0, batch);
                }
            }
        }
        let hidden = self.norm.as_ref().map_or_else(|| real.shallow_clone(), |norm| norm.forward(&real));
        self.output.forward_into(&hidden, step.logits);
    }
}

impl Bucket {
    /// What each layer reads at the step's position.
    fn rows<'b>(&'b self, step: &Step<'b>, batch: i64) -> Vec<Row<'b>> {
        let position = step.clock.position();
        let weights = self.weights.as_ref().map(|weights| weights.index_select(1, &step.clock.positions(batch)));
        let hidden = self.hidden.as_ref().map(|hidden| hidden.index_select(0, &position).view([1, 1, 1, -1]));
        let row = |place: &'b Place| match (place, &weights, &hidden, step.cached) {
            (Place::Weights(layer), Some(weights), _, _) => Row::Weights(weights.get(*layer)),
            (Place::Cached, _, _, Some(cached)) => Row::Cached(cached),
            // [1, heads, M] to [1, heads, 1, M]
            (Place::Scores { added: Some(added), keys }, ..) => {
                Row::Scores(added.index_select(0, &position).unsqueeze(2), keys)
            }
            (Place::Scores { added: None, keys }, _, Some(hidden), _) => Row::Scores(hidden.shallow_clone(), keys),
            _ => unreachable!("a bucket has what its layers read"),
        };
        self.layers.iter().map(row).collect()
    }
}
