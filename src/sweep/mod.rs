//! Sweeps: one base experiment in many cells, each its own run.

mod file;
mod plan;

pub use plan::{Cell, Plan, plan};
