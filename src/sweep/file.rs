//! The TOML of a sweep: `base`, `[grid]`, `[[cell]]`, `seeds`, `retries`, `match_parameters`.

use super::control;
use crate::experiment::keys::{is_dotted, join, leaves};
use crate::experiment::overrides::Override;
use crate::experiment::provenance::{Origin, Provenance, one_line};
use crate::experiment::source::{Document, anchor, folder_of, read_text};
use crate::runs::{NAME_PATTERN, is_name};
use anyhow::Result;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// More cells than anyone waits for; a grid multiplies fast.
const MOST_CELLS: usize = 10_000;

/// What a sweep may hold.
const KEYS: [&str; 7] = ["name", "base", "grid", "cell", "seeds", "retries", "match_parameters"];

/// Keys that the sweep itself gives to its cells.
const OWN: [&str; 3] = ["name", "seed", "base"];

/// A sweep as its file tells it.
#[derive(Debug)]
pub(super) struct SweepFile {
    pub(super) origins: Provenance,
    pub(super) name: Option<String>,
    /// Absolute.
    pub(super) base: PathBuf,
    /// The grid's keys in the order of the file.
    pub(super) grid_keys: Vec<String>,
    pub(super) variants: Vec<Variant>,
    pub(super) seeds: Option<Vec<u64>>,
    pub(super) retries: u64,
    /// Whether each cell gets a baseline of as many parameters.
    pub(super) match_parameters: bool,
}

/// What sets one cell apart from the base.
#[derive(Debug, Clone)]
pub(super) struct Variant {
    /// Absent in a sweep of seeds alone.
    pub(super) name: Option<String>,
    pub(super) settings: Vec<Override>,
}

/// A key of the grid and the values that it takes, each with the name it gives to a cell.
struct Axis {
    key: String,
    points: Vec<(String, Override)>,
}

impl SweepFile {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let Document { table, origins } = Document::parse(path, &read_text(path)?)?;
        if !["grid", "cell", "seeds"].iter().any(|key| table.contains_key(*key)) {
            let file = path.display();
            return Err(one_line(&format!(
                "{file}: found no grid, cell or seeds, expected a sweep; run an experiment with synth train"
            )));
        }
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let what = "unknown key in a sweep; an experiment's key goes into base, [grid] or a cell's set";
            return Err(origins.refusal(&join("", key), format!("{what}, expected {}", KEYS.join(", "))));
        }
        let folder = folder_of(path)?;
        let axes = read_axes(&table, &folder, &origins)?;
        let mut variants = cross(&axes, &origins)?;
        variants.extend(read_cells(&table, &folder, &origins)?);
        if variants.is_empty() {
            variants.push(Variant { name: None, settings: Vec::new() });
        }
        Ok(Self {
            name: table.get("name").map(|name| text(name, "name", &origins)).transpose()?,
            base: read_base(&table, &folder, &origins)?,
            grid_keys: axes.into_iter().map(|axis| axis.key).collect(),
            variants,
            seeds: table.get("seeds").map(|seeds| read_seeds(seeds, &origins)).transpose()?,
            retries: table.get("retries").map_or(Ok(0), |retries| count(retries, "retries", &origins))?,
            match_parameters: read_match(&table, &origins)?,
            origins,
        })
    }
}

fn read_base(table: &Table, folder: &Path, origins: &Provenance) -> Result<PathBuf> {
    let base =
        table.get("base").ok_or_else(|| origins.refusal("base", "missing, expected base = \"EXPERIMENT.toml\""))?;
    Ok(PathBuf::from(anchor(&text(base, "base", origins)?, folder)?))
}

fn read_match(table: &Table, origins: &Provenance) -> Result<bool> {
    const KEY: &str = "match_parameters";
    match table.get(KEY) {
        None => Ok(false),
        Some(Value::String(name)) if name == control::NAME => Ok(true),
        Some(other) => Err(origins.refusal(KEY, format!("found {other}, expected {:?}", control::NAME))),
    }
}

fn read_seeds(seeds: &Value, origins: &Provenance) -> Result<Vec<u64>> {
    let seeds = list(seeds, "seeds", origins)?;
    seeds.iter().enumerate().map(|(index, seed)| count(seed, &format!("seeds[{index}]"), origins)).collect()
}

/// The grid's axes in the order of the file.
fn read_axes(table: &Table, folder: &Path, origins: &Provenance) -> Result<Vec<Axis>> {
    let empty = Table::new();
    let grid = match table.get("grid") {
        None => &empty,
        Some(Value::Table(grid)) => grid,
        Some(other) => return Err(origins.refusal("grid", format!("found {other}, expected a table of lists"))),
    };
    let mut axes: Vec<(usize, Axis)> = Vec::new();
    for (written, values) in leaves(grid) {
        let place = format!("grid.{written}");
        let key = setting_key(&written, &place, origins)?;
        if axes.iter().any(|(_, axis)| axis.key == key) {
            return Err(origins.refusal(&place, "stands twice in the grid, expected once"));
        }
        let offset = match origins.given(&place) {
            Some(Origin::File { offset, .. }) => *offset,
            _ => 0,
        };
        let points = list(values, &place, origins)?.iter().enumerate();
        let points = points
            .map(|(index, value)| {
                let setting = setting(&key, value, folder, &format!("{place}[{index}]"), origins)?;
                Ok((point_name(value, index), setting))
            })
            .collect::<Result<_>>()?;
        axes.push((offset, Axis { key, points }));
    }
    // The table's own order is that of the alphabet.
    axes.sort_by_key(|(offset, _)| *offset);
    Ok(axes.into_iter().map(|(_, axis)| axis).collect())
}

