//! A second program that rebuilds what synth trained, in plain float64 loops, from `docs/formats.md`, a run's
//! folder and its texts. It shares no code with synth and links no libtorch: where the two agree, the
//! documentation is enough.

mod adamw;
mod cases;
mod config;
mod data;
mod evaluation;
mod experiment;
mod folder;
mod measure;
mod model;
mod number;
mod plan;
mod random;
mod start;
mod text;
mod tokenizer;
mod training;
