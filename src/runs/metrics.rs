//! The rows of `metrics.csv`: what a row holds, how it stands in CSV and JSON, and reading it back.

use super::cells::{decimals, measured, number, significant};
use super::split::Split;
use anyhow::{Context, Result, anyhow, bail};
use csv::StringRecord;
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// The columns that every `metrics.csv` begins with; those of the task follow.
pub const COLUMNS: [&str; 12] = [
    "step",
    "epoch",
    "tokens",
    "split",
    "loss",
    "perplexity",
    "lr",
    "grad_norm",
    "tokens_per_second",
    "step_ms",
    "peak_memory_mib",
    "elapsed_s",
];

/// One row of measurements; `None` is what was not measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Updates done.
    pub step: u64,
    /// Passes over the train split, written with 6 decimals.
    pub epoch: f64,
    /// Tokens trained on so far, or tokens of the evaluated split.
    pub tokens: u64,
    /// What the row is about.
    pub split: Split,
    /// Negative log-likelihood in nats per token.
    pub loss: Option<f64>,
    /// exp(loss).
    pub perplexity: Option<f64>,
    /// The learning rate of the last update.
    pub lr: Option<f64>,
    /// The global L2 norm of the gradient before clipping.
    pub grad_norm: Option<f64>,
    /// Throughput, written with 5 significant digits.
    pub tokens_per_second: Option<f64>,
    /// Milliseconds per update, written with 5 significant digits.
    pub step_ms: Option<f64>,
    /// Peak memory of the device in MiB (on the CPU the process's), written with one decimal.
    pub peak_memory_mib: Option<f64>,
    /// Seconds since the run began, written with 3 decimals.
    pub elapsed_s: Option<f64>,
    /// The task's metrics by name; names hold no comma and no quote.
    pub extra: Vec<(String, Option<f64>)>,
}

impl Row {
    /// A row in which nothing is measured yet.
    pub fn new(step: u64, epoch: f64, tokens: u64, split: Split) -> Self {
        Self::from_values(step, epoch, tokens, split, [None; 8])
    }

    fn from_values(step: u64, epoch: f64, tokens: u64, split: Split, values: [Option<f64>; 8]) -> Self {
        let [loss, perplexity, lr, grad_norm, tokens_per_second, step_ms, peak_memory_mib, elapsed_s] = values;
        Self {
            step,
            epoch,
            tokens,
            split,
            loss,
            perplexity,
            lr,
            grad_norm,
            tokens_per_second,
            step_ms,
            peak_memory_mib,
            elapsed_s,
            extra: Vec::new(),
        }
    }

    /// The value of a column from `loss` on or of a metric of the task, as `train.best.metric` names it.
    pub fn value(&self, column: &str) -> Option<f64> {
        match COLUMNS[4..].iter().position(|name| *name == column) {
            Some(index) => self.values()[index],
            None => self.extra.iter().find(|(name, _)| name == column).and_then(|(_, value)| *value),
        }
    }

    /// The columns from `loss` on, rounded where more digits would be noise.
    fn values(&self) -> [Option<f64>; 8] {
        [
            self.loss,
            self.perplexity,
            self.lr,
            self.grad_norm,
            self.tokens_per_second.map(|rate| significant(rate, 5)),
            self.step_ms.map(|time| significant(time, 5)),
            self.peak_memory_mib.map(|size| decimals(size, 1)),
            self.elapsed_s.map(|time| decimals(time, 3)),
        ]
    }

    /// The cells of `metrics.csv`; `extra_columns` are the task's.
    pub(super) fn cells(&self, extra_columns: &[String]) -> Vec<String> {
        let mut cells = vec![self.step.to_string(), number(decimals(self.epoch, 6)), self.tokens.to_string()];
        cells.push(self.split.name().into());
        cells.extend(self.values().map(measured));
        cells.extend(extra_columns.iter().map(|column| measured(self.value(column))));
        cells
    }

    /// The object of `metrics.jsonl`: `event`, then the columns. What is not measured or not finite is null.
    pub(super) fn json(&self, extra_columns: &[String]) -> Map<String, Value> {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.into(), value);
        put("event", self.split.name().into());
        put("step", self.step.into());
        put("epoch", decimals(self.epoch, 6).into());
        put("tokens", self.tokens.into());
        put("split", self.split.name().into());
        for (column, value) in COLUMNS[4..].iter().zip(self.values()) {
            put(column, value.into());
        }
        for column in extra_columns {
            put(column, self.value(column).into());
        }
        object
    }
}

