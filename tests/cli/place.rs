//! A folder in which a user works: a small text, a tiny experiment, and `synth` run there.

use assert_cmd::Command;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// The tiny experiment: `tiny.toml`.
pub const EXPERIMENT: &str = r#"name = "tiny"

[task]
kind = "language-modeling"

[data]
path = "text.txt"
split = [0.8, 0.1, 0.1]

[model]
layers = 1
d_model = 16
heads = 2
max_length = 16

[train]
steps = 6
batch_size = 4
log_every = 2
eval_every = 3
checkpoint_every = 3

[tokenizer]
kind = "byte"
"#;

/// The folder of the run that the tiny experiment makes.
pub const RUN: &str = "results/tiny/vanilla-s1";

/// The folder; it is removed at the end of the test.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder with `text.txt` and `tiny.toml`.
    pub fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("text.txt", text(60));
        place.write("tiny.toml", EXPERIMENT);
        place
    }

    /// A folder with a finished run.
    pub fn with_run() -> Self {
        let place = Self::new();
        place.succeeds("train tiny.toml");
        place
    }

    /// A path below the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and the folders around it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Reads a text file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Puts a FIFO where there may be a file.
    pub fn make_fifo(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
        assert!(std::process::Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }

    /// `synth` in this folder with the words of `arguments`.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).timeout(Duration::from_secs(60));
        // One thread each: tests run beside each other, and threads that wait for cores spin.
        command.env("OMP_NUM_THREADS", "1").env("CUDA_VISIBLE_DEVICES", "").env("RUST_BACKTRACE", "1");
        ["NO_COLOR", "SYNTH_LOG", "SYNTH_DATA"].iter().for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    /// Runs `synth` to its end.
    pub fn synth(&self, arguments: &str) -> Finished {
        self.synth_on("", arguments)
    }

    /// Runs `synth` to its end, with `stdin` to read.
    pub fn synth_on(&self, stdin: impl AsRef<[u8]>, arguments: &str) -> Finished {
        let output = self.command(arguments).write_stdin(stdin.as_ref()).output().unwrap();
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs `synth` where it must end with 0.
    pub fn succeeds(&self, arguments: &str) -> Finished {
        self.succeeds_on("", arguments)
    }

    /// Runs `synth` with `stdin` to read, where it must end with 0.
    pub fn succeeds_on(&self, stdin: impl AsRef<[u8]>, arguments: &str) -> Finished {
        let finished = self.synth_on(stdin, arguments);
        assert_eq!(finished.code, Some(0), "synth {arguments}: {}", finished.stderr);
        finished
    }

    /// Runs `synth` where it must end with `code` and one line that holds all of `expected`, and must leave
    /// every file of this folder as it was.
    pub fn fails(&self, arguments: &str, code: i32, expected: &[&str]) {
        self.fails_on("", arguments, code, expected);
    }

    /// [`fails`](Self::fails) with `stdin` to read.
    pub fn fails_on(&self, stdin: impl AsRef<[u8]>, arguments: &str, code: i32, expected: &[&str]) {
        let before = self.files();
        let finished = self.synth_on(stdin, arguments);
        let line = finished.error_line();
        assert_eq!(finished.code, Some(code), "synth {arguments}: {line}");
        let missing: Vec<_> = expected.iter().filter(|part| !line.contains(**part)).collect();
        assert!(missing.is_empty(), "synth {arguments}: {missing:?} is not in {line:?}");
        assert_eq!(finished.stdout, "", "synth {arguments}");
        let after = self.files();
        let changed = |path: &&PathBuf| before.get(*path) != after.get(*path);
        let changed: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(changed).collect();
        assert!(changed.is_empty(), "synth {arguments} changed {changed:?}");
    }

    /// What lies below the folder, with the bytes of regular files.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        collect(self.folder.path(), &mut files);
        files
    }

    /// The names of what lies below a folder of this one, folders without their contents left out.
    pub fn names(&self, below: &str) -> Vec<String> {
        let folder = self.path(below);
        let below = |path: PathBuf| path.strip_prefix(&folder).ok().map(|name| name.display().to_string());
        self.files().into_keys().filter(|path| !path.is_dir()).filter_map(below).collect()
    }

    /// Replaces a folder by a copy of another.
    pub fn copy(&self, from: &str, to: &str) {
        let _ = fs::remove_dir_all(self.path(to));
        let status = std::process::Command::new("cp").arg("-a").args([self.path(from), self.path(to)]).status();
        assert!(status.unwrap().success());
    }
}

/// The rows of a `metrics.csv`.
pub struct Metrics {
    header: csv::StringRecord,
    records: Vec<csv::StringRecord>,
}

/// One of them.
pub struct MetricsRow<'a> {
    header: &'a csv::StringRecord,
    record: &'a csv::StringRecord,
}

impl Metrics {
    /// Those of the run in a folder of `place`.
    pub fn of(place: &Place, run: &str) -> Self {
        let mut reader = csv::Reader::from_path(place.path(run).join("metrics.csv")).unwrap();
        let header = reader.headers().unwrap().clone();
        Self { header, records: reader.records().map(Result::unwrap).collect() }
    }

    pub fn rows(&self) -> impl Iterator<Item = MetricsRow<'_>> {
        self.records.iter().map(|record| MetricsRow { header: &self.header, record })
    }

    /// Those of a split.
    pub fn of_split<'a>(&'a self, split: &'a str) -> impl Iterator<Item = MetricsRow<'a>> {
        self.rows().filter(move |row| row.cell("split") == split)
    }
}

impl<'a> MetricsRow<'a> {
    pub fn cell(&self, column: &str) -> &'a str {
        let place = self.header.iter().position(|name| name == column);
        &self.record[place.unwrap_or_else(|| panic!("there is no column {column}"))]
    }

    pub fn number(&self, column: &str) -> f64 {
        self.cell(column).parse().unwrap_or_else(|error| panic!("{column}: {error}"))
    }
}

/// How a command ended and what it said.
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The one line on stderr that begins with `error: `; beside it there may be log lines and clap's hints.
    pub fn error_line(&self) -> &str {
        let errors: Vec<&str> = self.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        let [line] = errors[..] else { panic!("expected one error line, found:\n{}", self.stderr) };
        let known = [" INFO ", " WARN ", "error: ", "Usage: ", "For more information, try ", "  [", "  tip: "];
        for other in self.stderr.lines().filter(|line| !line.is_empty()) {
            assert!(known.iter().any(|start| other.starts_with(start)), "{other:?} in:\n{}", self.stderr);
        }
        line
    }

    /// stdout as one JSON object and nothing else.
    pub fn json(&self) -> serde_json::Value {
        let value = serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout));
        assert!(matches!(value, serde_json::Value::Object(_)), "{value}");
        value
    }
}

/// So many lines of text.
pub fn text(lines: usize) -> String {
    (0..lines).map(|i| format!("line {i} of a small text, {} words.\n", i * 7 % 13)).collect()
}

fn collect(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            collect(&path, files);
        }
        let bytes = if kind.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        files.insert(path, bytes);
    }
}
