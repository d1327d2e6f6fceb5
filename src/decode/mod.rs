//! From a model's logits to texts.

pub mod generate;
pub mod greedy;
pub mod sampling;
pub mod sequences;

pub use generate::{Generator, Request, Session};
pub use greedy::GreedyDecoder;
pub use sampling::Sampling;
pub use sequences::Sequences;
