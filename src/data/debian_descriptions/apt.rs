//! The package indexes, through apt: into a folder of our own, without root, and without a change to the system's.

use crate::refuse;
use anyhow::{Context, Result, bail};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tracing::debug;

/// What is run.
const PROGRAM: &str = "apt-get";

/// Downloads the indexes with the English descriptions and those in `language` into a folder in `place`, which goes when
/// it is dropped.
///
/// # Errors
/// A refusal where there is no apt; what apt fails with.
pub(super) fn update(place: &Path, language: Option<&str>) -> Result<Lists> {
    let folder = tempfile::Builder::new().prefix("apt-").tempdir_in(place);
    let folder = folder.with_context(|| format!("cannot write to {}", place.display()))?;
    let absolute = std::path::absolute(folder.path())?;
    let lists = absolute.join("lists");
    let cache = absolute.join("cache");
    for folder in [lists.join("partial"), cache.join("archives/partial")] {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let languages = language.map_or("en".to_string(), |language| format!("en,{language}"));
    let mut command = Command::new(PROGRAM);
    command.arg("-qq");
    for option in [
        // As a whole: where an image sets "none", adding to the list does nothing.
        format!("Acquire::Languages={languages}"),
        "Acquire::GzipIndexes=false".to_string(),
        "Acquire::http::Timeout=60".to_string(),
        "Acquire::Retries=2".to_string(),
        format!("Dir::State::lists={}", lists.display()),
        format!("Dir::Cache={}", cache.display()),
    ] {
        command.arg("-o").arg(option);
    }
    run(command.arg("update"))?;
    Ok(Lists { path: lists, _folder: folder })
}

/// The folder of the indexes.
pub(super) struct Lists {
    path: PathBuf,
    _folder: TempDir,
}

impl Lists {
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => refuse!(
            "found no {PROGRAM}; package descriptions come from Debian or Ubuntu: fetch the set on such a machine and copy \
             its folder here"
        ),
        Err(error) => bail!("cannot run {PROGRAM}: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    debug!("{PROGRAM} said: {}", said.trim());
    if !output.status.success() {
        let errors = said.lines().filter(|line| line.starts_with("E:")).collect::<Vec<_>>().join(" ");
        let said = if errors.is_empty() { said.split_whitespace().collect::<Vec<_>>().join(" ") } else { errors };
        bail!("`{PROGRAM} update` failed ({}): {said}; check the network and /etc/apt/sources.list", output.status);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code;

    #[test]
    fn failures_are_said() {
        let error = run(&mut Command::new("no-such-apt-get")).unwrap_err();
        assert!(error.to_string().contains("found no apt-get") && code(&error) == 2, "{error}");
        let mut failing = Command::new("sh");
        failing.arg("-c").arg("echo 'W: slow' >&2; echo 'E: no mirror' >&2; exit 100");
        let error = run(&mut failing).unwrap_err().to_string();
        assert!(error.contains("exit status: 100") && error.contains("): E: no mirror;"), "{error}");
    }
}
