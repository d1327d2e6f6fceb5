//! Word vectors out of `--vectors`, a line at a time: such files are larger than memory may be.

use super::inputs::Inputs;
use super::lines::{self, name};
use super::progress::Progress;
use crate::cli::ScoreArguments;
use crate::metrics::embedding::{Vectors, words};
use crate::refuse;
use anyhow::{Context, Result};
use std::collections::HashSet;
use std::io::{BufReader, Read, Result as IoResult};

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
    let reader = lines::open(path)?;
    // A gzipped file unpacks to more than its size; the bar then stays full for a while.
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let counted = Counted { reader, read: 0, progress: Progress::new("vectors", size as usize) };
    Vectors::read(BufReader::with_capacity(1 << 18, counted), &wanted)
        .with_context(|| format!("cannot read {}", name(path)))
}

/// Bytes that are counted as they are read.
struct Counted<R> {
    reader: R,
    read: usize,
    progress: Progress,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let count = self.reader.read(buffer)?;
        self.read += count;
        self.progress.set(self.read);
        Ok(count)
    }
}
