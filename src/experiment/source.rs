//! Reading one TOML file: its keys, their lines, its paths made absolute.

use super::provenance::{Provenance, line_at, one_line};
use anyhow::Result;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Component, Path, PathBuf};
use toml::de::DeTable;
use toml::{Table, Value};

/// A configuration is written by hand; what is larger is another kind of file.
const LARGEST: u64 = 1 << 20;

/// The keys that hold paths, by table.
const PATHS: [(&str, &[&str]); 2] = [("data", &["train", "validation", "test", "path"]), ("train", &["init_from"])];

/// A parsed TOML file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    /// The file's keys; paths are absolute.
    pub(crate) table: Table,
    /// Their lines.
    pub(crate) origins: Provenance,
}

impl Document {
    /// Parses `text`, the contents of the file at `path`.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let file = path.display().to_string();
        let refusal = |error: toml::de::Error| {
            let line = error.span().map_or(String::new(), |span| format!(":{}", line_at(text, span.start)));
            one_line(&format!("{file}{line}: not valid TOML: {}", error.message().replace('\n', ", ")))
        };
        let spanned = DeTable::parse(text).map_err(refusal)?;
        let mut table = toml::from_str::<Table>(text).map_err(refusal)?;
        anchor_paths(&mut table, &folder_of(path)?)?;
        Ok(Self { table, origins: Provenance::of_file(&file, text, spanned.get_ref()) })
    }
}

/// The text of a regular file in UTF-8; all else is refused in a line that starts with the path.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let refusal = |what: &str| one_line(&format!("{}: {what}; expected a TOML file", path.display()));
    let io_refusal = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => refusal("no such file"),
        _ => refusal(&format!("cannot be read: {error}")),
    };
    // Before opening: that would wait for the writer of a FIFO.
    let kind = fs::metadata(path).map_err(io_refusal)?;
    if kind.is_dir() {
        return Err(refusal("is a directory"));
    }
    if !kind.is_file() {
        return Err(refusal("is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)).map_err(io_refusal)?;
    if bytes.len() as u64 > LARGEST {
        return Err(refusal("is larger than 1 MiB"));
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(refusal("is binary, not text in UTF-8")),
    }
}

/// The folder that a file lies in, without links.
pub(crate) fn folder_of(path: &Path) -> Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.canonicalize().map_err(|error| one_line(&format!("{}: cannot be found: {error}", folder.display())))
}

/// Makes all paths absolute; what is no text is left to the check of types.
pub(crate) fn anchor_paths(table: &mut Table, folder: &Path) -> Result<()> {
    for (name, keys) in PATHS {
        let Some(Value::Table(inner)) = table.get_mut(name) else { continue };
        for key in keys {
            let paths = match inner.get_mut(*key) {
                Some(Value::Array(paths)) => paths.as_mut_slice(),
                Some(path) => std::slice::from_mut(path),
                None => continue,
            };
            for path in paths {
                if let Value::String(path) = path {
                    *path = anchor(path, folder)?;
                }
            }
        }
    }
    Ok(())
}

/// `path` below `folder`, which is absolute and without links. Only leading `..` are folded away:
/// after a name they may lead back from a link to elsewhere. Empty and absolute paths stay.
pub(crate) fn anchor(path: &str, folder: &Path) -> Result<String> {
    if path.is_empty() {
        return Ok(String::new());
    }
    let mut anchored = folder.to_path_buf();
    let mut leading = true;
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if leading => {
                anchored.pop();
            }
            other => {
                leading = false;
                anchored.push(other);
            }
        }
    }
    let text = anchored.to_str().map(str::to_owned);
    text.ok_or_else(|| one_line(&format!("{}: the path is not UTF-8; rename the folder", anchored.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &Path) -> String {
        let error = read_text(path).unwrap_err();
        assert_eq!(crate::exit::code(&error), 2);
        error.to_string().replace(&path.display().to_string(), "FILE")
    }

    #[test]
    fn only_regular_text_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        assert_eq!(refused(&path), "FILE: no such file; expected a TOML file");
        assert_eq!(refused(folder.path()), "FILE: is a directory; expected a TOML file");
        fs::write(&path, [0xff, 0xfe, 0]).unwrap();
        assert_eq!(refused(&path), "FILE: is binary, not text in UTF-8; expected a TOML file");
        fs::write(&path, [b'a', 0]).unwrap();
        assert_eq!(refused(&path), "FILE: is binary, not text in UTF-8; expected a TOML file");
        fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
        assert_eq!(refused(&path), "FILE: is larger than 1 MiB; expected a TOML file");
        assert_eq!(refused(Path::new("/dev/null")), "FILE: is no regular file; expected a TOML file");
    }

    #[test]
    fn a_fifo_is_refused_without_waiting_for_a_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(refused(&path), "FILE: is no regular file; expected a TOML file");
    }

    #[test]
    fn syntax_errors_name_the_line() {
        let error = Document::parse(Path::new("x.toml"), "a = 1\n\nb = = 2\n").unwrap_err().to_string();
        assert!(error.starts_with("x.toml:3: not valid TOML: ") && !error.contains('\n'), "{error}");
        let error = Document::parse(Path::new("x.toml"), "a = 1\na = 2\n").unwrap_err().to_string();
        assert_eq!(error, "x.toml:2: not valid TOML: duplicate key");
        let error = Document::parse(Path::new("x.toml"), "a = 1\nb = 99999999999999999999\n").unwrap_err().to_string();
        assert!(error.starts_with("x.toml:2: "), "{error}");
    }

    #[test]
    fn both_paths_of_a_pair_are_anchored() {
        let mut table: Table = toml::from_str("data.train = [\"a.en\", \"../a.de\"]\ndata.test = [5]").unwrap();
        anchor_paths(&mut table, Path::new("/a/b")).unwrap();
        let expected = "data.train = [\"/a/b/a.en\", \"/a/a.de\"]\ndata.test = [5]";
        assert_eq!(table, toml::from_str::<Table>(expected).unwrap());
    }

    #[test]
    fn paths_are_anchored_and_globs_kept() {
        let folder = Path::new("/a/b");
        for (path, anchored) in [
            ("t.txt", "/a/b/t.txt"),
            ("./c/*.txt", "/a/b/c/*.txt"),
            ("../c/**/x", "/a/c/**/x"),
            ("c/../d", "/a/b/c/../d"),
            ("/e/f", "/e/f"),
            ("", ""),
        ] {
            assert_eq!(anchor(path, folder).unwrap(), anchored);
        }
    }
}
