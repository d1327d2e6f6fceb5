//! The folder `checkpoints/` of a run: `step-N/`, and the one-line files `last` and `best`.

use crate::runs::{atomic, regular};
use anyhow::{Context, Result, bail, ensure};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Prefix of a checkpoint that is still being written.
const UNFINISHED: &str = ".unfinished-";

/// A run's checkpoints.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
}

/// The one-line files that name a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// The newest checkpoint.
    Last,
    /// The best by `train.best`.
    Best,
}

impl Pointer {
    fn file(self) -> &'static str {
        match self {
            Pointer::Last => "last",
            Pointer::Best => "best",
        }
    }
}

impl Checkpoints {
    /// The checkpoints in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where they lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes the checkpoint of `step`: `fill` writes its files into a folder aside, which is then synced and
    /// renamed, and `last` names it. At every moment `last` names a whole checkpoint.
    ///
    /// # Errors
    /// What `fill` or the file system reports; the checkpoints that were there stay.
    pub fn save(&self, step: u64, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let aside = self.folder.join(format!("{UNFINISHED}{step}"));
        let written = self.write_aside(&aside, fill).and_then(|()| self.put_in_place(&aside, step));
        if written.is_err() {
            // Space on a full disk; the error is the one that matters.
            let _ = fs::remove_dir_all(&aside);
        }
        written.with_context(|| format!("cannot save the checkpoint of step {step} in {}", self.folder.display()))
    }

    fn write_aside(&self, aside: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        remove_if_there(aside)?;
        fs::create_dir_all(aside)?;
        fill(aside)?;
        sync_folder(aside)
    }

    fn put_in_place(&self, aside: &Path, step: u64) -> Result<()> {
        let place = self.folder.join(name_of(step));
        if place.exists() {
            // `last` may name it: moved aside, not removed, until the new one stands. `path` finds it there.
            let old = self.aside_of(step);
            remove_if_there(&old)?;
            fs::rename(&place, &old)?;
            fs::rename(aside, &place)?;
            remove_if_there(&old)?;
        } else {
            fs::rename(aside, &place)?;
        }
        sync_folder(&self.folder)?;
        self.point(Pointer::Last, step)
    }

    /// Lets `last` or `best` name the checkpoint of `step`.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn point(&self, pointer: Pointer, step: u64) -> Result<()> {
        atomic::write(&self.folder.join(pointer.file()), format!("{}\n", name_of(step)).as_bytes())
    }

    /// The step that `last` or `best` names; `None` where there is no such file.
    ///
    /// # Errors
    /// Where the file names anything but an existing `step-N`.
    pub fn pointed(&self, pointer: Pointer) -> Result<Option<u64>> {
        let file = self.folder.join(pointer.file());
        let text = match regular::read_text(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read {}", file.display()))?,
        };
        let Some(step) = step_of(text.trim_end()) else {
            bail!("{} holds {:?}, expected a name such as step-100", file.display(), shorten(text.trim_end()));
        };
        self.path(step).map(|_| Some(step))
    }

    /// Where a checkpoint is while another of its step takes its place.
    fn aside_of(&self, step: u64) -> PathBuf {
        self.folder.join(format!("{UNFINISHED}{step}-old"))
    }

    /// The folder of the checkpoint of `step`.
    ///
    /// # Errors
    /// Where there is none.
    pub fn path(&self, step: u64) -> Result<PathBuf> {
        let is_folder = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        let path = self.folder.join(name_of(step));
        let aside = self.aside_of(step);
        if !is_folder(&path) && is_folder(&aside) {
            // A process was killed between the two renames of `put_in_place`.
            return Ok(aside);
        }
        ensure!(
            is_folder(&path),
            "there is no checkpoint {} in {}; there are: {}",
            name_of(step),
            self.folder.display(),
            self.listing()
        );
        Ok(path)
    }

    /// The steps of all whole checkpoints, ascending.
    pub fn steps(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut steps: Vec<u64> = entries.filter_map(|entry| step_of(entry.file_name().to_str()?)).collect();
        steps.sort_unstable();
        steps
    }

    pub(super) fn listing(&self) -> String {
        let names: Vec<String> = self.steps().into_iter().map(name_of).collect();
        if names.is_empty() { "none".into() } else { names.join(", ") }
    }

    /// Removes all but the newest `keep` checkpoints and the `protected` ones.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn prune(&self, keep: usize, protected: &[u64]) -> Result<()> {
        let steps = self.steps();
        let old = &steps[..steps.len().saturating_sub(keep)];
        for &step in old.iter().filter(|step| !protected.contains(step)) {
            remove_if_there(&self.folder.join(name_of(step)))?;
        }
        Ok(())
    }

    /// Removes what an interrupted process left: unfinished checkpoints, and whole ones after `step`
    /// (written, but not yet named by `last`). `None` removes all.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn discard_after(&self, step: Option<u64>) -> Result<()> {
        if self.folder.exists() {
            atomic::remove_leftovers(&self.folder)?;
        }
        if let Some(step) = step {
            let (place, aside) = (self.folder.join(name_of(step)), self.aside_of(step));
            if !place.exists() && aside.exists() {
                fs::rename(&aside, &place).with_context(|| format!("cannot restore {}", place.display()))?;
            }
        }
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
            if unfinished {
                remove_if_there(&entry.path())?;
            }
        }
        for later in self.steps().into_iter().filter(|&later| step.is_none_or(|step| later > step)) {
            remove_if_there(&self.folder.join(name_of(later)))?;
        }
        Ok(())
    }
}

