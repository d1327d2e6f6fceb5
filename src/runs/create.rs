//! Claiming the folder of a run: new, to go on in, or to write over; and never twice at once.

use super::atomic;
use super::folder::RunFolder;
use super::marker::{MARKER, claim, contents, empty, has_marker, unwritable};
use super::names::{check_experiment, check_name};
use anyhow::{Result, anyhow};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// What to do with a folder that holds something already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Refuse it.
    New,
    /// Go on in it (`--resume`).
    Resume,
    /// Empty it first (`--overwrite`).
    Overwrite,
}

impl RunFolder {
    /// Refuses what [`create`](RunFolder::create) would, as far as a look shows it, and changes nothing:
    /// to be asked before long work.
    pub fn check(results: &Path, experiment: &str, run: &str, mode: Mode) -> Result<()> {
        check_experiment(experiment)?;
        check_name("the run's name (--run)", run)?;
        let path = results.join(experiment).join(run);
        match mode {
            Mode::New if has_marker(&path) => refuse_contents(&path),
            Mode::Overwrite => refuse_links(&[&results.join(experiment), &path]),
            _ => Ok(()),
        }
    }

    /// Makes `results/<experiment>/<run>` where it is absent, and claims it for this process.
    ///
    /// Refused: names outside the pattern; a folder that holds a run, unless `mode` says what to
    /// do with it; one that holds anything without synth's marker; one that another process
    /// writes; to overwrite through a symbolic link below `results`; a file in the way. Other
    /// errors: a place that cannot be written.
    pub fn create(results: &Path, experiment: &str, run: &str, mode: Mode) -> Result<Self> {
        Self::check(results, experiment, run, mode)?;
        let path = results.join(experiment).join(run);
        make_folder(&path)?;
        if !has_marker(&path) && !contents(&path)?.is_empty() {
            crate::refuse!(
                "{} holds files but no run of synth ({MARKER} is missing): remove it yourself, or choose another name with --run NAME",
                path.display()
            );
        }
        let lock = claim(&path)?;
        // From here on no other process changes what the folder holds.
        match mode {
            Mode::New => refuse_contents(&path)?,
            Mode::Resume => atomic::remove_leftovers(&path).map_err(|error| unwritable(&path, &error))?,
            Mode::Overwrite => empty(&path)?,
        }
        Ok(Self::claimed(path, lock))
    }
}

fn refuse_links(paths: &[&Path]) -> Result<()> {
    for path in paths {
        if fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink()) {
            crate::refuse!(
                "{} is a symbolic link, and --overwrite removes nothing through one: remove the link, or choose another name with --run NAME",
                path.display()
            );
        }
    }
    Ok(())
}

fn refuse_contents(path: &Path) -> Result<()> {
    if contents(path)?.is_empty() {
        return Ok(());
    }
    crate::refuse!(
        "{} holds a run already: go on with --resume, replace it with --overwrite, or choose another name with --run NAME",
        path.display()
    )
}

pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => crate::refusal!(
            "cannot make the folder {}: a file is in the way; remove it, or name another place with --results or --run",
            path.display()
        ),
        ErrorKind::InvalidFilename => crate::refusal!("cannot make the folder {}: {error}", path.display()),
        _ => anyhow!("cannot make the folder {}: {error}; --results names another place", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;
    use tempfile::{TempDir, tempdir};

    fn create(results: &TempDir, mode: Mode) -> Result<RunFolder> {
        RunFolder::create(results.path(), "tiny", "a", mode)
    }

    /// A run that has ended and left a file.
    fn finished(results: &TempDir) -> PathBuf {
        let folder = create(results, Mode::New).unwrap();
        fs::write(folder.config(), "seed = 1").unwrap();
        folder.path().to_owned()
    }

    fn refused(result: Result<RunFolder>, expected: &str) {
        let error = result.unwrap_err();
        assert_eq!(exit::code(&error), 2, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }

    #[test]
    fn a_run_that_exists_is_refused_resumed_or_emptied() {
        let results = tempdir().unwrap();
        let path = finished(&results);
        refused(create(&results, Mode::New), "--resume");
        drop(create(&results, Mode::Resume).unwrap());
        assert!(path.join("config.toml").exists());
        fs::create_dir_all(path.join("checkpoints/step-1")).unwrap();
        drop(create(&results, Mode::Overwrite).unwrap());
        assert!(contents(&path).unwrap().is_empty() && has_marker(&path));
    }

    #[test]
    fn an_empty_folder_is_free() {
        for mode in [Mode::New, Mode::Resume, Mode::Overwrite] {
            let results = tempdir().unwrap();
            fs::create_dir_all(results.path().join("tiny/a")).unwrap();
            drop(create(&results, mode).unwrap());
            drop(create(&results, Mode::New).expect("a marker alone is empty"));
        }
    }

    #[test]
    fn a_folder_without_marker_is_never_touched() {
        let results = tempdir().unwrap();
        let thesis = results.path().join("tiny/a/thesis.tex");
        fs::create_dir_all(thesis.parent().unwrap()).unwrap();
        fs::write(&thesis, "x").unwrap();
        let forged = results.path().join("tiny/a").join(MARKER);
        for _ in 0..2 {
            for mode in [Mode::New, Mode::Resume, Mode::Overwrite] {
                refused(create(&results, mode), ".synth-run is missing");
            }
            assert!(thesis.exists());
            // The second time with a link, which is no marker.
            let _ = symlink(&thesis, &forged);
        }
    }

    #[test]
    fn nothing_is_overwritten_through_a_link() {
        let (results, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
        let other = finished(&elsewhere);
        let config = other.join("config.toml");
        fs::create_dir(results.path().join("tiny")).unwrap();
        symlink(&other, results.path().join("tiny/a")).unwrap();
        refused(create(&results, Mode::Overwrite), "symbolic link");
        fs::remove_file(results.path().join("tiny/a")).unwrap();
        fs::remove_dir(results.path().join("tiny")).unwrap();
        symlink(other.parent().unwrap(), results.path().join("tiny")).unwrap();
        refused(create(&results, Mode::Overwrite), "symbolic link");
        assert!(config.exists());

        // A link inside the folder goes; what it points to stays.
        let results = tempdir().unwrap();
        let path = finished(&results);
        symlink(&other, path.join("checkpoints")).unwrap();
        drop(create(&results, Mode::Overwrite).unwrap());
        assert!(config.exists() && !path.join("checkpoints").exists());
    }

    #[test]
    fn two_processes_never_write_one_run() {
        let results = tempdir().unwrap();
        let first = create(&results, Mode::New).unwrap();
        fs::write(first.config(), "").unwrap();
        refused(create(&results, Mode::New), "holds a run already");
        for mode in [Mode::Resume, Mode::Overwrite] {
            refused(create(&results, mode), "another synth process");
        }
        assert!(first.config().exists());
        drop(first);
        create(&results, Mode::Resume).unwrap();
    }

    #[test]
    fn names_and_files_in_the_way_are_refused() {
        let results = tempdir().unwrap();
        for (experiment, run) in [("..", "a"), ("reference", "a"), ("a", "../b"), ("a", "")] {
            refused(RunFolder::create(results.path(), experiment, run, Mode::Overwrite), "name");
        }
        refused(RunFolder::create(results.path(), "a", &"x".repeat(300), Mode::New), "at most 200");
        fs::write(results.path().join("tiny"), "").unwrap();
        refused(create(&results, Mode::New), "a file is in the way");
        refused(RunFolder::create(&results.path().join("tiny"), "a", "b", Mode::New), "a file is in the way");
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn a_read_only_folder_is_one_clear_line() {
        let results = tempdir().unwrap();
        fs::set_permissions(results.path(), fs::Permissions::from_mode(0o555)).unwrap();
        let made = create(&results, Mode::New);
        let is_root = made.is_ok();
        fs::set_permissions(results.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if is_root {
            eprintln!("skipped: this user may write in a read-only folder");
            return;
        }
        let error = made.unwrap_err();
        assert_eq!(exit::code(&error), 1);
        assert!(error.to_string().starts_with("cannot make the folder") && error.to_string().lines().count() == 1);
    }
}
