//! From a sweep's TOML to its cells, each a checked experiment.

use super::control::{self, Control};
use super::file::{SweepFile, Variant};
use crate::experiment::Experiment;
use crate::experiment::keys::overlap;
use crate::experiment::load::Layers;
use crate::experiment::overrides::Override;
use crate::experiment::provenance::{Origin, one_line};
use crate::runs::{NAME_PATTERN, is_name};
use anyhow::Result;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use toml::Value;

/// A sweep, ready to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Names the folder of results.
    pub name: String,
    /// The grid's cells, the last key changing fastest, then the named ones; the seeds of a cell together.
    pub cells: Vec<Cell>,
    /// How often a failed cell is tried again.
    pub retries: u64,
    /// The experiment that the cells stand on; absolute.
    pub base: PathBuf,
}

/// One run of a sweep.
#[derive(Debug, Clone)]
pub struct Cell {
    /// What sets it apart; the same for every seed.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// Names the run's folder: `<name>-s<seed>`.
    pub run: String,
    /// Texts for `--set` that make the base this cell, from whatever folder; `name` and `seed` are among them.
    pub sets: Vec<String>,
    /// The checked experiment.
    pub experiment: Experiment,
    /// Why it cannot be run, where its kind of attention cannot do it or no machine can hold it.
    pub skip: Option<String>,
    /// What it is the baseline of, where it is one of `match_parameters`.
    pub control: Option<Control>,
}

/// Reads the sweep at `path` and loads every cell.
///
/// `sets` (`a.b=c`) stand over base and cells. `seed` takes the place of the sweep's seeds and `name`
/// of its name; a key of the grid is refused, for its cells would all be the same under other names.
///
/// # Errors
/// A refusal (exit code 2) of one line for the sweep, its base, or the first cell that is no experiment.
pub fn plan(path: &Path, sets: &[String]) -> Result<Plan> {
    let mut common: Vec<Override> = sets.iter().map(|text| Override::parse(text)).collect::<Result<_>>()?;
    let file = SweepFile::read(path)?;
    refuse_grid_keys(&common, &file.grid_keys)?;
    let seeds: Vec<Option<u64>> = match take_last(&mut common, "seed") {
        Some(setting) => vec![Some(seed_of(&setting)?)],
        None => file.seeds.as_ref().map_or(vec![None], |seeds| seeds.iter().copied().map(Some).collect()),
    };
    let name = name_of(&file, path, take_last(&mut common, "name"))?;
    let base = Layers::read(&file.base).map_err(|error| file.origins.refusal("base", error))?;
    let load = |variant: &Variant, seed: Option<u64>| load_cell(&base, variant, &common, &name, seed);
    let mut cells = Vec::new();
    for variant in &file.variants {
        for seed in &seeds {
            cells.push(load(variant, *seed)?);
        }
        if file.match_parameters {
            cells.extend(controls(variant, &cells, &seeds, &load)?);
        }
    }
    check_runs(&cells, path)?;
    if let (Some(reason), true) = (&cells[0].skip, cells.iter().all(|cell| cell.skip.is_some())) {
        return Err(one_line(reason));
    }
    Ok(Plan { name, cells, retries: file.retries, base: file.base })
}

/// The baselines of the last of `cells`, which `variant` made, for every seed.
fn controls(
    variant: &Variant,
    cells: &[Cell],
    seeds: &[Option<u64>],
    load: &impl Fn(&Variant, Option<u64>) -> Result<Cell>,
) -> Result<Vec<Cell>> {
    let Some(cell) = cells.last().filter(|cell| cell.skip.is_none()) else { return Ok(Vec::new()) };
    let vanilla = load(&control::vanilla_variant(variant), seeds[0])?;
    let Some((variant, control)) = control::control(variant, &cell.name, &cell.experiment, &vanilla.experiment) else {
        return Ok(Vec::new());
    };
    let baseline = |seed: &Option<u64>| Ok(Cell { control: Some(control.clone()), ..load(&variant, *seed)? });
    seeds.iter().map(baseline).collect()
}

