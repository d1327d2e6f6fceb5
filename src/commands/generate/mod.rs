//! `synth generate`.

mod continuations;
mod outputs;
mod printer;
mod sources;

use super::trained::{Trained, Wanted};
use crate::cli::GenerateArguments;
use anyhow::Result;

/// Writes what a trained model makes of lines: continuations of prompts, or outputs for sources.
pub fn run(arguments: &GenerateArguments) -> Result<()> {
    let wanted = Wanted { checkpoint: arguments.checkpoint.as_deref(), weights: arguments.weights };
    let trained = Trained::open(&arguments.run, &[], arguments.device, wanted)?;
    match trained.experiment.task.kind.has_sources() {
        false => continuations::run(arguments, &trained),
        true => outputs::run(arguments, &trained),
    }
}