/// `step-N`.
pub fn name_of(step: u64) -> String {
    format!("step-{step}")
}

/// N of `step-N`, where the name is one, without leading zeros.
pub fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|file| file.sync_all()).with_context(|| format!("cannot sync {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let store = Checkpoints::new(folder.path().join("checkpoints"));
        (folder, store)
    }

    fn save(store: &Checkpoints, step: u64) {
        store.save(step, |folder| Ok(fs::write(folder.join("state.json"), step.to_string())?)).unwrap();
    }

    #[test]
    fn last_names_the_newest_and_old_ones_go() {
        let (_folder, store) = store();
        assert_eq!(store.pointed(Pointer::Last).unwrap(), None);
        for step in [10, 20, 30, 40] {
            save(&store, step);
        }
        store.point(Pointer::Best, 20).unwrap();
        store.prune(1, &[20]).unwrap();
        assert_eq!(store.steps(), [20, 40]);
        assert_eq!(store.pointed(Pointer::Last).unwrap(), Some(40));
        assert_eq!(store.pointed(Pointer::Best).unwrap(), Some(20));
        assert_eq!(fs::read_to_string(store.path(40).unwrap().join("state.json")).unwrap(), "40");
    }

    #[test]
    fn a_failed_save_leaves_what_was_there() {
        let (_folder, store) = store();
        save(&store, 1);
        let error = store.save(2, |folder| {
            fs::write(folder.join("model.safetensors"), "half")?;
            bail!("no space left on device")
        });
        assert!(format!("{:#}", error.unwrap_err()).contains("no space left"));
        assert_eq!(store.steps(), [1]);
        assert_eq!(fs::read_dir(&store.folder).unwrap().count(), 2); // step-1 and last
    }

    #[test]
    fn saving_a_step_again_replaces_it() {
        let (_folder, store) = store();
        save(&store, 5);
        store.save(5, |folder| Ok(fs::write(folder.join("state.json"), "again")?)).unwrap();
        assert_eq!(fs::read_to_string(store.path(5).unwrap().join("state.json")).unwrap(), "again");
    }

    #[test]
    fn a_kill_between_two_renames_loses_nothing() {
        let (_folder, store) = store();
        save(&store, 5);
        fs::rename(store.folder.join("step-5"), store.folder.join(".unfinished-5-old")).unwrap();
        assert_eq!(store.pointed(Pointer::Last).unwrap(), Some(5));
        assert_eq!(fs::read_to_string(store.path(5).unwrap().join("state.json")).unwrap(), "5");
        store.discard_after(Some(5)).unwrap();
        assert_eq!(store.steps(), [5]);
        assert!(store.path(5).unwrap().ends_with("step-5"));
    }

    #[test]
    fn leftovers_are_discarded() {
        let (_folder, store) = store();
        save(&store, 5);
        save(&store, 9);
        fs::create_dir(store.folder.join(".unfinished-12")).unwrap();
        store.discard_after(Some(5)).unwrap();
        assert_eq!(store.steps(), [5]);
        store.discard_after(None).unwrap();
        assert!(store.steps().is_empty());
    }

    #[test]
    fn a_pointer_elsewhere_is_refused() {
        let (_folder, store) = store();
        save(&store, 5);
        for wrong in ["../../etc", "step-5/..", "step-05", "step-", "step-6"] {
            fs::write(store.folder.join("last"), wrong).unwrap();
            assert!(store.pointed(Pointer::Last).is_err(), "{wrong}");
        }
    }
}
