//! `synth train`.

mod initial;
mod plan;
mod session;
mod start;

use super::output::{print, print_json, thousands};
use super::{Build, setup};
use crate::cli::TrainArguments;
use crate::exit::{Diverged, Interrupted};
use crate::runs::{Split, Status, Summary};
use crate::train::signals::{self, Signals};
use crate::{experiment, panics, relay};
use anyhow::Result;
use plan::Plan;
use session::Session;
use start::Start;
use std::path::Path;

/// Trains the model of an experiment.
pub fn run(arguments: &TrainArguments, build: Build) -> Result<()> {
    relay::end_with_parent()?;
    let experiment = experiment::load(&arguments.experiment, &sets(arguments))?.experiment;
    if arguments.print_config {
        return print(&experiment::config_toml(&experiment)?);
    }
    let plan = Plan::new(arguments, experiment)?;
    if let Some(summary) = plan.finished()? {
        tracing::info!("{} is done at step {}: nothing to do", plan.folder().display(), summary.step);
        return report(arguments, &plan.folder(), &summary);
    }
    plan.check_needs()?;
    let signals = Signals::listen()?;
    let data = plan.read_data()?;
    let task = guarded(|| setup::task(&plan.experiment, &data.texts, &data.tokenizer, plan.device))?;
    // Before the folder is touched: with --overwrite the weights may lie in it.
    let init_from = guarded(|| initial::apply(&plan, task.parameters(), &data.tokenizer.sha256))?;
    let session = Session::claim(&plan, task.as_ref(), data, init_from, build)?;
    // A checkpoint that cannot be read leaves the folder as it was; running out of memory is how the run ended.
    let start = guarded(|| Start::read(&plan, task.as_ref()));
    let start = start.inspect_err(|error| {
        if panics::out_of_memory(error) {
            session.record_failure(error)
        }
    })?;
    let summary = guarded(|| session.train(start, &signals)).inspect_err(|error| session.record_failure(error))?;
    session.index()?;
    report(arguments, &plan.folder(), &summary)?;
    end(&summary, &signals, &plan)
}

/// Runs work of libtorch; where memory runs out, the error says what to do.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    panics::catch(work).map_err(|error| match panics::out_of_memory(&error) {
        true => error.context("memory ran out: lower train.batch_size, model.max_length or the model's widths"),
        false => error,
    })
}

/// The settings of the command line, as `--set` texts.
fn sets(arguments: &TrainArguments) -> Vec<String> {
    let mut sets = arguments.set.clone();
    sets.extend(arguments.seed.map(|seed| format!("seed={seed}")));
    sets.extend(arguments.deterministic.then(|| "train.deterministic=true".to_string()));
    sets
}

/// Prints what came out.
fn report(arguments: &TrainArguments, folder: &Path, summary: &Summary) -> Result<()> {
    if arguments.json {
        let mut object = serde_json::to_value(summary)?;
        object["run"] = std::path::absolute(folder)?.display().to_string().into();
        return print_json(&object);
    }
    let figure = |metric| summary.figure(Split::Validation.name(), metric);
    let mut line = format!("{}: {} at step {}", folder.display(), summary.status, summary.step);
    if let (Some(loss), Some(perplexity)) = (figure("loss"), figure("perplexity")) {
        line += &format!(", validation loss {loss:.4}, perplexity {perplexity:.3}");
    }
    if let Some(rate) = summary.tokens_per_second {
        line += &format!(", {} tokens/s", thousands(rate as u64));
    }
    print(&line)
}

/// The exit code of a training that ended in order.
fn end(summary: &Summary, signals: &Signals, plan: &Plan) -> Result<()> {
    let reason = summary.reason.clone().unwrap_or_default();
    match (summary.status, signals.stop()) {
        (Status::Diverged, _) => {
            let state = format!("the state before it is saved in {}", plan.folder().display());
            Err(Diverged(format!("training diverged: {reason}; {state}; lower optimizer.lr")).into())
        }
        (Status::Stopped, Some(signal)) => {
            let (name, step) = (signals::name(signal), summary.step);
            let message =
                format!("stopped by {name} at step {step}, all is saved; go on with: {}", plan.resume_command());
            Err(Interrupted { signal, message }.into())
        }
        (Status::Stopped, None) => {
            tracing::info!("{reason}; go on with: {}", plan.resume_command());
            Ok(())
        }
        _ => Ok(()),
    }
}
