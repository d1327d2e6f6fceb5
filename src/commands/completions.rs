//! `synth completions`.

use super::output;
use crate::cli::Cli;
use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the completions of a shell.
pub fn run(shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "synth", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
