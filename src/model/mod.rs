//! Layers, and the architectures made of them.

pub mod decoder;
pub mod feed_forward;
mod initialisation;
pub mod norm;
pub mod options;
pub mod positions;
pub mod relative_positions;
pub mod size;
pub mod vocabulary_loss;

pub use decoder::{Decoder, DecoderState};