/// The value where it is a valid name, else its index in the list.
fn point_name(value: &Value, index: usize) -> String {
    let name = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if is_name(&name) { name } else { index.to_string() }
}

/// Every combination of the axes' points; the last axis changes fastest.
fn cross(axes: &[Axis], origins: &Provenance) -> Result<Vec<Variant>> {
    if axes.is_empty() {
        return Ok(Vec::new());
    }
    let size = axes.iter().try_fold(1_usize, |size, axis| size.checked_mul(axis.points.len()));
    if size.is_none_or(|size| size > MOST_CELLS) {
        return Err(origins.refusal("grid", format!("makes more than {MOST_CELLS} cells; shorten its lists")));
    }
    let mut variants = vec![Variant { name: None, settings: Vec::new() }];
    for axis in axes {
        let extended = |variant: &Variant| axis.points.iter().map(|point| extend(variant, point)).collect::<Vec<_>>();
        variants = variants.iter().flat_map(extended).collect();
    }
    Ok(variants)
}

fn extend(variant: &Variant, (name, setting): &(String, Override)) -> Variant {
    let name = variant.name.as_ref().map_or(name.clone(), |before| format!("{before}_{name}"));
    Variant { name: Some(name), settings: variant.settings.iter().chain([setting]).cloned().collect() }
}

/// The cells outside the grid.
fn read_cells(table: &Table, folder: &Path, origins: &Provenance) -> Result<Vec<Variant>> {
    let Some(cells) = table.get("cell") else { return Ok(Vec::new()) };
    let cells = list(cells, "cell", origins)?;
    cells.iter().enumerate().map(|(index, cell)| read_cell(cell, &format!("cell[{index}]"), folder, origins)).collect()
}

fn read_cell(cell: &Value, place: &str, folder: &Path, origins: &Provenance) -> Result<Variant> {
    const FORM: &str = "expected [[cell]] with name = \"…\" and set = { \"a.b\" = c }";
    let Value::Table(cell) = cell else { return Err(origins.refusal(place, format!("found {cell}, {FORM}"))) };
    if let Some(key) = cell.keys().find(|key| !["name", "set"].contains(&key.as_str())) {
        return Err(origins.refusal(&join(place, key), format!("unknown key, {FORM}")));
    }
    let name = cell.get("name").ok_or_else(|| origins.refusal(place, format!("name is missing, {FORM}")))?;
    let name_place = format!("{place}.name");
    let name = text(name, &name_place, origins)?;
    if !is_name(&name) {
        return Err(origins.refusal(&name_place, format!("found {name:?}, expected {NAME_PATTERN}")));
    }
    let place = format!("{place}.set");
    let settings = match cell.get("set") {
        None => Vec::new(),
        Some(Value::Table(set)) => read_settings(set, &place, folder, origins)?,
        Some(other) => return Err(origins.refusal(&place, format!("found {other}, {FORM}"))),
    };
    Ok(Variant { name: Some(name), settings })
}

fn read_settings(set: &Table, place: &str, folder: &Path, origins: &Provenance) -> Result<Vec<Override>> {
    let mut settings: Vec<Override> = Vec::new();
    for (written, value) in leaves(set) {
        let place = format!("{place}.{written}");
        let key = setting_key(&written, &place, origins)?;
        if settings.iter().any(|known| known.key == key) {
            return Err(origins.refusal(&place, "stands twice in the cell, expected once"));
        }
        settings.push(setting(&key, value, folder, &place, origins)?);
    }
    Ok(settings)
}

/// The dotted key that `"a.b"` and `a.b` stand for.
fn setting_key(written: &str, place: &str, origins: &Provenance) -> Result<String> {
    let key = written.replace('"', "");
    if !is_dotted(&key) {
        return Err(origins.refusal(place, format!("{written} is no dotted key, expected one such as model.heads")));
    }
    if OWN.contains(&key.as_str()) {
        return Err(origins.refusal(place, "is set by the sweep itself; expected name, base and seeds at its top"));
    }
    Ok(key)
}

fn setting(key: &str, value: &Value, folder: &Path, place: &str, origins: &Provenance) -> Result<Override> {
    let origin = origins.given(place).cloned().unwrap_or_else(|| Origin::Set(key.to_owned()));
    Override::new(key, value.clone(), folder, origin)
}

fn text(value: &Value, key: &str, origins: &Provenance) -> Result<String> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| origins.refusal(key, format!("found {value}, expected a text in quotes")))
}

fn count(value: &Value, key: &str, origins: &Provenance) -> Result<u64> {
    let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| origins.refusal(key, format!("found {value}, expected an integer of 0 or more")))
}

fn list<'v>(value: &'v Value, key: &str, origins: &Provenance) -> Result<&'v [Value]> {
    match value.as_array() {
        Some(values) if !values.is_empty() => Ok(values),
        _ => Err(origins.refusal(key, format!("found {value}, expected a list of at least one"))),
    }
}
