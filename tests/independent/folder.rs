//! Reads a run's folder.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

use crate::config::Config;
use crate::plan::Plan;
use crate::tokenizer::{Tokenizer, Tokenizers};

/// A run's folder, `results/<experiment>/<run>`.
pub struct RunFolder {
    /// Where it lies.
    pub path: PathBuf,
    /// The folder around it, which is removed when this is dropped.
    pub _kept: TempDir,
}

/// A row of `metrics.csv`, by its columns.
pub type Row = BTreeMap<String, String>;

impl RunFolder {
    /// The resolved experiment.
    pub fn config(&self) -> Config {
        Config::parse(&self.text("config.toml"))
    }

    /// What the texts were cut with.
    pub fn tokenizer(&self) -> Tokenizer {
        self.tokenizers().target
    }

    /// What sources and targets were cut with: the same, unless each has its own.
    pub fn tokenizers(&self) -> Tokenizers {
        Tokenizers::parse(&self.text("tokenizer.json"))
    }

    /// The plan of an experiment with the run's vocabularies.
    pub fn plan(&self, config: &Config) -> Plan {
        let tokenizers = self.tokenizers();
        Plan::of_pairs(config, [&tokenizers.source, &tokenizers.target].map(Tokenizer::vocabulary_size))
    }

    /// The name of the folder that `checkpoints/best` or `checkpoints/last` names.
    pub fn checkpoint(&self, pointer: &str) -> String {
        self.text(&format!("checkpoints/{pointer}")).trim_end().to_owned()
    }

    /// The tensors of a checkpoint's `model` or `optimizer` file.
    pub fn tensors(&self, checkpoint: &str, file: &str) -> BTreeMap<String, Tensor> {
        let path = self.path.join("checkpoints").join(checkpoint).join(format!("{file}.safetensors"));
        let bytes = std::fs::read(path).expect("a readable checkpoint");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        tensors
            .iter()
            .map(|(name, view)| (name.to_owned(), Tensor::new(view.dtype(), view.shape(), view.data())))
            .collect()
    }

    /// The JSON object in the metadata of a checkpoint's `model.safetensors`.
    pub fn metadata(&self, checkpoint: &str) -> Value {
        let path = self.path.join("checkpoints").join(checkpoint).join("model.safetensors");
        let (_, header) =
            SafeTensors::read_metadata(&std::fs::read(path).expect("a readable checkpoint")).expect("a header");
        let keys = header.metadata().as_ref().expect("metadata");
        assert_eq!(keys.len(), 1, "one key, synth");
        serde_json::from_str(&keys["synth"]).expect("JSON in the metadata")
    }

    /// The rows of `metrics.csv` of a split.
    pub fn rows(&self, split: &str) -> Vec<Row> {
        let mut reader = csv::Reader::from_path(self.path.join("metrics.csv")).expect("metrics.csv");
        let rows = reader.deserialize().map(|row: csv::Result<Row>| row.expect("a row"));
        rows.filter(|row| row["split"] == split).collect()
    }

    /// The text of a file in the folder.
    pub fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).expect("a readable file of the run")
    }
}

/// The number in a column of a row.
pub fn number(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("a number in column {column}, found {:?}", row[column]))
}

/// A tensor of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Its kind in the file.
    pub kind: Dtype,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub values: Vec<f64>,
}

impl Tensor {
    fn new(kind: Dtype, shape: &[usize], data: &[u8]) -> Self {
        let values = match kind {
            Dtype::F32 => data.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
            Dtype::F64 => data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect(),
            kind => panic!("float32 or float64 is documented, found {kind:?}"),
        };
        Self { kind, shape: shape.to_vec(), values }
    }
}
