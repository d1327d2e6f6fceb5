//! What a resumed run may change.

use super::keys::leaves;
use super::schema::Experiment;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fmt;
use toml::{Table, Value};

/// Keys that a resumed run may change, and everything below them.
const FREE: [&str; 13] = [
    "train.steps",
    "train.epochs",
    "train.max_minutes",
    "train.eval_every",
    "train.log_every",
    "train.checkpoint_every",
    "train.patience",
    "train.keep",
    "train.average",
    "train.samples",
    "train.sample_tokens",
    "train.tensorboard",
    "decode",
];

/// A key whose value differs between two experiments.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The dotted key.
    pub key: String,
    /// The saved run's value; absent where it has none.
    pub saved: Option<Value>,
    /// The value that is asked for now.
    pub now: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |value: &Option<Value>| value.as_ref().map_or("not given".to_owned(), Value::to_string);
        write!(f, "{} was {} and is now {}", self.key, told(&self.saved), told(&self.now))
    }
}

/// The keys whose values differ, in order of key.
///
/// # Errors
/// An experiment that TOML cannot hold (a seed above 2⁶³ − 1).
pub fn changes(saved: &Experiment, now: &Experiment) -> Result<Vec<Change>> {
    let (saved, now) = (table_of(saved)?, table_of(now)?);
    let (saved, now) = (leaves(&saved), leaves(&now));
    let keys: BTreeSet<&String> = saved.iter().chain(&now).map(|(key, _)| key).collect();
    let value_in = |values: &[(String, &Value)], key: &str| {
        values.iter().find(|(known, _)| known == key).map(|(_, value)| (*value).clone())
    };
    let change = |key: &String| Change { key: key.clone(), saved: value_in(&saved, key), now: value_in(&now, key) };
    Ok(keys.into_iter().map(change).filter(|change| change.saved != change.now).collect())
}

/// Whether a run that ended as done at `step` has nothing left to do under the settings of `now`.
///
/// # Errors
/// Those of [`changes`].
pub fn is_reached(saved: &Experiment, now: &Experiment, step: u64) -> Result<bool> {
    let goals = ["train.steps", "train.epochs", "train.patience"];
    let same_goal = !changes(saved, now)?.iter().any(|change| goals.contains(&change.key.as_str()));
    Ok(same_goal || now.train.steps.is_some_and(|steps| steps <= step))
}

/// Refuses to go on with a saved run under other settings. The length of training, intervals, patience, what is kept or
/// shown, and decoding may change.
///
/// # Errors
/// A refusal (exit code 2) that names each changed key with both values.
pub fn check_resume(saved: &Experiment, now: &Experiment) -> Result<()> {
    let is_free =
        |change: &Change| FREE.iter().any(|key| change.key == *key || super::keys::is_below(&change.key, key));
    let changed: Vec<String> =
        changes(saved, now)?.iter().filter(|change| !is_free(change)).map(Change::to_string).collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(super::provenance::one_line(&format!(
        "{}; a resumed run may change only {}.*; take the value back or start another run",
        changed.join(", "),
        FREE.join(", ")
    )))
}

fn table_of(experiment: &Experiment) -> Result<Table> {
    Table::try_from(experiment).context("the experiment cannot be written as TOML")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::load::tests::experiment;

    #[test]
    fn settings_of_the_run_are_kept() {
        let saved = experiment(&[]);
        let now = experiment(&["optimizer.lr=0.002", "attention.dropout=0.2"]);
        let error = check_resume(&saved, &now).unwrap_err();
        assert_eq!(crate::exit::code(&error), 2);
        assert_eq!(
            error.to_string(),
            "attention.dropout was not given and is now 0.2, optimizer.lr was 0.001 and is now 0.002; a resumed run may \
             change only train.steps, train.epochs, train.max_minutes, train.eval_every, \
             train.log_every, train.checkpoint_every, train.patience, train.keep, train.average, train.samples, \
             train.sample_tokens, train.tensorboard, decode.*; take the value back or \
             start another run"
        );
    }

    #[test]
    fn length_intervals_and_patience_may_change() {
        let saved = experiment(&[]);
        let mut now = experiment(&[
            "train.max_minutes=5",
            "train.eval_every=1",
            "train.log_every=1",
            "train.checkpoint_every=1",
            "train.patience=3",
            "train.keep=2",
            "train.average=3",
            "train.samples=1",
            "train.sample_tokens=5",
            "train.tensorboard=true",
            "decode.beam=8",
            "decode.max_length=50",
        ]);
        (now.train.steps, now.train.epochs) = (None, Some(2.0));
        check_resume(&saved, &now).unwrap();
        let keys: Vec<String> = changes(&saved, &now).unwrap().into_iter().map(|change| change.key).collect();
        assert_eq!(keys.len(), 14);
        assert!(keys.contains(&"train.steps".to_owned()) && keys.contains(&"train.epochs".to_owned()));
        assert_eq!(changes(&saved, &saved).unwrap(), []);
        // It changes what evaluations, the best and patience compare.
        assert!(check_resume(&saved, &experiment(&["train.eval_batches=1"])).is_err());
        for kept in ["train.init_from=a", "train.log_batches=true", "train.save_initial=true", "train.z_loss=0.1"] {
            assert!(check_resume(&saved, &experiment(&[kept])).is_err(), "{kept}");
        }
    }
}
