//! A second program that rebuilds what synth trained, in plain float64 loops, from `docs/formats.md`, a run's
//! folder and its texts. It shares no code with synth and links no libtorch: where the two agree, the
//! documentation is enough.

mod activation;
mod adamw;
mod attention;
mod cases;
mod config;
mod data;
mod evaluation;
mod experiment;
mod folder;
mod kinds;
mod kinds_evaluation;
mod kinds_training;
mod masks;
mod measure;
mod model;
mod number;
mod plan;
mod random;
mod records;
mod scores;
mod shapes;
mod start;
mod text;
mod tokenizer;
mod training;
mod updates;
mod variants;
