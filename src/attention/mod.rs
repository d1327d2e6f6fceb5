//! The subject: kinds of attention, their scores, and the one function that turns scores into outputs.
//!
//! Every kind of the Synthesizer paper (arXiv 2005.00743) is `softmax(B)·V`; they differ in where the
//! scores `B` come from. A kind makes [`Scores`], and [`attend()`] takes the cheapest exact path.

pub mod attend;
pub mod fused;
pub mod heads;
pub mod kind;
pub mod layer;
pub mod materialised;
pub mod mixer;
pub mod options;
pub mod random;
pub mod score_source;
pub mod scores;
pub mod shared;
pub mod vanilla;

pub use attend::{Path, attend};
pub use kind::{Capabilities, Kind};
pub use layer::SynthesizedAttention;
pub use mixer::{Pass, TokenMixer};
pub use scores::{Mask, Scores};
