//! A folder with files to import, and `synth` run there.

use assert_cmd::Command;
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process;
use std::time::Duration;
use tempfile::TempDir;

/// The folder; it is removed at the end of the test. Sets are prepared in `data`.
pub struct Place(TempDir);

impl Place {
    /// An empty folder.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A folder with these files.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        files.iter().for_each(|(name, text)| place.write(name, text));
        place
    }

    /// A path below the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
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

    /// What is in `data`.
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("data")) else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The program and its environment.
    pub fn process(&self, arguments: &[&str]) -> process::Command {
        let mut command = process::Command::new(env!("CARGO_BIN_EXE_synth"));
        command.args(arguments).current_dir(self.0.path()).env("OMP_NUM_THREADS", "1").env("CUDA_VISIBLE_DEVICES", "");
        ["NO_COLOR", "SYNTH_LOG", "SYNTH_DATA"].iter().for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    /// Runs `synth data` with these arguments to its end: exit code, stdout, stderr.
    pub fn data(&self, arguments: &[&str]) -> (i32, String, String) {
        let arguments: Vec<&str> = ["data"].iter().chain(arguments).copied().collect();
        let mut command = Command::from_std(self.process(&arguments));
        let output = command.timeout(Duration::from_secs(120)).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Runs `synth data` where it must end with 0: stdout and stderr.
    pub fn succeeds(&self, arguments: &[&str]) -> (String, String) {
        let (code, stdout, stderr) = self.data(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        (stdout, stderr)
    }

    /// The JSON that `synth data` prints.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let (stdout, _) = self.succeeds(&[arguments, &["--json"]].concat());
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Runs `synth data` where it must end with `code` and one line of error that holds all of `expected`, and where
    /// nothing must be in `data` that was not there before.
    pub fn fails(&self, arguments: &[&str], code: i32, expected: &[&str]) {
        let before = self.names();
        let (found, stdout, stderr) = self.data(arguments);
        let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        let [line] = errors[..] else { panic!("{arguments:?}: expected one error line, found:\n{stderr}") };
        assert_eq!((found, stdout.as_str()), (code, ""), "{arguments:?}: {line}");
        let missing: Vec<_> = expected.iter().filter(|part| !line.contains(**part)).collect();
        assert!(missing.is_empty(), "{arguments:?}: {missing:?} is not in {line:?}");
        assert_eq!(self.names(), before, "{arguments:?}");
    }

    /// The records of each split of a card, in order.
    pub fn counts(card: &Value) -> Vec<(String, u64)> {
        let splits = card["splits"].as_object().unwrap().iter();
        splits.map(|(name, split)| (name.clone(), split["records"].as_u64().unwrap())).collect()
    }
}

/// Gzip data.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A parquet file with two columns of text.
pub fn parquet(names: [&str; 2], rows: &[[&str; 2]]) -> Vec<u8> {
    use parquet::data_type::{ByteArray, ByteArrayType};
    let schema =
        format!("message schema {{ required binary {} (UTF8); required binary {} (UTF8); }}", names[0], names[1]);
    let schema = parquet::schema::parser::parse_message_type(&schema).unwrap().into();
    let mut writer = parquet::file::writer::SerializedFileWriter::new(Vec::new(), schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in 0..2 {
        let values: Vec<ByteArray> = rows.iter().map(|row| ByteArray::from(row[column])).collect();
        let mut writer = group.next_column().unwrap().unwrap();
        writer.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
        writer.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}
