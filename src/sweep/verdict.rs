//! What the end of a cell's process says of the cell.

use crate::runs::{Status, Summary};
use crate::train::signals;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a cell ended, and why: as its process wrote into a `summary.json` of its own, else as its exit and its last words
/// tell.
pub fn verdict(exit: ExitStatus, summary: Option<Summary>, last_words: Option<&str>) -> (Status, Option<String>) {
    if let Some(summary) = summary.filter(|summary| exit.signal().is_none() || summary.status != Status::Failed) {
        return (summary.status, summary.reason);
    }
    match (exit.code(), exit.signal()) {
        (Some(0), _) => (Status::Done, None),
        (Some(3), _) => (Status::Diverged, last_words.map(str::to_owned)),
        (Some(code @ (130 | 143)), _) => (Status::Stopped, Some(signals::name(code - 128))),
        (Some(code), _) => {
            let words = last_words.map_or(String::new(), |words| format!(": {words}"));
            (Status::Failed, Some(format!("exit code {code}{words}")))
        }
        (None, signal) => (Status::Failed, Some(format!("signal {}", signal.unwrap_or_default()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_have_names() {
        let of = |raw: i32| verdict(ExitStatus::from_raw(raw), None, Some("disk full"));
        assert_eq!(of(0), (Status::Done, None));
        assert_eq!(of(3 << 8), (Status::Diverged, Some("disk full".into())));
        assert_eq!(of(143 << 8), (Status::Stopped, Some("SIGTERM".into())));
        assert_eq!(of(1 << 8), (Status::Failed, Some("exit code 1: disk full".into())));
        assert_eq!(of(9), (Status::Failed, Some("signal 9".into())));
        assert_eq!(of(11 | 0x80), (Status::Failed, Some("signal 11".into())));
    }
}
