//! From text to batches: sources, prepared datasets, splits, tokenizers, tokens, rows. Free of torch.

pub mod batches;
pub mod card;
pub mod cargo;
pub mod datasets;
pub mod debian_descriptions;
pub mod evaluation;
pub mod hash;
pub mod hub;
pub mod import;
pub mod options;
pub mod order;
pub mod pairs;
pub mod record;
pub mod rows;
pub mod rust_sources;
pub mod source;
pub mod splits;
pub mod text;
pub mod tokenizer;
pub mod tokens;

// Files as tests make them; some columns are for those of the hub alone.
#[cfg(test)]
#[allow(dead_code)]
#[path = "../../tests/hub/parquet_file.rs"]
mod parquet_file;
