//! One checkpoint of a run, or the mean of its newest ones, by name.

use super::Checkpoints;
use super::store::{Pointer, name_of, step_of};
use crate::refuse;
use anyhow::Result;
use std::path::PathBuf;
use std::str::FromStr;

/// What `--checkpoint` and `train.init_from` name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The best by `train.best`.
    Best,
    /// The newest.
    Last,
    /// That after so many updates.
    Step(u64),
    /// The mean of so many of the newest.
    Average(usize),
}

impl FromStr for Choice {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let average = |count: &str| count.parse().ok().filter(|count| *count > 0).map(Choice::Average);
        match name {
            "best" => Some(Choice::Best),
            "last" => Some(Choice::Last),
            _ => match name.strip_prefix("average:") {
                Some(count) => average(count),
                None => step_of(name).map(Choice::Step),
            },
        }
        .ok_or("expected best, last or a name such as step-100 or average:3")
    }
}

/// Checkpoints that are there: one, or several whose mean is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Updates before each, ascending.
    steps: Vec<u64>,
    averaged: bool,
}

impl Chosen {
    /// `step-6`, or `average:3`.
    pub fn name(&self) -> String {
        if self.averaged { format!("average:{}", self.steps.len()) } else { name_of(self.step()) }
    }

    /// Updates before the newest of them.
    pub fn step(&self) -> u64 {
        self.steps.last().copied().unwrap_or(0)
    }

    /// The names of those that a mean is of.
    pub fn averaged(&self) -> Option<Vec<String>> {
        self.averaged.then(|| self.steps.iter().copied().map(name_of).collect())
    }

    /// A file of each of them, ascending.
    ///
    /// # Errors
    /// A checkpoint that is gone.
    pub fn files(&self, checkpoints: &Checkpoints, file: &str) -> Result<Vec<PathBuf>> {
        self.steps.iter().map(|step| Ok(checkpoints.path(*step)?.join(file))).collect()
    }
}

impl Checkpoints {
    /// The checkpoint that `choice` names, by default the best, else the last; `None` where none is saved yet. `asked`
    /// names in a refusal who wants it.
    ///
    /// # Errors
    /// A refusal of a step that is not there, or of a mean of more than there are; files that are damaged.
    pub fn choose(&self, choice: Option<Choice>, asked: &str) -> Result<Option<Chosen>> {
        let step = match choice {
            None => match self.pointed(Pointer::Best)? {
                None => self.pointed(Pointer::Last)?,
                best => best,
            },
            Some(Choice::Best) => self.pointed(Pointer::Best)?,
            Some(Choice::Last) => self.pointed(Pointer::Last)?,
            Some(Choice::Step(step)) => match self.path(step) {
                Ok(_) => Some(step),
                Err(error) => refuse!("{asked}: {error:#}"),
            },
            Some(Choice::Average(count)) => return self.newest(count, asked).map(Some),
        };
        Ok(step.map(|step| Chosen { steps: vec![step], averaged: false }))
    }

    fn newest(&self, count: usize, asked: &str) -> Result<Chosen> {
        // Weights that no update has changed are nobody's average.
        let mut steps: Vec<u64> = self.steps().into_iter().filter(|step| *step > 0).collect();
        if steps.len() < count {
            refuse!(
                "{asked}: the mean of {count} checkpoints needs as many in {}; there are: {}",
                self.folder().display(),
                self.listing()
            );
        }
        Ok(Chosen { steps: steps.split_off(steps.len() - count), averaged: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (name, choice) in [
            ("best", Choice::Best),
            ("last", Choice::Last),
            ("step-0", Choice::Step(0)),
            ("step-120", Choice::Step(120)),
            ("average:3", Choice::Average(3)),
        ] {
            assert_eq!(name.parse(), Ok(choice), "{name}");
        }
        for name in ["", "newest", "step-06", "step-", "average", "average:", "average:0", "average:-1", "average:x"] {
            assert!(name.parse::<Choice>().is_err(), "{name}");
        }
    }

    #[test]
    fn the_newest_are_averaged_and_what_is_missing_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Checkpoints::new(folder.path().join("checkpoints"));
        let choose = |name: &str| store.choose(Some(name.parse().unwrap()), "--checkpoint");
        assert_eq!(store.choose(None, "").unwrap(), None);
        assert!(choose("average:1").unwrap_err().to_string().ends_with("there are: none"));
        for step in [0, 5, 10, 15] {
            store.save(step, |_| Ok(())).unwrap();
        }
        assert_eq!(store.choose(None, "").unwrap().unwrap().name(), "step-15");
        store.point(Pointer::Best, 5).unwrap();
        assert_eq!(store.choose(None, "").unwrap().unwrap().name(), "step-5");
        let mean = choose("average:3").unwrap().unwrap();
        assert_eq!((mean.name(), mean.step()), ("average:3".into(), 15));
        assert_eq!(mean.averaged().unwrap(), ["step-5", "step-10", "step-15"]);
        let files = mean.files(&store, "a").unwrap();
        assert!(files.len() == 3 && files[0].ends_with("step-5/a"), "{files:?}");
        for (name, listed) in [("average:5", "step-0, step-5, step-10, step-15"), ("step-7", "step-0, step-5")] {
            let error = choose(name).unwrap_err();
            assert_eq!(crate::exit::code(&error), 2);
            assert!(error.to_string().starts_with("--checkpoint: ") && error.to_string().contains(listed), "{error}");
        }
    }
}
