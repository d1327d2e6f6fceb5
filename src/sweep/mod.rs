//! Sweeps: one base experiment in many cells, each its own run in a process of its own.

mod books;
pub mod conductor;
pub mod control;
mod file;
mod live;
pub mod need;
pub mod packing;
mod plan;
pub mod process;
mod progress;
pub mod shard;
mod standing;
pub mod time;
pub mod totals;
mod verdict;

pub use conductor::{Conductor, Orders, Outcome};
pub use control::Control;
pub use packing::Seat;
pub use plan::{Cell, Plan, plan};
pub use shard::Shard;
pub use totals::Totals;
