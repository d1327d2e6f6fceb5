//! `batches.jsonl`: what a run read, micro-batch by micro-batch.

use serde_json::Value;

use crate::folder::RunFolder;
use crate::measure::Block;

/// A micro-batch.
#[derive(Debug, PartialEq)]
pub struct MicroBatch {
    /// The update that it belongs to, from 1.
    pub step: usize,
    /// Its place among those of the update, from 0.
    pub number: usize,
    /// Its columns, of pairs those of targets.
    pub length: usize,
    /// The columns of sources, of pairs.
    pub source_length: Option<usize>,
    /// Its rows.
    pub rows: Vec<LoggedRow>,
}

/// A row of a micro-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoggedRow {
    /// Its number in the split.
    pub number: usize,
    /// The place of the first token that it reads in the split's stream, of a pair in that of the sources.
    pub offset: usize,
    /// Its targets.
    pub targets: usize,
}

impl LoggedRow {
    /// What the row reads and predicts.
    pub fn block(self, stream: &[usize]) -> Block<'_> {
        let [inputs, targets] = [0, 1].map(|ahead| &stream[self.offset + ahead..][..self.targets]);
        Block { source: None, inputs, targets, masks: None }
    }
}

/// The micro-batches of a run, in order.
pub fn micro_batches(run: &RunFolder) -> Vec<MicroBatch> {
    run.text("batches.jsonl").lines().map(parsed).collect()
}

fn parsed(line: &str) -> MicroBatch {
    let json: Value = serde_json::from_str(line).expect("a JSON object per line");
    let count = |value: &Value| usize::try_from(value.as_u64().expect("a whole number")).expect("a small one");
    let row = |row: &Value| {
        let [number, offset, targets] = [0, 1, 2].map(|index| count(&row[index]));
        assert_eq!(row.as_array().map(Vec::len), Some(3), "three numbers of a row");
        LoggedRow { number, offset, targets }
    };
    MicroBatch {
        step: count(&json["step"]),
        number: count(&json["micro_batch"]),
        length: count(&json["length"]),
        source_length: json.get("source_length").map(count),
        rows: json["rows"].as_array().expect("a list of rows").iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_predicts_the_tokens_after_those_it_reads() {
        let line = r#"{"step":1,"micro_batch":2,"length":4,"rows":[[1,4,3]]}"#;
        let rows = vec![LoggedRow { number: 1, offset: 4, targets: 3 }];
        assert_eq!(parsed(line), MicroBatch { step: 1, number: 2, length: 4, source_length: None, rows });
        let block = parsed(line).rows[0].block(&[9, 8, 7, 6, 5, 4, 3, 2]);
        assert_eq!((block.inputs, block.targets), (&[5, 4, 3][..], &[4, 3, 2][..]));
    }
}
