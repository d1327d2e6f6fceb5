//! From a model's logits to texts.

pub mod generate;
pub mod greedy;
pub mod options;
pub mod sampling;
pub mod sequences;

pub use generate::{Generator, Request, Session};
pub use greedy::GreedyDecoder;
pub use options::{DecodeOptions, LengthFormula, Limits};
pub use sampling::Sampling;
pub use sequences::Sequences;
