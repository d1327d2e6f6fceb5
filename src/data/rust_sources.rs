//! The dataset `rust-sources`: the Rust files of the crates that this project is built from. Real text on
//! every machine that can build the project, and the same text wherever Cargo keeps it.

use super::card::{Card, CardSplits, Layout, SPLITS};
use super::cargo::{self, Crate};
use super::hash::{hex, sha256_hex, split_of_name};
use super::record::TextWriter;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::Path;
use tracing::info;

/// The dataset's name.
pub const NAME: &str = "rust-sources";

/// The terms that its texts stand under.
pub const LICENCE: &str = "Each crate's own, named in its Cargo.toml; nearly all MIT or Apache-2.0.";

/// Larger files are left out: nearly all of them are generated.
const MAX_FILE_BYTES: u64 = 256 << 10;

/// Writes the three splits into `folder` and returns the card, which is not written yet. The project is
/// looked for from `current_folder` upwards.
///
/// # Errors
/// Those of [`cargo::crates`]; sources that cannot be read; a folder that cannot be written to.
pub fn prepare(folder: &Path, current_folder: &Path) -> Result<Card> {
    info!("{NAME}: asking Cargo for the crates in Cargo.lock");
    let (host, crates) = cargo::crates(current_folder)?;
    info!("{NAME}: reading the Rust files of {} crates", crates.len());
    let (splits, list_sha256) = write_splits(&crates, folder)?;
    let description = format!(
        "The Rust files of {} crates, without files over {} KiB (generated) or not text, each after a line \
         `// <crate>/<path>`; split by crate, by the SHA-256 of its name.",
        crates.len(),
        MAX_FILE_BYTES >> 10
    );
    Ok(Card {
        description,
        source: format!("The crates in the Cargo.lock of synth for {host}, as published."),
        licence: LICENCE.into(),
        splits,
        list_sha256,
        ..Card::new(NAME, Layout::Text, None)
    })
}

/// Writes the files of `crates` in their order, and hashes the list of them: lines
/// `<crate> <version> <path> <SHA-256 of the file>`.
fn write_splits(crates: &[Crate], folder: &Path) -> Result<(CardSplits, String)> {
    let [train, validation, test] = SPLITS.map(|split| TextWriter::create(folder, split));
    let mut writers = [(train?, 0), (validation?, 0), (test?, 0)];
    let mut list = Sha256::new();
    for found in crates {
        let (writer, files) = &mut writers[split_of_name(&found.name)];
        for (path, text) in rust_files(found)? {
            list.update(format!("{} {} {path} {}\n", found.name, found.version, sha256_hex(text.as_bytes())));
            let end = if text.ends_with('\n') { "" } else { "\n" };
            writer.write(&format!("// {}/{path}\n{text}{end}", found.name))?;
            *files += 1;
        }
    }
    let mut splits = CardSplits::default();
    for (name, (writer, files)) in SPLITS.into_iter().zip(writers) {
        splits.insert(name, writer.finish(files)?);
    }
    Ok((splits, hex(&list.finalize())))
}

/// Relative path and text of every file that belongs into the set, by path.
fn rust_files(found: &Crate) -> Result<Vec<(String, String)>> {
    let mut paths = Vec::new();
    collect(&found.folder, "", &mut paths)
        .with_context(|| format!("cannot list the sources of the crate {} {}", found.name, found.version))?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let full = found.folder.join(&path);
        let bytes = fs::read(&full).with_context(|| format!("cannot read {}", full.display()))?;
        // What is not UTF-8 or holds a NUL is no text, and could not be read back as such.
        if let Some(text) = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')) {
            files.push((path, text));
        }
    }
    Ok(files)
}

/// Adds the relative paths of the Rust files below `folder`, of the size wanted. Links are not followed, and
/// names that are not UTF-8 are left out.
fn collect(folder: &Path, prefix: &str, paths: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), paths)?;
        } else if kind.is_file() && name.ends_with(".rs") && entry.metadata()?.len() <= MAX_FILE_BYTES {
            paths.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::card::SplitCard;
    use super::*;

    fn add(folder: &Path, name: &str, version: &str, files: &[(&str, &[u8])]) -> Crate {
        let folder = folder.join(format!("{name}-{version}"));
        for (path, bytes) in files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Crate { name: name.into(), version: version.parse().unwrap(), folder }
    }

    fn prepared(cargo_home: &Path, folder: &Path) -> (CardSplits, String) {
        let large = vec![b'/'; MAX_FILE_BYTES as usize + 1];
        let crates = [
            add(cargo_home, "anyhow", "0.9.0", &[("src/lib.rs", b"fn a() {}")]),
            add(
                cargo_home,
                "anyhow",
                "0.10.0",
                &[
                    ("src/z.rs", b"fn z() {}\n"),
                    ("build.rs", b"fn main() {}\n"),
                    ("src/generated.rs", &large),
                    ("src/largest.rs", &large[1..]),
                    ("src/binary.rs", b"\xff"),
                    ("src/nul.rs", b"\0"),
                    ("README.md", b"no Rust"),
                ],
            ),
            add(cargo_home, "hashbrown", "1.0.0", &[("a.rs", b"//!\n")]),
            add(cargo_home, "strsim", "1.0.0", &[("b.rs", b"")]),
        ];
        write_splits(&crates, folder).unwrap()
    }

    #[test]
    fn files_are_joined_in_order_under_their_names() {
        let [cargo_home, folder] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let (splits, list) = prepared(cargo_home.path(), folder.path());
        let slashes = "/".repeat(MAX_FILE_BYTES as usize);
        let files = [
            (0, "anyhow", "0.9.0", "src/lib.rs", "fn a() {}", "\n"),
            (0, "anyhow", "0.10.0", "build.rs", "fn main() {}\n", ""),
            (0, "anyhow", "0.10.0", "src/largest.rs", slashes.as_str(), "\n"),
            (0, "anyhow", "0.10.0", "src/z.rs", "fn z() {}\n", ""),
            (2, "hashbrown", "1.0.0", "a.rs", "//!\n", ""),
            (1, "strsim", "1.0.0", "b.rs", "", "\n"),
        ];
        let mut lines = String::new();
        let mut expected = [const { String::new() }; 3];
        for (split, name, version, path, text, end) in files {
            lines.push_str(&format!("{name} {version} {path} {}\n", sha256_hex(text.as_bytes())));
            expected[split].push_str(&format!("// {name}/{path}\n{text}{end}"));
        }
        assert_eq!(list, sha256_hex(lines.as_bytes()));
        for (((split, card), text), files) in splits.iter().zip(&expected).zip([4, 1, 1]) {
            assert!(fs::read_to_string(folder.path().join(format!("{split}.txt"))).unwrap() == *text, "{split}");
            let (bytes, records) = (text.len() as u64, text.lines().count() as u64);
            let written = SplitCard { files, records, bytes, sha256: sha256_hex(text.as_bytes()) };
            assert_eq!(*card, written);
        }
    }

    #[test]
    fn the_place_of_the_sources_does_not_matter() {
        let folders: [_; 4] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let [first, second] = [0, 2].map(|index| prepared(folders[index].path(), folders[index + 1].path()));
        assert_eq!(first, second);
    }
}
