//! The index files of a Debian or Ubuntu release: packages, their sources, and their descriptions by language.

use super::sentences::paragraphs;
use crate::data::hash::{hex, sha256_file};
use crate::data::source::Lines;
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The parts of a release whose software is free.
const COMPONENTS: [&str; 2] = ["main", "universe"];

/// Descriptions by the MD5 of the English text, which is the same for all translations of it.
pub(super) type Descriptions = BTreeMap<String, Description>;

/// What a package is, in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    /// The first package that has it, by name.
    pub package: String,
    /// One line.
    pub synopsis: String,
    /// The paragraphs and list items of the long description.
    pub paragraphs: Vec<String>,
}

/// The files that are read.
#[derive(Debug)]
pub(super) struct Index {
    /// In order of name; with what they are.
    files: Vec<(Kind, PathBuf)>,
    releases: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Packages,
    Descriptions(String),
}

impl Index {
    /// Finds the files in a folder that apt filled.
    ///
    /// # Errors
    /// No descriptions in English or in `language`.
    pub fn find(lists: &Path, language: Option<&str>) -> Result<Self> {
        let mut files = Vec::new();
        let mut releases = Vec::new();
        let cannot = || format!("cannot list {}", lists.display());
        for entry in fs::read_dir(lists).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Some(kind) = kind_of(&name) {
                files.push((name, kind, entry.path()));
            } else if name.ends_with("_InRelease") || name.ends_with("_Release") {
                releases.push((name, entry.path()));
            }
        }
        files.sort_by(|a, b| a.0.cmp(&b.0));
        releases.sort();
        for wanted in ["en"].into_iter().chain(language) {
            if !files.iter().any(|(_, kind, _)| *kind == Kind::Descriptions(wanted.into())) {
                bail!(
                    "apt brought no descriptions in {wanted} (Translation-{wanted}); expected a mirror of Debian or Ubuntu \
                     in /etc/apt/sources.list, and a network"
                );
            }
        }
        let releases = releases.iter().map(|(_, path)| release_of(path)).collect::<Result<Vec<_>>>()?;
        let releases = releases.into_iter().flatten().collect();
        Ok(Self { files: files.into_iter().map(|(_, kind, path)| (kind, path)).collect(), releases })
    }

    /// The releases that the files are of.
    pub fn release(&self) -> String {
        match self.releases.is_empty() {
            true => "a release without a name".to_string(),
            false => self.releases.join("; "),
        }
    }

    /// The source package of each description.
    pub fn sources(&self) -> Result<BTreeMap<String, String>> {
        let mut sources = BTreeMap::new();
        for (_, path) in self.files.iter().filter(|(kind, _)| *kind == Kind::Packages) {
            each_stanza(path, |stanza| {
                let Some(key) = stanza.get("Description-md5") else { return };
                // Without the version that may follow in brackets.
                let source = stanza.get("Source").or(stanza.get("Package"));
                let source = source.and_then(|source| source.split_whitespace().next());
                if let Some(source) = source {
                    sources.entry(key.clone()).or_insert_with(|| source.to_string());
                }
            })?;
        }
        Ok(sources)
    }

    /// The descriptions in a language. Of several with one key the first is taken.
    pub fn descriptions(&self, language: &str) -> Result<Descriptions> {
        let field = format!("Description-{language}");
        let mut found = Descriptions::new();
        for (_, path) in self.files.iter().filter(|(kind, _)| *kind == Kind::Descriptions(language.into())) {
            each_stanza(path, |stanza| {
                let [key, package, text] = ["Description-md5", "Package", &field].map(|name| stanza.get(name));
                if let (Some(key), Some(package), Some(text)) = (key, package, text) {
                    let (synopsis, body) = text.split_once('\n').unwrap_or((text, ""));
                    found.entry(key.clone()).or_insert_with(|| Description {
                        package: package.clone(),
                        synopsis: synopsis.trim().to_string(),
                        paragraphs: paragraphs(body),
                    });
                }
            })?;
        }
        Ok(found)
    }

    /// The SHA-256 over lines `<name without the mirror> <SHA-256 of the file>`.
    pub fn list_sha256(&self) -> Result<String> {
        let mut list = Sha256::new();
        for (_, path) in &self.files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = name.split_once("_dists_").map_or(name.as_str(), |(_, rest)| rest);
            list.update(format!("{name} {}\n", sha256_file(path)?));
        }
        Ok(hex(&list.finalize()))
    }
}

