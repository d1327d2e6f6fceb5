//! Runs that were set aside: `<run>.old-N`, whose place another configuration took.

use super::marker::{claim, has_marker};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// What stands between a run's name and the number under which it was set aside.
const INFIX: &str = ".old-";

/// Moves the run in `folder` to the first free of `<run>.old-1`, `<run>.old-2`, …; answers where it is now.
///
/// # Errors
/// Refuses a run that another process writes; what the file system reports.
pub fn set_aside(folder: &Path) -> Result<PathBuf> {
    let _writing = claim(folder)?;
    for number in 1..u32::MAX {
        let mut name = folder.as_os_str().to_owned();
        name.push(format!("{INFIX}{number}"));
        let place = PathBuf::from(name);
        if fs::symlink_metadata(&place).is_err() {
            let moved = fs::rename(folder, &place);
            moved.with_context(|| format!("cannot move {} to {}", folder.display(), place.display()))?;
            return Ok(place);
        }
    }
    bail!("no name is free for {} to be set aside", folder.display())
}

/// Whether `run` is the name of a run that was set aside.
pub(super) fn is_aside(run: &str) -> bool {
    let number = run.rsplit_once(INFIX).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether another process writes the run in `folder` just now.
pub fn is_busy(folder: &Path) -> bool {
    has_marker(folder) && claim(folder).is_err_and(|error| crate::exit::code(&error) == 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::{Mode, RunFolder};

    #[test]
    fn runs_are_moved_and_never_overwritten() {
        let results = tempfile::tempdir().unwrap();
        for expected in ["a-s1.old-1", "a-s1.old-2"] {
            let run = RunFolder::create(results.path(), "tiny", "a-s1", Mode::New).unwrap();
            fs::write(run.config(), expected).unwrap();
            assert!(is_busy(run.path()));
            assert!(set_aside(run.path()).unwrap_err().to_string().contains("another synth process"));
            let path = run.path().to_owned();
            drop(run);
            assert!(!is_busy(&path));
            let place = set_aside(&path).unwrap();
            assert!(place.ends_with(expected) && !path.exists());
            assert_eq!(fs::read_to_string(place.join("config.toml")).unwrap(), expected);
        }
    }

    #[test]
    fn names_tell_what_was_set_aside() {
        for (name, expected) in [("a-s1.old-1", true), ("a.old-12", true), ("a.old-", false), ("a-s1", false)] {
            assert_eq!(is_aside(name), expected, "{name}");
        }
    }
}
