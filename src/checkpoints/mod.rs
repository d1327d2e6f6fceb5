//! Writing weights and state so that no moment of a crash loses them, and checked reading.

pub mod choice;
pub mod mean;
pub mod store;
pub mod tensors;

pub use choice::{Choice, Chosen};
pub use store::Checkpoints;
