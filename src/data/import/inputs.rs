//! From the paths that a user names to the files that are meant.

use crate::data::card::SPLITS;
use crate::data::source;
use crate::refuse;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use tracing::info;

/// A file to import.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Input {
    /// Its name, without its folder.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What was said of it.
    pub mark: Option<Mark>,
}

/// What the user says of a file before its path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    /// `train=PATH`: the split that it is.
    Split(String),
    /// `LABEL=PATH`: the class of its lines.
    Label(String),
}

impl Input {
    /// The name without `.gz`.
    pub fn plain_name(&self) -> &str {
        self.name.strip_suffix(".gz").unwrap_or(&self.name)
    }

    /// What follows the last dot of the name, without `.gz`; empty where there is none.
    pub fn extension(&self) -> &str {
        self.plain_name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The name without `.gz` and the extension.
    pub fn stem(&self) -> &str {
        self.plain_name().rsplit_once('.').map_or(self.plain_name(), |(stem, _)| stem)
    }

    /// The name of the folder that it lies in.
    pub fn folder(&self) -> String {
        let absolute = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        let folder = absolute.parent().and_then(Path::file_name);
        folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// The files that `arguments` name: files, folders (their files), globs, each with a split or a label before it or
/// not. They come in order of name, whatever the order they are named or listed in.
///
/// # Errors
/// Refusals of what is not there, no regular file, or a folder without files.
pub(super) fn collect(arguments: &[String]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for argument in arguments {
        let (mark, path) = parse(argument);
        let path = Path::new(path);
        let files = if path.is_dir() { files_in(path)? } else { source::resolve(path)? };
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            inputs.push(Input { name, path, mark: mark.clone() });
        }
    }
    inputs.sort();
    if let Some(twice) = inputs.windows(2).find(|pair| pair[0].path == pair[1].path) {
        refuse!("{} is named twice", twice[0].path.display());
    }
    Ok(inputs)
}

/// A mark is only looked for where no file of the whole name is there.
fn parse(argument: &str) -> (Option<Mark>, &str) {
    match argument.split_once('=') {
        Some((mark, path)) if !mark.is_empty() && !path.is_empty() && !Path::new(argument).exists() => {
            let split = SPLITS.contains(&mark);
            let mark = mark.to_string();
            (Some(if split { Mark::Split(mark) } else { Mark::Label(mark) }), path)
        }
        _ => (None, argument),
    }
}

/// The files of a folder; what tells about the data is left out, and so are hidden files.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut folders, mut left_out) = (Vec::new(), Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        match () {
            () if name.starts_with('.') => {}
            () if path.is_dir() => folders.push(name),
            () if is_about_data(&name) => left_out.push(name),
            () => files.push(path),
        }
    }
    if files.is_empty() {
        folders.sort();
        let found = if folders.is_empty() { "nothing" } else { &format!("the folders {}", folders.join(", ")) };
        refuse!("{} holds no data files but {found}; name the files or one folder with files", folder.display());
    }
    if !left_out.is_empty() {
        left_out.sort();
        info!("left out: {}", left_out.join(", "));
    }
    files.sort();
    files.iter().try_for_each(|file| source::resolve(file).map(drop))?;
    Ok(files)
}

fn is_about_data(name: &str) -> bool {
    let lower = name.to_lowercase();
    let starts = ["readme", "licence", "license", "citation", "changelog", "dataset_info"];
    starts.iter().any(|start| lower.starts_with(start)) || lower.ends_with(".md")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::code;

    fn text(path: &Path) -> String {
        path.to_str().unwrap().to_string()
    }

    #[test]
    fn folders_give_their_data_files_in_order_of_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.tsv", "a.tsv.gz", "README", "LICENSE.txt", "notes.md", ".hidden"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("original")).unwrap();
        let inputs = collect(&[text(folder.path())]).unwrap();
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        assert_eq!(names, ["a.tsv.gz", "b.tsv"]);
        assert_eq!((inputs[0].extension(), inputs[0].stem(), inputs[0].plain_name()), ("tsv", "a", "a.tsv"));
        let paths = ["b.tsv", "a.tsv.gz"].map(|name| text(&folder.path().join(name)));
        assert_eq!(collect(&paths).unwrap(), inputs);
        let error = collect(&[text(folder.path()), paths[0].clone()]).unwrap_err();
        assert!(error.to_string().contains("named twice") && code(&error) == 2);
    }

    #[test]
    fn marks_stand_before_a_path() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.txt", "x=a.txt"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let path = text(&folder.path().join("a.txt"));
        let mark = |argument: String| collect(&[argument]).unwrap()[0].mark.clone();
        assert_eq!(mark(path.clone()), None);
        assert_eq!(mark(format!("pos={path}")), Some(Mark::Label("pos".into())));
        assert_eq!(mark(format!("test={path}")), Some(Mark::Split("test".into())));
        assert_eq!(mark(text(&folder.path().join("x=a.txt"))), None, "a file's own name comes first");
    }

    #[test]
    fn a_folder_of_folders_says_which() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["RTE", "CoLA"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let error = collect(&[text(folder.path())]).unwrap_err();
        assert!(error.to_string().contains("the folders CoLA, RTE") && code(&error) == 2, "{error}");
    }
}
