//! `synth ablate`: the cells of a sweep, each in its own process.

mod dry_run;
mod report;

use crate::cli::{AblateArguments, DeviceChoice};
use crate::exit::Interrupted;
use crate::memory::{available_bytes, machine_bytes};
use crate::refuse;
use crate::relay::Relay;
use crate::sweep::{self, Conductor, Orders, Seat};
use crate::train::signals;
use anyhow::Result;
use tch::Device;

/// Trains every cell of a sweep.
pub fn run(arguments: &AblateArguments, quiet: bool, verbose: u8) -> Result<()> {
    let plan = sweep::plan(&arguments.sweep, &arguments.set)?;
    let seats = seats(arguments)?;
    let jobs = arguments.jobs.map_or(seats.len(), |jobs| jobs as usize);
    if arguments.dry_run {
        return dry_run::run(arguments, &plan, &seats, jobs);
    }
    let mut relay = Relay::listen()?;
    let (results, shard, time_limit) = (&arguments.results, arguments.shard, arguments.time_limit);
    let orders = Orders { plan: &plan, results, seats, jobs, shard, time_limit, quiet, verbose };
    let outcome = Conductor::new(orders, &mut relay)?.run()?;
    if let Some(signal) = relay.stop() {
        let message = format!("stopped by {}; the same command goes on", signals::name(signal));
        return Err(Interrupted { signal, message }.into());
    }
    report::print_outcome(arguments, &plan, &outcome)
}

/// The devices that were asked for, each once.
fn seats(arguments: &AblateArguments) -> Result<Vec<Seat>> {
    let choices = if arguments.devices.is_empty() { vec![arguments.device] } else { arguments.devices.clone() };
    let mut seats: Vec<Seat> = Vec::new();
    for choice in choices {
        let device = crate::device::resolve(choice)?;
        let label = crate::device::label(device);
        if seats.iter().any(|seat| seat.device == label) {
            refuse!("--devices {choice}: {label} stands there twice, expected each device once");
        }
        // As the user named it: auto may be another device for a cell's process than for this one.
        let name = if choice == DeviceChoice::Auto { label } else { choice.to_string() };
        let capacity = if device == Device::Cpu { machine_bytes() } else { available_bytes(device) };
        seats.push(Seat { device: name, capacity });
    }
    Ok(seats)
}
