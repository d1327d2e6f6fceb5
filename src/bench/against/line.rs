//! What a file to compare with holds: rows of a saved benchmark, or JSON lines of the peer programs.

use crate::attention::Kind;
use crate::bench::cell::Measured;
use crate::bench::record::Shape;
use crate::refuse;
use crate::runs::regular;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Larger files are no list of measurements.
const LARGEST: u64 = 64 << 20;

/// What has to be the same for two figures to stand beside each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the fields of Shape")]
pub struct Key {
    pub task: Measured,
    pub model: String,
    pub attention: String,
    pub seq_len: i64,
    pub batch: i64,
    pub new: Option<i64>,
    pub d_model: i64,
    pub heads: i64,
    pub d_ff: i64,
    pub layers: i64,
    pub vocab: i64,
    pub dropout: f64,
    pub attention_dropout: f64,
    pub precision: String,
}

/// Who measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// synth.
    Synth,
    /// A peer, whose lines stand as it printed them.
    Peer,
    /// A peer at another time: its lines tell the driver.
    Stored,
}

/// Another's figures of a cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Rival {
    /// Who measured.
    pub source: Source,
    /// The same in words.
    pub label: String,
    /// Kind and shape.
    pub key: Key,
    /// Milliseconds of a step.
    pub step_ms: f64,
    /// The most memory, in GiB.
    pub peak_gib: Option<f64>,
    /// Parameters, frozen tables included.
    pub params: Option<u64>,
    /// The GPU's name, or `cpu`.
    pub device: Option<String>,
    /// The version of NVIDIA's driver.
    pub driver: Option<String>,
    /// The version of torch.
    pub torch: Option<String>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A cell that was measured.
    Cell(Box<Rival>),
    /// A cell that was not.
    WithoutFigures {
        /// What it was.
        what: String,
        /// Why there are none.
        reason: String,
    },
}

/// The fields of a row, of whichever program; each may be absent.
#[derive(Debug, Deserialize)]
struct Fields {
    peer: Option<String>,
    form: Option<String>,
    synth: Option<String>,
    commit: Option<String>,
    run: Option<String>,
    set: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    task: Option<Measured>,
    model: Option<String>,
    attention: Option<String>,
    seq_len: Option<i64>,
    cache: Option<i64>,
    batch: Option<i64>,
    new: Option<i64>,
    d_model: Option<i64>,
    heads: Option<i64>,
    d_ff: Option<i64>,
    layers: Option<i64>,
    vocab: Option<i64>,
    dropout: Option<f64>,
    attention_dropout: Option<f64>,
    precision: Option<String>,
    step_ms: Option<f64>,
    peak_gib: Option<f64>,
    params: Option<u64>,
    device: Option<String>,
    driver: Option<String>,
    torch: Option<String>,
    libtorch: Option<String>,
}

/// Reads a saved benchmark (an object with `cells`, or a list of its rows), or JSON lines.
///
/// # Errors
/// Refuses a file that is absent or no regular one; else names the file and the row that is no measurement.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let name = path.display();
    match std::fs::metadata(path) {
        Ok(data) if data.is_file() && data.len() > LARGEST => bail!("{name} is larger than 64 MiB: no measurements"),
        Ok(data) if data.is_file() => {}
        Ok(_) => refuse!("{name}: it is no regular file; expected a saved benchmark or JSON lines of a peer"),
        Err(error) => refuse!("{name}: {error}; expected a saved benchmark or JSON lines of a peer"),
    }
    let text = regular::read_text(path).with_context(|| format!("cannot read {name}"))?;
    let rows = rows(&text).with_context(|| format!("{name} holds no measurements"))?;
    if rows.is_empty() {
        bail!("{name} holds no measurements");
    }
    rows.into_iter().map(|(place, row)| line(row).with_context(|| format!("{name}, {place}"))).collect()
}

