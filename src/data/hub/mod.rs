//! Named datasets from the Hugging Face hub: a client of its own, a cache laid out as Python's, and the sets as data.

mod attempts;
mod cache;
pub mod catalogue;
mod certificates;
mod download;
mod headers;
mod http;
mod listing;
mod plan;
mod prepare;
mod repository;
mod rows;
mod settings;
mod shards;

pub use plan::Options;
pub use prepare::prepare;
pub use settings::{DEFAULT_ENDPOINT, Settings};
