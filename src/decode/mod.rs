//! From a model's logits to texts.

pub mod beam;
mod candidates;
pub mod draws;
pub mod generate;
pub mod greedy;
pub mod next_tokens;
pub mod options;
pub mod outputs;
mod rows;
pub mod sampling;
#[cfg(test)]
mod scripted;
pub mod sequences;
mod sources;

pub use beam::{BeamRequest, beam_search};
pub use draws::{DrawRequest, sample};
pub use generate::{Generator, Request, Session};
pub use greedy::GreedyDecoder;
pub use next_tokens::{Hypothesis, NextTokens, Rules};
pub use options::{DecodeOptions, LengthFormula, Limits};
pub use outputs::{How, OutputGenerator};
pub use sampling::Sampling;
pub use sequences::Sequences;
