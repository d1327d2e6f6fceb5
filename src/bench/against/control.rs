//! Whether another's figures stand beside this run's: a peer's that were stored need a cell of it that was run now.

use super::line::{Line, Rival, Source};
use super::{Others, differences};
use crate::bench::facts::Facts;
use serde::Serialize;

/// Stored figures hold where the control cell is as fast as they say, within this share.
const TOLERANCE: f64 = 0.05;
/// What the peer's compiled ways of running are called.
const COMPILED: &str = "torch.compile";

/// Whether a ratio counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Whether both figures were taken under the same circumstances.
    pub counts: bool,
    /// What a reader has to know.
    pub remark: Option<String>,
}

/// How the figures of `rival`, a line of `file`, stand beside a run under `facts`.
pub fn standing(rival: &Rival, file: &Others, control: Option<&Others>, facts: &Facts) -> Standing {
    let differing = differences(rival, facts);
    let same_device = rival.device.as_ref() == Some(&facts.device);
    let (counts, told) = match (rival.source, control) {
        // Another libtorch or driver is what one may want to compare.
        (Source::Synth | Source::Peer, _) => (same_device, None),
        (Source::Stored, None) => (false, Some("the figures were not taken in this run".to_string())),
        (Source::Stored, Some(control)) => {
            let (agrees, told) = verdict(file, control, rival, facts);
            (agrees && same_device, Some(told))
        }
    };
    let remarks: Vec<String> = told.into_iter().chain(differing).collect();
    Standing { counts, remark: (!remarks.is_empty()).then(|| remarks.join("; ")) }
}

/// Whether the control cell, run now, is as fast as stored beside `rival`; the one that is farthest off tells.
fn verdict(file: &Others, control: &Others, rival: &Rival, facts: &Facts) -> (bool, String) {
    let under_way = |stored: &&Rival| {
        stored.source == Source::Stored
            && (&stored.device, &stored.driver, &stored.torch) == (&rival.device, &rival.driver, &rival.torch)
    };
    let off = |now: &Rival| {
        let same = |stored: &&Rival| stored.key == now.key && stored.label == now.label;
        let stored = cells(file).filter(under_way).find(same)?;
        Some((now.step_ms / stored.step_ms - 1.0, stored.step_ms, now.step_ms))
    };
    // A stored line is no control: it was not run now.
    let run_now = |now: &&Rival| is_control(now) && now.source == Source::Peer;
    let here = |now: &&Rival| now.device.as_ref() == Some(&facts.device);
    let found = cells(control).filter(run_now).filter(here).filter_map(off);
    let Some((off, stored, now)) = found.max_by(|one, other| one.0.abs().total_cmp(&other.0.abs())) else {
        let what = "the control has no compiled vanilla cell of this device that the stored figures have too";
        return (false, format!("the figures were not taken in this run; {what}"));
    };
    let agrees = off.abs() <= TOLERANCE;
    let verdict = if agrees { "within 5%" } else { "more than 5%: not comparable" };
    (agrees, format!("control cell {stored} ms stored, {now} ms now, {:+.1}%, {verdict}", 100.0 * off))
}

fn is_control(rival: &Rival) -> bool {
    rival.label.starts_with(COMPILED) && rival.key.attention == "vanilla"
}

fn cells(file: &Others) -> impl Iterator<Item = &Rival> {
    file.lines.iter().filter_map(|line| match line {
        Line::Cell(rival) => Some(&**rival),
        Line::WithoutFigures { .. } => None,
    })
}
