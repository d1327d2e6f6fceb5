//! Which crates this project is built from on this machine, and where their sources lie, as Cargo tells it.

use crate::refuse;
use anyhow::{Result, anyhow, bail};
use cargo_metadata::semver::Version;
use cargo_metadata::{Error, Metadata, MetadataCommand};
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name of this project's package.
const PROJECT: &str = env!("CARGO_PKG_NAME");

/// Where the running program was built.
const BUILT_IN: &str = env!("CARGO_MANIFEST_DIR");

/// A crate that the project depends on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// The folder of its sources.
    pub folder: PathBuf,
}

/// The crates in the project's Cargo.lock for the host target, by name and version, without the project
/// itself. Cargo downloads those whose sources are not here yet. Also tells the host target.
///
/// # Errors
/// Refusals where Cargo or the project's sources are not there; Cargo's own failure.
pub fn crates(current_folder: &Path) -> Result<(String, Vec<Crate>)> {
    let manifest = find_manifest(current_folder, Path::new(BUILT_IN))?;
    let cargo = env::var_os("CARGO").filter(|path| !path.is_empty()).map_or_else(|| "cargo".into(), PathBuf::from);
    let folder = manifest.parent().unwrap_or(current_folder);
    let host = host_target(&cargo, folder)?;
    let options = ["--locked", "--filter-platform", &host].map(String::from);
    let metadata = MetadataCommand::new()
        .cargo_path(&cargo)
        .current_dir(folder)
        .manifest_path(&manifest)
        .other_options(options)
        .exec()
        .map_err(cargo_error)?;
    Ok((host, dependencies(&metadata)))
}

/// The project's Cargo.toml, in the current folder, above it, or where the program was built.
fn find_manifest(current_folder: &Path, built_in: &Path) -> Result<PathBuf> {
    let folders = current_folder.ancestors().chain([built_in]);
    match folders.map(|folder| folder.join("Cargo.toml")).find(|manifest| is_project(manifest)) {
        Some(manifest) => Ok(manifest),
        None => refuse!(
            "found no Cargo.toml of {PROJECT} in {} or above it; run this in a checkout of {PROJECT}",
            current_folder.display()
        ),
    }
}

fn is_project(manifest: &Path) -> bool {
    let table = fs::read_to_string(manifest).ok().and_then(|text| text.parse::<toml::Table>().ok());
    table.is_some_and(|table| table.get("package").and_then(|package| package.get("name")?.as_str()) == Some(PROJECT))
}

/// The target that Cargo itself was built for.
fn host_target(cargo: &Path, folder: &Path) -> Result<String> {
    let output = match Command::new(cargo).arg("-vV").current_dir(folder).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse!("found no {}; install Rust with Cargo, or set CARGO to its program", cargo.display())
        }
        Err(error) => bail!("cannot run {}: {error}", cargo.display()),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_string()),
        None => {
            let said = one_line(&String::from_utf8_lossy(&output.stderr));
            bail!("`{} -vV` gave no line `host: …`, which names the target; it said: {said:?}", cargo.display())
        }
    }
}

/// All packages that are no member of the workspace.
fn dependencies(metadata: &Metadata) -> Vec<Crate> {
    let others = metadata.packages.iter().filter(|package| !metadata.workspace_members.contains(&package.id));
    let mut crates: Vec<Crate> = others
        .map(|package| Crate {
            name: package.name.to_string(),
            version: package.version.clone(),
            folder: package.manifest_path.parent().unwrap_or("".into()).into(),
        })
        .collect();
    crates.sort();
    crates
}

/// One line of what Cargo says on several, without its lines of progress.
fn cargo_error(error: Error) -> anyhow::Error {
    let Error::CargoMetadata { stderr } = error else {
        return anyhow!("`cargo metadata` failed: {}", one_line(&error.to_string()));
    };
    let start = stderr.find("error:").unwrap_or(0);
    anyhow!("`cargo metadata --locked` failed: {}", one_line(&stderr[start..]))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code;

    fn package(name: &str, version: &str) -> String {
        format!(
            r#"{{"name":"{name}","version":"{version}","id":"{name} {version}","dependencies":[],"targets":[],
            "features":{{}},"manifest_path":"/somewhere/{name}-{version}/Cargo.toml"}}"#
        )
    }

    #[test]
    fn dependencies_are_sorted_and_leave_the_project_out() {
        let packages = [("toml", "0.10.0"), (PROJECT, "0.1.0"), ("toml", "0.9.1"), ("anyhow", "1.0.0")];
        let packages = packages.map(|(name, version)| package(name, version)).join(",");
        let metadata = format!(
            r#"{{"packages":[{packages}],"workspace_members":["{PROJECT} 0.1.0"],"resolve":null,
            "workspace_root":"/","target_directory":"/target","version":1}}"#
        );
        let crates = dependencies(&MetadataCommand::parse(metadata).unwrap());
        let names: Vec<String> = crates.iter().map(|found| format!("{} {}", found.name, found.version)).collect();
        assert_eq!(names, ["anyhow 1.0.0", "toml 0.9.1", "toml 0.10.0"]);
        assert_eq!(crates[0].folder, Path::new("/somewhere/anyhow-1.0.0"));
    }

    #[test]
    fn the_manifest_is_looked_for_upwards_then_where_the_program_was_built() {
        let folder = tempfile::tempdir().unwrap();
        let [built_in, checkout, inner] =
            ["built", "checkout", "checkout/other/inner"].map(|name| folder.path().join(name));
        fs::create_dir_all(&inner).unwrap();
        fs::create_dir_all(&built_in).unwrap();
        let error = find_manifest(&inner, &built_in).unwrap_err();
        assert_eq!(code(&error), 2);
        let manifest = |name: &str| format!("[package]\nname = \"{name}\"\n");
        fs::write(built_in.join("Cargo.toml"), manifest(PROJECT)).unwrap();
        assert_eq!(find_manifest(&inner, &built_in).unwrap(), built_in.join("Cargo.toml"));
        fs::write(checkout.join("Cargo.toml"), manifest(PROJECT)).unwrap();
        fs::write(checkout.join("other/Cargo.toml"), manifest("another")).unwrap();
        assert_eq!(find_manifest(&inner, &built_in).unwrap(), checkout.join("Cargo.toml"));
    }

    #[test]
    fn failures_are_one_line() {
        let stderr = "    Updating index\nerror: cannot update the lock file\n\nCaused by:\n  it is locked\n".into();
        let message = cargo_error(Error::CargoMetadata { stderr }).to_string();
        assert!(message.ends_with("failed: error: cannot update the lock file Caused by: it is locked"), "{message}");
        let error = host_target(Path::new("no-such-cargo"), Path::new(".")).unwrap_err();
        assert!(error.to_string().contains("no-such-cargo") && code(&error) == 2, "{error}");
        let error = host_target(Path::new("false"), Path::new(".")).unwrap_err();
        assert!(error.to_string().contains("no line `host: …`") && code(&error) == 1, "{error}");
    }
}
