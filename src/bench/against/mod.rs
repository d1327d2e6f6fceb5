//! Cells beside those of others: a saved benchmark, or what the peer programs print.

mod control;
mod line;

use super::cell::Measured;
use super::facts::Facts;
use super::record::Record;
use crate::runs::Status;
use crate::runs::cells::significant;
pub use control::Standing;
pub use line::{Key, Line, Rival, Source, read};
use serde::Serialize;
use std::path::PathBuf;

/// A file to compare with.
#[derive(Debug)]
pub struct Others {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// Its lines.
    pub lines: Vec<Line>,
}

/// All that was compared.
#[derive(Debug, Default, Serialize)]
pub struct Comparisons {
    /// Pairs of one kind and shape.
    pub pairs: Vec<Pair>,
    /// Lines that hold no figures, and why.
    pub without_figures: Vec<WithoutFigures>,
}

/// A cell and another's of the same kind and shape.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The file.
    pub against: String,
    /// Who measured.
    pub peer: String,
    /// Kind and shape.
    #[serde(flatten)]
    pub key: Key,
    /// Milliseconds of a step there.
    pub peer_step_ms: f64,
    /// Milliseconds of a step here.
    pub step_ms: f64,
    /// How many times as fast it is here; none where the pair is refused.
    pub ratio: Option<f64>,
    /// The most memory there, in GiB.
    pub peer_peak_gib: Option<f64>,
    /// The most memory here, in GiB.
    pub peak_gib: Option<f64>,
    /// How many times as much memory there as here.
    pub memory_ratio: Option<f64>,
    /// Parameters there.
    pub peer_params: Option<u64>,
    /// Parameters here.
    pub params: Option<u64>,
    /// Whether the ratio counts, and why.
    #[serde(flatten)]
    pub standing: Standing,
    /// Why there is no ratio.
    pub refused: Option<String>,
}

/// A line of a file that holds no figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WithoutFigures {
    /// The file.
    pub against: String,
    /// What was to be measured.
    pub what: String,
    /// Why it was not.
    pub reason: String,
}

/// Joins the cells that are done with the lines of each file, on task, kind, shape, dropout and precision.
pub fn compare(records: &[Record], others: &[Others], control: Option<&Others>) -> Comparisons {
    let mut comparisons = Comparisons::default();
    for file in others {
        let against = file.path.display().to_string();
        for line in &file.lines {
            match line {
                Line::Cell(rival) => {
                    let same = |record: &&Record| record.status == Status::Done && Key::of(&record.shape) == rival.key;
                    for record in records.iter().filter(same) {
                        let standing = control::standing(rival, file, control, &record.facts);
                        comparisons.pairs.extend(pair(&against, rival, record, standing));
                    }
                }
                Line::WithoutFigures { what, reason } => comparisons.without_figures.push(WithoutFigures {
                    against: against.clone(),
                    what: what.clone(),
                    reason: reason.clone(),
                }),
            }
        }
    }
    comparisons
}

/// The pair, where both have a time. Models of another number of parameters are other models.
fn pair(against: &str, rival: &Rival, record: &Record, standing: Standing) -> Option<Pair> {
    let step_ms = record.figures.step_ms?;
    let (params, peer_params) = (record.figures.params, rival.params);
    let differ = params.zip(peer_params).filter(|(here, there)| here != there);
    let refused = differ
        .filter(|_| rival.key.task == Measured::Train)
        .map(|(here, there)| format!("another model: {there} parameters there, {here} here"));
    let ratio = |there: f64, here: f64| Some(significant(there / here, 5)).filter(|_| refused.is_none());
    let peak_gib = record.figures.peak_gib;
    Some(Pair {
        against: against.to_string(),
        peer: rival.label.clone(),
        key: rival.key.clone(),
        peer_step_ms: rival.step_ms,
        step_ms,
        ratio: ratio(rival.step_ms, step_ms),
        peer_peak_gib: rival.peak_gib,
        peak_gib,
        memory_ratio: rival.peak_gib.zip(peak_gib).and_then(|(there, here)| ratio(there, here)),
        peer_params,
        params,
        standing,
        refused,
    })
}

/// What of two measurements' circumstances differs, in words; empty where nothing does or is known.
fn differences(there: &Rival, here: &Facts) -> Vec<String> {
    let name = if here.device == "cpu" || there.device.as_deref() == Some("cpu") { "device" } else { "card" };
    // A build's own suffix, such as +cu130, is none of the version.
    let version = |text: &str| text.split('+').next().unwrap_or_default().to_string();
    let torch = there.torch.as_deref().map(version);
    let pairs = [
        (name, there.device.clone(), Some(here.device.clone())),
        ("driver", there.driver.clone(), here.driver.clone()),
        ("torch", torch, Some(version(&here.libtorch))),
    ];
    let differing = pairs.into_iter().filter_map(|(name, there, here)| {
        let (there, here) = there.zip(here).filter(|(there, here)| there != here)?;
        Some(format!("{name} {there} there, {here} here"))
    });
    differing.collect()
}

#[cfg(test)]
mod tests;
