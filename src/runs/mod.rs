//! The run folder `results/<experiment>/<run>`, written and read back. Free of torch.

pub mod aside;
pub mod atomic;
pub mod batch_log;
pub mod cells;
mod create;
pub mod ending;
pub mod environment;
mod folder;
mod host;
pub mod index;
pub mod init_from;
mod journal;
pub mod lease;
pub mod ledger;
mod lock;
mod marker;
pub mod metrics;
mod metrics_writer;
mod names;
pub mod regular;
mod sample;
mod split;
pub mod summary;
pub mod tensorboard;

pub use create::Mode;
pub use environment::{Environment, Flops};
pub use folder::RunFolder;
pub use index::IndexRow;
pub use init_from::InitFrom;
pub use journal::{Journal, JournalOptions};
pub use metrics::Row;
pub use metrics_writer::MetricsWriter;
pub use names::{LONGEST_NAME, NAME_PATTERN, check_experiment, check_name, is_name};
pub use sample::Sample;
pub use split::Split;
pub use summary::{Best, Metrics, ParameterCounts, Status, Summary};
