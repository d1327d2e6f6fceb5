//! Parse, dispatch, exit code.

use clap::Parser;
use std::process::ExitCode;
use synth::cli::Cli;
use synth::commands::{self, Build};
use synth::libtorch::allocator::keep_freed_memory;
use synth::{exit, panics, terminal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::init(if cli.quiet { -1 } else { cli.verbose.min(3) as i8 });
    panics::silence();
    keep_freed_memory();
    let build = Build { commit: option_env!("SYNTH_GIT_COMMIT").filter(|commit| !commit.is_empty()) };
    match panics::catch(|| commands::run(cli, build)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::debug!("{error:?}");
            terminal::say_ending(&error);
            ExitCode::from(exit::code(&error))
        }
    }
}