/// The base under a cell's settings, then those that all cells share.
fn load_cell(base: &Layers, variant: &Variant, common: &[Override], sweep: &str, seed: Option<u64>) -> Result<Cell> {
    let mut layers = base.clone();
    let name = own("name", Value::String(sweep.to_owned()));
    let settings: Vec<&Override> = variant.settings.iter().chain(common).chain([&name]).collect();
    settings.iter().for_each(|setting| layers.apply(setting));
    if let Some(seed) = seed {
        layers.apply(&own("seed", Value::Integer(i64::try_from(seed)?)));
    }
    let in_cell = |error: anyhow::Error| match &variant.name {
        None => error,
        Some(cell) => one_line(&format!("{error} (in the cell {cell})")),
    };
    let (loaded, lack) = layers.resolve_any().map_err(in_cell)?;
    let (experiment, skip) = (loaded.experiment, lack.map(|lack| lack.to_string()));
    let seed = experiment.seed;
    // A sweep of seeds alone has one cell, named as a run of its base would be.
    let run = variant.name.as_ref().map_or_else(|| experiment.default_run(), |name| format!("{name}-s{seed}"));
    let mut sets: Vec<String> = settings.iter().map(|setting| setting.text()).collect();
    sets.push(format!("seed={seed}"));
    let name = variant.name.clone().unwrap_or_else(|| experiment.kind());
    Ok(Cell { run, name, seed, sets, experiment, skip, control: None })
}

/// A setting that the sweep gives its cells; both were checked where they were read.
fn own(key: &str, value: Value) -> Override {
    let origin = Origin::Set(format!("{key}={value}"));
    Override { key: key.to_owned(), value, origin }
}

/// Takes every setting of `key` out; the last one counts.
fn take_last(settings: &mut Vec<Override>, key: &str) -> Option<Override> {
    settings.extract_if(.., |setting| setting.key == key).last()
}

fn seed_of(setting: &Override) -> Result<u64> {
    let seed = setting.value.as_integer().and_then(|seed| u64::try_from(seed).ok());
    let refusal =
        || one_line(&format!("{}: found {}, expected an integer of 0 or more", setting.origin, setting.value));
    seed.ok_or_else(refusal)
}

/// The name that was set, or the sweep's own, or its file's stem.
fn name_of(file: &SweepFile, path: &Path, set: Option<Override>) -> Result<String> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name = match &set {
        Some(setting) => setting.value.as_str().map_or(setting.value.to_string(), str::to_owned),
        None => file.name.clone().unwrap_or(stem),
    };
    if is_name(&name) && name != "reference" {
        return Ok(name);
    }
    let what = format!("found {name:?}, expected a name for the sweep, {NAME_PATTERN}, other than reference");
    Err(match set {
        Some(setting) => one_line(&format!("{}: {what}", setting.origin)),
        None => file.origins.refusal("name", what),
    })
}

fn refuse_grid_keys(common: &[Override], grid_keys: &[String]) -> Result<()> {
    for setting in common {
        if let Some(key) = grid_keys.iter().find(|key| overlap(key, &setting.key)) {
            let what = format!("{key} is a key of the sweep's grid, expected another key; change the list in [grid]");
            return Err(one_line(&format!("{}: {what}", setting.origin)));
        }
    }
    Ok(())
}

/// Every run needs a folder of its own.
fn check_runs(cells: &[Cell], path: &Path) -> Result<()> {
    let file = path.display();
    let mut runs = HashSet::new();
    for Cell { run, .. } in cells {
        if !is_name(run) {
            return Err(one_line(&format!("{file}: {run} is too long for the name of a run; use [[cell]] with names")));
        }
        if !runs.insert(run) {
            return Err(one_line(&format!("{file}: two cells make the run {run}; expected each cell and seed once")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
