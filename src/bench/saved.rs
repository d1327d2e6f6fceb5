//! The files of a benchmark: STEM.csv has the rows, STEM.json the same and the comparisons.

use super::against::Comparisons;
use super::record::Record;
use crate::runs::{atomic, cells};
use anyhow::{Result, anyhow};
use serde::Serialize;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// All of a benchmark, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Bench<'a> {
    /// When it began, in UTC.
    pub start_time: &'a str,
    /// The command's arguments.
    pub argv: &'a [String],
    /// A row per cell.
    pub cells: &'a [Record],
    /// The cells beside others'.
    pub comparisons: &'a Comparisons,
}

impl Bench<'_> {
    /// Writes both files, each whole or not at all.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn save(&self, stem: &Path) -> Result<()> {
        let [csv, json] = paths(stem);
        let table = table(self.cells).map_err(|error| anyhow!("cannot write {}: {error}", csv.display()))?;
        atomic::write(&csv, &table)?;
        atomic::write_json(&json, self)
    }
}

/// The files of a stem: its `.csv` and its `.json`, whatever dots it has.
pub fn paths(stem: &Path) -> [PathBuf; 2] {
    [".csv", ".json"].map(|ending| {
        let mut path = stem.as_os_str().to_owned();
        path.push(ending);
        path.into()
    })
}

/// The rows as CSV: a column per field, empty where it was not measured.
fn table(records: &[Record]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (i, record) in records.iter().enumerate() {
        let Value::Object(fields) = serde_json::to_value(record)? else { continue };
        if i == 0 {
            writer.write_record(fields.keys())?;
        }
        writer.write_record(fields.values().map(text))?;
    }
    Ok(writer.into_inner()?)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cells::text(text).into_owned(),
        Value::Number(number) if number.is_f64() => cells::measured(number.as_f64()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stem_keeps_its_dots() {
        let [csv, json] = paths(Path::new("out/h100.v1"));
        assert_eq!((csv, json), (PathBuf::from("out/h100.v1.csv"), PathBuf::from("out/h100.v1.json")));
    }

    #[test]
    fn cells_of_a_table_are_plain() {
        let values = serde_json::json!([null, "=1+1", 0.1, 3e-7, 12, true, 6710886400.0]);
        let texts: Vec<String> = values.as_array().unwrap().iter().map(text).collect();
        assert_eq!(texts, ["", "'=1+1", "0.1", "3e-7", "12", "true", "6710886400"]);
    }
}
