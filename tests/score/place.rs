//! A folder with files to score.

use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// The folder; it is removed at the end of the test.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder with these files.
    pub fn new(files: &[(&str, &[u8])]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        for (name, content) in files {
            fs::write(place.path(name), content).unwrap();
        }
        place
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `synth score` with these arguments, which hold no space themselves, in this folder.
    pub fn score(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
        command.current_dir(self.folder.path()).arg("score").args(arguments.split(' '));
        command
    }

    /// What it prints where it works.
    pub fn prints(&self, arguments: &str) -> String {
        String::from_utf8(self.score(arguments).assert().success().get_output().stdout.clone()).unwrap()
    }

    /// The object that it prints with --json.
    pub fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.prints(&format!("{arguments} --json"))).unwrap()
    }

    /// Checks that it fails with this exit code, prints nothing on stdout and says each of `expected`.
    pub fn fails(&self, arguments: &str, code: i32, expected: &[&str]) {
        let output = self.score(arguments).assert().code(code).get_output().clone();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty(), "{arguments}");
        for part in expected {
            assert!(said.contains(part), "{arguments}: {part:?} is missing in {said}");
        }
    }
}
