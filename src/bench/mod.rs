//! How fast training steps and decoding are: cells that are timed one by one, their records, and comparisons.
//!
//! A cell is measured in a process of its own by [`job::run`]; the commands start such processes.

pub mod against;
pub mod cell;
pub mod decode;
pub mod facts;
pub mod job;
pub mod limit;
pub mod random_pairs;
pub mod random_text;
pub mod record;
pub mod saved;
pub mod timing;
pub mod train;

pub use cell::{Cell, Measured};
pub use facts::Facts;
pub use job::{Answer, Job};
pub use record::{Figures, Record, Shape};

#[cfg(test)]
mod peer_tests;
