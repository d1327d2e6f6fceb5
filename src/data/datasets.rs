//! Named datasets: what there is, preparing one, and opening a prepared one.
//!
//! A prepared set is a folder `<root>/<name>/` with `train.txt`, `validation.txt`, `test.txt` and `card.json`.

use super::card::{Card, split_file};
use super::hash::sha256_hex;
use super::{rust_sources, source};
use crate::runs::check_name;
use crate::{refusal, refuse};
use anyhow::{Context, Result, bail, ensure};
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tracing::info;

/// The environment variable that says where prepared datasets lie.
pub const ROOT_VARIABLE: &str = "SYNTH_DATA";

/// The datasets that can be fetched.
pub const AVAILABLE: [&str; 1] = [rust_sources::NAME];

/// A prepared dataset whose files have the sizes that its card says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    folder: PathBuf,
    card: Card,
}

/// The folder of prepared datasets: `SYNTH_DATA`, else `data` in the current folder.
pub fn root() -> PathBuf {
    env::var_os(ROOT_VARIABLE).filter(|path| !path.is_empty()).map_or_else(|| "data".into(), PathBuf::from)
}

/// Prepares a dataset in `<root>/<name>/`; one that is complete already stays as it is, and that is said.
///
/// # Errors
/// Refusals of names that are none or unknown, and of what this machine lacks; damage in a set that was
/// prepared before; whatever goes wrong while reading and writing. Nothing half-made is left under the name.
pub fn fetch(name: &str, root: &Path) -> Result<Card> {
    check_name("the dataset's name", name)?;
    check_available(name)?;
    if folder_of(name, root).exists() {
        let card = open(name, root)?.card;
        info!("{name} is complete in {}, prepared {}: nothing to do", folder_of(name, root).display(), card.created);
        return Ok(card);
    }
    fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
    let workplace = tempfile::Builder::new()
        .prefix(&format!(".{name}-"))
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(root)
        .with_context(|| format!("cannot write to {}", root.display()))?;
    let card = rust_sources::prepare(workplace.path(), &env::current_dir()?)?;
    card.write(workplace.path())?;
    publish(workplace, name, root)?;
    Ok(card)
}

/// Gives the finished folder its name.
fn publish(workplace: tempfile::TempDir, name: &str, root: &Path) -> Result<()> {
    let target = folder_of(name, root);
    match fs::rename(workplace.path(), &target) {
        Ok(()) => {
            // Nothing lies at the old path any more that dropping could remove.
            let _ = workplace.keep();
            Ok(())
        }
        // Another process was faster: a folder that is not empty is not renamed over.
        Err(_) if open(name, root).is_ok() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot create {}", target.display())),
    }
}

/// Opens a prepared dataset and checks its card and the sizes of its files.
///
/// # Errors
/// Refusals of names that are none or unknown, and of a dataset that is not prepared yet; damage.
pub fn open(name: &str, root: &Path) -> Result<Prepared> {
    check_name("the dataset's name", name)?;
    let folder = folder_of(name, root);
    if !folder.exists() {
        check_available(name)?;
        refuse!("dataset {name} is not prepared in {}; run `synth data fetch {name}`", root.display());
    }
    let card = Card::read(&folder, name).with_context(|| damaged(name, &folder))?;
    Ok(Prepared { folder, card })
}

impl Prepared {
    /// What the dataset is.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The text of `train`, `validation` or `test`, compared with the card's hash.
    ///
    /// # Errors
    /// Another split, a file that cannot be read as text, or one changed since the preparation.
    pub fn read(&self, split: &str) -> Result<String> {
        let named = self.card.splits.named();
        let Some((_, expected)) = named.into_iter().find(|(name, _)| *name == split) else {
            bail!("dataset {} has no split {split:?}; expected train, validation or test", self.card.name);
        };
        let read = || -> Result<String> {
            let text = source::read(&self.folder.join(split_file(split)))?;
            ensure!(sha256_hex(text.as_bytes()) == expected.sha256, "{} was changed", split_file(split));
            Ok(text)
        };
        read().with_context(|| damaged(&self.card.name, &self.folder))
    }
}

fn folder_of(name: &str, root: &Path) -> PathBuf {
    root.join(name)
}

fn damaged(name: &str, folder: &Path) -> String {
    format!("dataset {name} is damaged (remove {} and run `synth data fetch {name}`)", folder.display())
}

fn check_available(name: &str) -> Result<()> {
    if AVAILABLE.contains(&name) {
        return Ok(());
    }
    Err(refusal!("there is no dataset {name}; this version has {}", AVAILABLE.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::card::tests::write_set;
    use super::*;
    use crate::exit::code;

    fn set(root: &Path) -> Card {
        let folder = root.join("rust-sources");
        fs::create_dir(&folder).unwrap();
        write_set(&folder, "rust-sources")
    }

    #[test]
    fn a_prepared_set_is_opened_and_not_fetched_again() {
        let root = tempfile::tempdir().unwrap();
        let card = set(root.path());
        let prepared = open("rust-sources", root.path()).unwrap();
        assert_eq!(prepared.read("train").unwrap(), "abcde");
        assert!(prepared.read("dev").is_err());
        assert_eq!(fetch("rust-sources", root.path()).unwrap(), card);
    }

    #[test]
    fn damage_says_how_to_fetch_again() {
        let root = tempfile::tempdir().unwrap();
        set(root.path());
        let file = root.path().join("rust-sources/train.txt");
        fs::write(&file, "abcdX").unwrap();
        let changed = open("rust-sources", root.path()).unwrap().read("train").unwrap_err();
        fs::write(&file, "abc").unwrap();
        let shorter = fetch("rust-sources", root.path()).unwrap_err();
        for (error, expected) in [(changed, "train.txt was changed"), (shorter, "has 3 bytes and should have 5")] {
            let message = format!("{error:#}");
            assert_eq!(code(&error), 1);
            assert!(message.contains("`synth data fetch rust-sources`") && message.ends_with(expected), "{message}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        let root = tempfile::tempdir().unwrap();
        for (name, expected) in [
            ("wikitext-2", "this version has rust-sources"),
            ("../rust-sources", "the dataset's name is"),
            (".hidden", "the dataset's name is"),
            ("", "the dataset's name is"),
        ] {
            for error in [fetch(name, root.path()).unwrap_err(), open(name, root.path()).unwrap_err()] {
                assert!(error.to_string().contains(expected) && code(&error) == 2, "{error}");
            }
        }
        let error = open("rust-sources", root.path()).unwrap_err();
        assert!(error.to_string().contains("is not prepared") && code(&error) == 2, "{error}");
    }

    #[test]
    fn the_slower_of_two_fetches_keeps_what_the_faster_made() {
        let root = tempfile::tempdir().unwrap();
        let workplace = tempfile::tempdir_in(root.path()).unwrap();
        write_set(workplace.path(), "rust-sources");
        set(root.path());
        publish(workplace, "rust-sources", root.path()).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
