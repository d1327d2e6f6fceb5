//! Metrics and `synth score`: figures of the reference programs, and the command as a user types it.

mod command;
mod figures;
mod place;
mod real_data;