/// The rows of a `metrics.csv`, in its order. A last line without its end, as a running or killed
/// process leaves it, is passed over; any other line that is no row is an error that names it.
pub fn read(path: &Path) -> Result<Vec<Row>> {
    let bytes = fs::read(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    let mut reader = csv::Reader::from_reader(complete_lines(&text).as_bytes());
    let header = reader.headers().map_err(|error| anyhow!("{}: {error}", path.display()))?.clone();
    if !header.iter().take(COLUMNS.len()).eq(COLUMNS) {
        bail!("{} is no metrics.csv of synth: expected columns that begin with {}", path.display(), COLUMNS.join(","));
    }
    let mut rows = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let row = record.map_err(anyhow::Error::from).and_then(|record| parse(&header, &record));
        rows.push(row.map_err(|error| anyhow!("{}, line {}: {error:#}", path.display(), index + 2))?);
    }
    Ok(rows)
}

/// `text` up to its last newline, which is what was written whole.
pub(super) fn complete_lines(text: &str) -> &str {
    &text[..text.rfind('\n').map_or(0, |end| end + 1)]
}

fn parse(header: &StringRecord, record: &StringRecord) -> Result<Row> {
    let cell = |index: usize| record.get(index).unwrap_or_default();
    let split = Split::from_name(cell(3))
        .with_context(|| format!("split is {:?}, expected train, validation or test", cell(3)))?;
    let mut values = [None; 8];
    for (index, value) in values.iter_mut().enumerate() {
        *value = optional(COLUMNS[4 + index], cell(4 + index))?;
    }
    let (step, tokens) = (required("step", cell(0))?, required("tokens", cell(2))?);
    let mut row = Row::from_values(step, required("epoch", cell(1))?, tokens, split, values);
    for (name, text) in header.iter().zip(record).skip(COLUMNS.len()) {
        row.extra.push((name.into(), optional(name, text)?));
    }
    Ok(row)
}

fn required<T: std::str::FromStr>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| anyhow!("{column} is {text:?}, expected a number"))
}

fn optional(column: &str, text: &str) -> Result<Option<f64>> {
    if text.is_empty() { Ok(None) } else { required(column, text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            loss: Some(f64::NAN),
            perplexity: Some(f64::INFINITY),
            lr: Some(0.1 + 0.2),
            tokens_per_second: Some(123456.7),
            elapsed_s: Some(1.23456),
            extra: vec![("bits_per_byte".into(), Some(2.5))],
            ..Row::new(7, 1.0 / 3.0, 900, Split::Validation)
        }
    }

    #[test]
    fn a_row_in_csv_and_json() {
        let extra = ["bits_per_byte".to_owned(), "word_perplexity".to_owned()];
        let cells = row().cells(&extra).join(",");
        assert_eq!(cells, "7,0.333333,900,validation,nan,inf,0.30000000000000004,,123460,,,1.235,2.5,");
        let json = serde_json::to_string(&row().json(&extra)).unwrap();
        assert!(
            json.starts_with(r#"{"event":"validation","step":7,"epoch":0.333333,"tokens":900,"split":"validation","#)
        );
        assert!(json.contains(r#""loss":null,"perplexity":null,"lr":0.30000000000000004,"grad_norm":null,"#), "{json}");
        assert!(json.ends_with(r#""elapsed_s":1.235,"bits_per_byte":2.5,"word_perplexity":null}"#), "{json}");
    }

    #[test]
    fn values_go_by_name() {
        assert_eq!(row().value("bits_per_byte"), Some(2.5));
        assert_eq!(row().value("lr"), Some(0.1 + 0.2));
        assert_eq!(row().value("grad_norm").or(row().value("bleu")), None);
    }

    #[test]
    fn reading_back_passes_over_a_torn_end_and_names_a_bad_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let header = format!("{},bleu\n", COLUMNS.join(","));
        let good = "7,0.5,900,test,nan,inf,3e-7,,5,,,1,2\n";
        fs::write(file.path(), format!("{header}{good}8,0.5,90")).unwrap();
        let rows = read(file.path()).unwrap();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].loss.unwrap().is_nan() && rows[0].perplexity == Some(f64::INFINITY));
        assert_eq!((rows[0].lr, rows[0].grad_norm, rows[0].value("bleu")), (Some(3e-7), None, Some(2.0)));

        fs::write(file.path(), format!("{header}{good}{}", good.replace("test", "dev"))).unwrap();
        let message = read(file.path()).unwrap_err().to_string();
        assert!(message.contains("line 3: split is \"dev\""), "{message}");
        fs::write(file.path(), "a,b\n1,2\n").unwrap();
        assert!(read(file.path()).unwrap_err().to_string().contains("no metrics.csv"));
    }
}
