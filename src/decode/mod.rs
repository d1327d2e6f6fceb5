//! From a model's logits to texts.

pub mod generate;
pub mod sampling;

pub use generate::{Generator, Request};
pub use sampling::Sampling;
