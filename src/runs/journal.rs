//! All that a training writes down as it goes: measurements, and where it was asked for its batches and what TensorBoard
//! shows.

use super::batch_log::BatchLog;
use super::folder::RunFolder;
use super::metrics::Row;
use super::metrics_writer::MetricsWriter;
use super::sample::Sample;
use super::tensorboard::TensorBoard;
use anyhow::Result;
use serde_json::{Map, Value};

/// What is written, beside the measurements.
#[derive(Debug, Clone, Copy)]
pub struct JournalOptions<'a> {
    /// The task's columns.
    pub columns: &'a [&'a str],
    /// The rows of every micro-batch.
    pub batches: bool,
    /// Events for TensorBoard.
    pub tensorboard: bool,
    /// The text of `config.toml`.
    pub config: &'a str,
}

/// The files of a run that grow as it trains.
#[derive(Debug)]
pub struct Journal {
    metrics: MetricsWriter,
    batches: Option<BatchLog>,
    board: Option<TensorBoard>,
}

impl Journal {
    /// Begins all files anew, or with `cut_after_step` = a checkpoint's step goes on in them: what is past that step is
    /// cut first.
    ///
    /// # Errors
    /// Files that cannot be read or written, or that synth did not write so.
    pub fn open(folder: &RunFolder, options: JournalOptions<'_>, cut_after_step: Option<u64>) -> Result<Self> {
        let metrics = MetricsWriter::open(folder, options.columns, cut_after_step)?;
        let batches = options.batches.then(|| BatchLog::open(folder.batches(), cut_after_step)).transpose()?;
        let board = || -> Result<TensorBoard> {
            let mut board = TensorBoard::open(&folder.tensorboard(), cut_after_step)?;
            board.text("config", cut_after_step.unwrap_or(0), options.config)?;
            Ok(board)
        };
        let board = options.tensorboard.then(board).transpose()?;
        Ok(Self { metrics, batches, board })
    }

    /// Whether batches are written.
    pub fn takes_batches(&self) -> bool {
        self.batches.is_some()
    }

    /// The lines of micro-batches, before the row of their update.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn batches(&mut self, lines: &str) -> Result<()> {
        self.batches.as_mut().map_or(Ok(()), |batches| batches.append(lines))
    }

    /// Takes back the batches of updates past `step`, which changed nothing.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn cut_batches_after(&mut self, step: u64) -> Result<()> {
        self.batches.as_mut().map_or(Ok(()), |batches| batches.cut_after(step))
    }

    /// A row of measurements.
    ///
    /// # Errors
    /// What the file system reports; a metric that is none of the columns.
    pub fn row(&mut self, row: &Row) -> Result<()> {
        if let Some(batches) = &mut self.batches {
            batches.flush()?;
        }
        self.metrics.row(row)?;
        self.board.as_mut().map_or(Ok(()), |board| board.row(row))
    }

    /// What is no row: `start`, `checkpoint`, `end` and the like.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn event(&mut self, name: &str, step: u64, fields: Map<String, Value>) -> Result<()> {
        self.metrics.event(name, step, fields)
    }

    /// What the model said after `step` updates.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn sample(&mut self, step: u64, number: usize, sample: &Sample) -> Result<()> {
        self.metrics.event("sample", step, sample.fields(number))?;
        self.board.as_mut().map_or(Ok(()), |board| board.sample(step, number, sample))
    }

    /// Brings all to the disk. Before a checkpoint counts, so that a resumed run has everything up to it even after a
    /// power failure.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn sync(&mut self) -> Result<()> {
        self.metrics.sync()?;
        self.batches.as_mut().map_or(Ok(()), BatchLog::sync)?;
        self.board.as_ref().map_or(Ok(()), TensorBoard::sync)
    }
}