/// `<mirror>_dists_<suite>_<component>_i18n_Translation-<language>` and `…_<component>_binary-<architecture>_Packages`.
fn kind_of(name: &str) -> Option<Kind> {
    let (start, kind) = match name.rsplit_once("_i18n_Translation-") {
        Some((start, language)) => (start, Kind::Descriptions(language.to_string())),
        None => {
            let (start, _) = name.strip_suffix("_Packages")?.rsplit_once("_binary-")?;
            (start, Kind::Packages)
        }
    };
    let component = start.rsplit('_').next()?;
    COMPONENTS.contains(&component).then_some(kind)
}

/// `Debian bookworm 12.5 (Sat, 10 Feb 2024 11:07:25 UTC)`, where the file says so.
fn release_of(path: &Path) -> Result<Option<String>> {
    let mut said = BTreeMap::new();
    let mut lines = Lines::open(path)?;
    let mut line = String::new();
    while lines.read(&mut line)? {
        if let Some((name, value)) = line.split_once(": ") {
            said.entry(name.to_string()).or_insert_with(|| value.trim().to_string());
        }
        // The list of files follows.
        if line.starts_with("SHA256:") || line.starts_with("MD5Sum:") {
            break;
        }
    }
    let (Some(origin), Some(codename)) = (said.get("Origin"), said.get("Codename")) else { return Ok(None) };
    let version = said.get("Version").map_or(String::new(), |version| format!(" {version}"));
    let date = said.get("Date").map_or(String::new(), |date| format!(" ({date})"));
    Ok(Some(format!("{origin} {codename}{version}{date}")))
}

type Stanza = BTreeMap<String, String>;

/// Gives the stanzas of a file: `Name: value` and lines that begin with a space and go on with the value, which are kept
/// with their line breaks.
fn each_stanza(path: &Path, mut take: impl FnMut(&Stanza)) -> Result<()> {
    let mut lines = Lines::open(path)?;
    let mut line = String::new();
    let mut stanza = Stanza::new();
    let mut last = None;
    while lines.read(&mut line)? {
        if line.is_empty() {
            take(&std::mem::take(&mut stanza));
        } else if line.starts_with([' ', '\t']) {
            if let Some(value) = last.as_ref().and_then(|name| stanza.get_mut(name)) {
                value.push('\n');
                value.push_str(&line);
            }
        } else {
            let (name, value) = line.split_once(':').with_context(|| format!("{}: expected a field", lines.place()))?;
            last = Some(name.to_string());
            stanza.insert(name.to_string(), value.trim().to_string());
        }
    }
    if !stanza.is_empty() {
        take(&stanza);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_free_components_are_taken() {
        let start = "deb.example_debian_dists_bookworm";
        let kind = |end: &str| kind_of(&format!("{start}_{end}"));
        assert_eq!(kind("main_binary-amd64_Packages"), Some(Kind::Packages));
        assert_eq!(kind("universe_i18n_Translation-pt_BR"), Some(Kind::Descriptions("pt_BR".into())));
        assert_eq!(kind("non-free_i18n_Translation-en"), None);
        assert_eq!(kind("InRelease"), None);
    }

    #[test]
    fn stanzas_are_read_with_their_continued_lines() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "Package: a\nTag: x,\n y\n\nPackage: b\nDescription-en: s\n one\n .\n two\n").unwrap();
        let mut found = Vec::new();
        each_stanza(file.path(), |stanza| found.push(stanza.clone())).unwrap();
        assert_eq!((found.len(), found[0]["Tag"].as_str()), (2, "x,\n y"));
        assert_eq!(found[1]["Description-en"], "s\n one\n .\n two");
        fs::write(file.path(), "Package: a\nno field\n").unwrap();
        let message = each_stanza(file.path(), |_| {}).unwrap_err().to_string();
        assert!(message.ends_with("line 2: expected a field"), "{message}");
    }
}
