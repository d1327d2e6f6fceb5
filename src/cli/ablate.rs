//! The arguments of `synth ablate` and `synth runs`.

use super::DeviceChoice;
use crate::runs::Status;
use crate::sweep::{Shard, time};
use clap::{Args, ValueEnum, value_parser};
use std::path::PathBuf;
use std::time::Duration;

/// `synth ablate`.
#[derive(Debug, Args)]
pub struct AblateArguments {
    /// The sweep
    pub sweep: PathBuf,
    /// Set a key of every cell; later ones win
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Several devices, such as cuda:0,cuda:1,cpu
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "device")]
    pub devices: Vec<DeviceChoice>,
    /// Cells that run at one time, as far as the devices' memory allows; cells on the CPU share its cores out, and each keeps
    /// the number of threads that it began with [default: one to a device]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Do part I of N of the cells only; where another part's process has died, its cells too
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Save and stop all cells after so long, such as 90s, 9m or 1h30m
    #[arg(long, value_name = "T", value_parser = time::parse)]
    pub time_limit: Option<Duration>,
    /// The folder of all results
    #[arg(long, default_value = "results", value_name = "DIR")]
    pub results: PathBuf,
    /// Print the cells, what they cost as a timed step of each tells, and stop
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run, time nothing
    #[arg(long, requires = "dry_run")]
    pub no_timing: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `synth runs`.
#[derive(Debug, Args)]
pub struct RunsArguments {
    /// The folder of all results
    #[arg(default_value = "results", value_name = "RESULTS")]
    pub results: PathBuf,
    /// Only those of an experiment or a sweep
    #[arg(long, value_name = "NAME")]
    pub experiment: Vec<String>,
    /// Only those that ended so
    #[arg(long)]
    pub status: Vec<StatusChoice>,
    /// Only those of a kind of attention
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// The column to sort by, ascending; runs without a figure come last [default: experiment, then run]
    #[arg(long)]
    pub sort: Option<SortChoice>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print CSV
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StatusChoice {
    /// All steps were done.
    Done,
    /// The loss or the gradient was not finite.
    Diverged,
    /// An error ended it.
    Failed,
    /// The device had too little memory.
    OutOfMemory,
    /// It can go on, or goes on.
    Stopped,
    /// It was not begun.
    Skipped,
}

impl StatusChoice {
    /// The status in results.
    pub fn status(self) -> Status {
        match self {
            Self::Done => Status::Done,
            Self::Diverged => Status::Diverged,
            Self::Failed => Status::Failed,
            Self::OutOfMemory => Status::OutOfMemory,
            Self::Stopped => Status::Stopped,
            Self::Skipped => Status::Skipped,
        }
    }
}

/// A column of `synth runs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SortChoice {
    /// The run's name.
    Run,
    /// The kind of attention.
    Kind,
    /// The seed.
    Seed,
    /// How it ended.
    Status,
    /// Updates done.
    Step,
    /// All parameters.
    Parameters,
    /// The last loss on the validation split.
    Loss,
    /// Its exponential.
    Perplexity,
    /// Throughput.
    TokensPerSecond,
    /// Peak memory.
    PeakMemoryMib,
    /// Seconds of training.
    ElapsedS,
}
