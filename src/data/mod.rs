//! From text to batches: sources, prepared datasets, splits, tokenizers, blocks. Free of torch.

pub mod blocks;
pub mod card;
pub mod cargo;
pub mod datasets;
pub mod debian_descriptions;
pub mod hash;
pub mod hub;
pub mod import;
pub mod options;
pub mod order;
pub mod record;
pub mod rust_sources;
pub mod source;
pub mod splits;
pub mod tokenizer;
