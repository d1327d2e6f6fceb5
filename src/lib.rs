//! `synth`: trains, evaluates and ablates Transformers in which only the attention differs.

pub mod attention;
pub mod bench;
pub mod checkpoints;
pub mod cli;
pub mod commands;
pub mod data;
pub mod decode;
pub mod device;
pub mod exit;
pub mod experiment;
pub mod kernels;
pub mod libtorch;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod panics;
pub mod parameters;
pub mod randomness;
pub mod relay;
pub mod runs;
pub mod sweep;
pub mod tasks;
pub mod terminal;
pub mod train;
