//! How far a cell has come, as the newest row of its `metrics.csv` tells while it is trained.

use crate::runs::metrics;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// No two rows are longer.
const TAIL: u64 = 8192;

/// The newest train row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Updates done.
    pub step: u64,
    /// Nats per token.
    pub loss: Option<f64>,
    /// Throughput.
    pub tokens_per_second: Option<f64>,
    /// Milliseconds of an update.
    pub step_ms: Option<f64>,
    /// Peak memory in MiB.
    pub peak_mib: Option<f64>,
}

impl Progress {
    /// What the run in `folder` has written so far.
    pub fn of(folder: &Path) -> Option<Self> {
        let mut file = File::open(folder.join("metrics.csv")).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes).ok()?;
        newest(&String::from_utf8_lossy(&bytes))
    }

    /// Seconds to go until step `steps`, at the rate of the newest updates; evaluations are not counted.
    pub fn seconds_left(&self, steps: u64) -> Option<f64> {
        self.step_ms.map(|ms| steps.saturating_sub(self.step) as f64 * ms / 1000.0)
    }
}

/// The newest whole train row of a table's end.
fn newest(text: &str) -> Option<Progress> {
    let whole = &text[..text.rfind('\n')?];
    let columns = |line: &str| line.split(',').map(str::to_owned).collect::<Vec<_>>();
    let place = |name: &str| metrics::COLUMNS.iter().position(|column| *column == name);
    let train = place("split")?;
    let row = whole.lines().rev().map(columns).find(|row| row.get(train).is_some_and(|split| split == "train"))?;
    let number = |name: &str| place(name).and_then(|place| row.get(place)?.parse::<f64>().ok());
    Some(Progress {
        step: row.first()?.parse().ok()?,
        loss: number("loss"),
        tokens_per_second: number("tokens_per_second"),
        step_ms: number("step_ms"),
        peak_mib: number("peak_memory_mib"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_train_row_counts() {
        let text = "30,0.5,100,train,2.5,12.2,0.1,1,1000,20,300,1.5,,\n\
                    60,1,200,train,2.25,9.5,0.1,1,2000,10,310,3,,\n\
                    60,1,99,validation,2.4,11,,,,,,3.1,3.4,0.2\n90,1.5,300,tra";
        let progress = newest(text).unwrap();
        assert_eq!((progress.step, progress.loss, progress.peak_mib), (60, Some(2.25), Some(310.0)));
        assert_eq!((progress.seconds_left(160), progress.seconds_left(50)), (Some(1.0), Some(0.0)));
        assert_eq!(newest("step,epoch,tokens,split\n"), None);
        assert_eq!(newest(""), None);
    }
}
