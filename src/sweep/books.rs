//! What a sweep writes down of its cells: the ledger, the index, and in memory what a full disk does not take.

use crate::runs::ledger::{self, CellRecord};
use crate::runs::{Status, ending, index};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The endings of cells, by the number that a cell has in the sweep.
#[derive(Debug)]
pub struct Books {
    folder: PathBuf,
    endings: BTreeMap<usize, CellRecord>,
}

impl Books {
    /// Those of the sweep in `folder`, which is made where it is absent.
    ///
    /// # Errors
    /// A place that cannot be written.
    pub fn open(folder: &Path) -> Result<Self> {
        ledger::begin(folder)?;
        Ok(Self { folder: folder.to_owned(), endings: BTreeMap::new() })
    }

    /// A process of the cell is under way.
    pub fn begin(&self, record: &CellRecord) {
        let reason = Some(ledger::UNDER_WAY.to_owned());
        self.append(&CellRecord { status: Status::Stopped, reason, ..record.clone() });
    }

    /// A process of the cell has ended; `told` where it wrote so itself.
    pub fn end(&self, record: &CellRecord, told: bool) {
        self.append(record);
        let folder = self.folder.join(&record.run);
        if !told && matches!(record.status, Status::Failed | Status::OutOfMemory) {
            said(ending::write_for(&folder, record));
        }
        self.index();
    }

    /// The cell is not run here any more.
    pub fn close(&mut self, index: usize, record: CellRecord) {
        self.endings.insert(index, record);
    }

    /// How a cell ended that no process of ours ran; it is written down unless that was before.
    pub fn note(&mut self, index: usize, record: CellRecord) {
        let known = ledger::newest(&self.folder).is_ok_and(|cells| cells.get(&record.run) == Some(&record));
        if !known {
            self.append(&record);
        }
        self.close(index, record);
    }

    /// The newest record of a run, of this or another process.
    pub fn newest(&self, run: &str) -> Option<CellRecord> {
        ledger::newest(&self.folder).ok()?.remove(run)
    }

    /// What was closed.
    pub fn endings(&self) -> &BTreeMap<usize, CellRecord> {
        &self.endings
    }

    /// Writes `runs.csv` and `runs.json` anew.
    pub fn index(&self) {
        said(index::rebuild(&self.folder));
    }

    fn append(&self, record: &CellRecord) {
        said(ledger::append(&self.folder, record));
    }
}

/// What cannot be written must not end the cells that can.
fn said(written: Result<()>) {
    if let Err(error) = written {
        tracing::warn!("{error:#}");
    }
}
