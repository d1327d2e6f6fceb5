//! Configurations: TOML files, their bases and `--set` become one resolved, checked [`Experiment`].
//!
//! An error is a refusal of one line, `FILE:LINE: key: what was found, expected …` or
//! `--set a.b=c: what was found, expected …`.

mod alternatives;
mod capability;
mod data_keys;
mod explain;
pub(crate) mod keys;
pub(crate) mod load;
mod other_data;
pub(crate) mod overrides;
pub(crate) mod provenance;
pub mod resume;
pub mod schema;
pub(crate) mod source;
mod unbuilt;
mod validate;

pub use load::{Loaded, config_toml, load};
pub use other_data::load_for_evaluation;
pub use schema::Experiment;
