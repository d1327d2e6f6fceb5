//! One file per subcommand, each a short story told in calls to the rooms below.

mod ablate;
mod attention_paths;
mod bench;
mod completions;
mod data;
mod doctor;
mod eval;
mod generate;
mod output;
mod prompts;
mod runs;
mod score;
mod setup;
mod texts;
mod train;
mod trained;

use crate::cli::{Cli, Command};
use anyhow::Result;

/// Facts that only the binary knows.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The commit it was built from.
    pub commit: Option<&'static str>,
}

/// Runs a command.
///
/// # Errors
/// What the command reports; [`exit::code`](crate::exit::code) gives its exit code.
pub fn run(cli: Cli, build: Build) -> Result<()> {
    match cli.command {
        Command::Train(arguments) => train::run(&arguments, build),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Ablate(arguments) => ablate::run(&arguments, cli.quiet, cli.verbose),
        Command::Runs(arguments) => runs::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments, build),
        Command::BenchCell { job } => bench::run_cell(&job),
        Command::Score(arguments) => score::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments, build),
        Command::Completions { shell } => completions::run(shell),
    }
}
