//! Writing weights and state so that no moment of a crash loses them, and checked reading.

pub mod store;
pub mod tensors;

pub use store::Checkpoints;