/// The rows of a text, each with its place.
fn rows(text: &str) -> Result<Vec<(String, Value)>> {
    let numbered = |rows: Vec<Value>| rows.into_iter().enumerate().map(|(i, row)| (format!("row {}", i + 1), row));
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Array(rows)) => Ok(numbered(rows).collect()),
        Ok(Value::Object(mut bench)) => match bench.remove("cells") {
            Some(Value::Array(rows)) => Ok(numbered(rows).collect()),
            _ => Ok(numbered(vec![Value::Object(bench)]).collect()),
        },
        _ => {
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            let read = |(i, line)| {
                let row = serde_json::from_str(line).with_context(|| format!("line {}", i + 1))?;
                Ok((format!("line {}", i + 1), row))
            };
            lines.map(read).collect()
        }
    }
}

fn line(row: Value) -> Result<Line> {
    let fields: Fields = serde_json::from_value(row).context("expected a row of a saved benchmark or of a peer")?;
    let reason = match (&fields.error, fields.status.as_deref()) {
        (Some(error), _) => Some(error.clone()),
        (None, None | Some("done")) => None,
        (None, Some(status)) => Some(fields.reason.as_ref().map_or(status.into(), |why| format!("{status}: {why}"))),
    };
    match reason {
        Some(reason) => Ok(Line::WithoutFigures { what: fields.describe(), reason }),
        None => fields.rival().map(|rival| Line::Cell(Box::new(rival))),
    }
}

impl Fields {
    /// The cell in words, as far as the row tells.
    fn describe(&self) -> String {
        let length = self.seq_len.or(self.cache);
        let shape = self.batch.zip(length).map(|(batch, length)| format!("{batch}x{length}"));
        [Some(self.label()), self.attention.clone(), shape].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Who measured, in words.
    fn label(&self) -> String {
        let synth = self.synth.as_ref().map(|version| format!("synth {version}"));
        let commit = self.commit.as_ref().map(|commit| commit.chars().take(9).collect());
        let run = self.run.clone().filter(|run| run != "captured");
        let words = [self.peer.clone(), self.form.clone(), synth, commit, run, self.set.clone()];
        words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    fn rival(self) -> Result<Rival> {
        let label = self.label();
        let source = match (&self.synth, &self.driver) {
            (Some(_), _) => Source::Synth,
            (None, Some(_)) => Source::Stored,
            (None, None) => Source::Peer,
        };
        let attention = needed(self.attention, "attention")?;
        let key = Key {
            task: self.task.unwrap_or(Measured::Train),
            model: self.model.unwrap_or_else(|| "decoder".into()),
            attention: attention.parse::<Kind>().map_or(attention, |kind| kind.to_string()),
            seq_len: needed(self.seq_len.or(self.cache), "seq_len")?,
            batch: needed(self.batch, "batch")?,
            new: self.new,
            d_model: needed(self.d_model, "d_model")?,
            heads: needed(self.heads, "heads")?,
            d_ff: needed(self.d_ff, "d_ff")?,
            layers: needed(self.layers, "layers")?,
            vocab: needed(self.vocab, "vocab")?,
            dropout: self.dropout.unwrap_or(0.0),
            attention_dropout: self.attention_dropout.unwrap_or(0.0),
            precision: needed(self.precision, "precision")?,
        };
        let step_ms = needed(self.step_ms, "step_ms")?;
        if !(step_ms.is_finite() && step_ms > 0.0) {
            bail!("step_ms is {step_ms}, expected a time above 0");
        }
        let torch = self.torch.or(self.libtorch);
        let (peak_gib, params, device, driver) = (self.peak_gib, self.params, self.device, self.driver);
        Ok(Rival { source, label, key, step_ms, peak_gib, params, device, driver, torch })
    }
}

fn needed<T>(field: Option<T>, name: &str) -> Result<T> {
    field.with_context(|| format!("no {name}; expected a row of a saved benchmark or of a peer"))
}

impl Key {
    /// The key of a cell's shape.
    pub fn of(shape: &Shape) -> Self {
        Self {
            task: shape.task,
            model: shape.model.clone(),
            attention: shape.attention.clone(),
            seq_len: shape.seq_len,
            batch: shape.batch,
            new: shape.new,
            d_model: shape.d_model,
            heads: shape.heads,
            d_ff: shape.d_ff,
            layers: shape.layers,
            vocab: shape.vocab,
            dropout: shape.dropout,
            attention_dropout: shape.attention_dropout,
            precision: shape.precision.clone(),
        }
    }
}
