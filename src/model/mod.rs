//! Layers, and the architectures made of them.

mod block;
pub mod decoder;
pub mod encoder_decoder;
pub mod feed_forward;
mod initialisation;
pub mod norm;
pub mod options;
pub mod positions;
pub mod relative_positions;
mod sequence;
pub mod size;
mod stack;
pub mod vocabulary_loss;

pub use decoder::{Decoder, DecoderState};
pub use encoder_decoder::{EncoderDecoder, EncoderDecoderState, Memory, Source, Vocabularies};
