//! Word vectors out of `--vectors`, a line at a time: such files are larger than memory may be.

use super::inputs::Inputs;
use crate::cli::ScoreArguments;
use crate::data::source::{Bytes, input_name, open_input};
use crate::metrics::embedding::{Vectors, words};
use crate::refuse;
use crate::terminal::LateBar;
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::io::{BufReader, Read, Result as IoResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The vectors of the words of all inputs.
///
/// # Errors
/// A refusal where no file is named; what is no vector, with its line.
pub fn read(arguments: &ScoreArguments, inputs: &Inputs) -> Result<Vectors> {
    let Some(path) = &arguments.vectors else {
        refuse!("embedding-average needs word vectors; name a file with --vectors")
    };
    let all = [&inputs.hypotheses].into_iter().chain(&inputs.references).chain(&inputs.baseline);
    let texts = all.flat_map(|input| input.lines.iter().flat_map(|line| &line.answers));
    let wanted: HashSet<String> = texts.flat_map(|text| words(text)).collect();
    let progress = Arc::default();
    let bytes = open_input(path, &progress)?;
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let watched = Watched { bytes, progress, bar: LateBar::bytes("vectors", size) };
    Vectors::read(BufReader::with_capacity(1 << 18, watched), &wanted)
        .with_context(|| format!("cannot read {}", input_name(path)))
}

/// Bytes that move a bar as they are read.
struct Watched {
    bytes: Bytes,
    progress: Arc<AtomicU64>,
    bar: LateBar,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let count = self.bytes.read(buffer)?;
        self.bar.set(self.progress.load(Ordering::Relaxed));
        Ok(count)
    }
}
