//! The subject: kinds of attention, their scores, and the one function that turns scores into outputs.
//!
//! Every kind of the Synthesizer paper (arXiv 2005.00743) is `softmax(B)·V`; they differ in where the
//! scores `B` come from. A kind makes [`Scores`], and [`attend()`] takes the cheapest exact path.

pub mod attend;
pub mod blockwise;
pub mod cached;
pub mod clock;
pub mod dense;
pub mod dropout;
pub mod factorized_dense;
pub mod factorized_random;
pub mod fixed_random;
pub mod fused;
pub mod kind;
pub mod layer;
pub mod linear;
pub mod mask;
pub mod materialised;
pub mod memory;
pub mod mixer;
pub mod mixture;
pub mod options;
mod packed;
pub mod prepared;
pub mod projection;
pub mod random;
pub mod score_source;
pub mod scores;
pub mod shared;
pub mod state;
pub mod vanilla;
pub mod variant;

pub use attend::{Path, attend};
pub use clock::Clock;
pub use dropout::Dropout;
pub use kind::{Capabilities, Kind, Part};
pub use layer::SynthesizedAttention;
pub use mask::Mask;
pub use memory::KeptMemory;
pub use mixer::{Pass, TokenMixer};
pub use prepared::PreparedAttention;
pub use scores::Scores;
pub use state::State;
pub use variant::Dimensions;
