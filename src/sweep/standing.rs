//! Where a cell stands, as its folder tells.

use crate::experiment::{self, Experiment, resume};
use crate::runs::ending::saved_step;
use crate::runs::ledger::CellRecord;
use crate::runs::{Environment, RunFolder, Status, Summary};
use anyhow::Result;
use std::path::Path;

/// What is to be done with a cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// Nothing: it is done, or diverged, which it would again.
    Settled(Status, Option<String>),
    /// It begins, or goes on with as many threads as its checkpoint was computed with, where there is one.
    Open(Option<u64>),
    /// Another configuration's run has its place; what differs.
    Other(String),
}

impl Standing {
    /// Looks into the cell's folder, which need not be there.
    ///
    /// # Errors
    /// An experiment that TOML cannot hold.
    pub fn of(folder: &Path, wanted: &Experiment) -> Result<Self> {
        let Ok(run) = RunFolder::open(folder) else { return Ok(Self::Open(None)) };
        let saved = match experiment::load(&run.config(), &[]) {
            Ok(loaded) => loaded.experiment,
            Err(error) => return Ok(Self::Other(format!("{error:#}"))),
        };
        if let Err(error) = resume::check_resume(&saved, wanted) {
            let text = error.to_string();
            let change = text.split_once("; a resumed run").map_or(text.as_str(), |(change, _)| change);
            return Ok(Self::Other(change.to_owned()));
        }
        let summary = Summary::read(&run.summary()).ok();
        Ok(match summary {
            Some(Summary { status: Status::Done, reason, step, .. }) if resume::is_reached(&saved, wanted, step)? => {
                Self::Settled(Status::Done, reason)
            }
            Some(Summary { status: Status::Diverged, reason, .. }) => Self::Settled(Status::Diverged, reason),
            _ => Self::Open(saved_step(run.path()).and_then(|_| threads(&run))),
        })
    }

    /// How a settled cell ended.
    pub fn ending(&self, run: &str, wanted: &Experiment) -> Option<CellRecord> {
        let Self::Settled(status, reason) = self.clone() else { return None };
        Some(CellRecord { run: run.into(), kind: wanted.kind(), seed: wanted.seed, status, reason })
    }
}

/// The threads that a run's checkpoint was computed with.
fn threads(run: &RunFolder) -> Option<u64> {
    Environment::read(&run.environment()).ok().map(|environment| environment.threads)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::load::tests::experiment;
    use std::collections::BTreeMap;
    use std::fs;

    fn summary(status: Status, step: u64) -> Summary {
        Summary {
            run: "a-s1".into(),
            status,
            reason: None,
            kind: "vanilla".into(),
            seed: 1,
            step,
            final_metrics: BTreeMap::new(),
            best: None,
            parameters: None,
            tokens_per_second: None,
            peak_memory_mib: None,
            elapsed_s: None,
        }
    }

    #[test]
    fn the_folder_tells_what_is_left_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let of = |sets: &[&str]| Standing::of(folder.path(), &experiment(sets)).unwrap();
        assert_eq!(of(&[]), Standing::Open(None));
        let config = experiment::config_toml(&experiment(&[])).unwrap();
        fs::write(folder.path().join("config.toml"), config).unwrap();
        assert_eq!(of(&[]), Standing::Open(None));
        let ended = |status, step| summary(status, step).write(&folder.path().join("summary.json")).unwrap();
        for status in [Status::Failed, Status::OutOfMemory, Status::Stopped] {
            ended(status, 5);
            assert_eq!(of(&[]), Standing::Open(None), "{status}");
        }
        ended(Status::Diverged, 5);
        assert_eq!(of(&["train.steps=90"]), Standing::Settled(Status::Diverged, None));
        ended(Status::Done, 10);
        assert_eq!(of(&[]), Standing::Settled(Status::Done, None));
        assert_eq!(of(&["train.log_every=1"]), Standing::Settled(Status::Done, None));
        assert_eq!(of(&["train.steps=11"]), Standing::Open(None), "more steps are asked for");
        assert_eq!(of(&["optimizer.lr=0.5"]), Standing::Other("optimizer.lr was 0.001 and is now 0.5".into()));
        fs::write(folder.path().join("config.toml"), "name = ").unwrap();
        assert!(matches!(of(&[]), Standing::Other(_)));
    }
}
