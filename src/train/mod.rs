//! The training loop and its parts.

pub mod ema;
pub mod meter;
pub mod objective;
pub mod optimizer;
pub mod options;
pub mod precision;
pub mod schedule;
pub mod signals;
pub mod state;
pub mod stepper;
pub mod trainer;
pub mod update;
