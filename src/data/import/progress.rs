//! How far an import is: of every source file the bytes are read twice, to hash it and to take what it holds.

use crate::data::hash::sha256_file_with;
use crate::terminal::Bar;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bar is moved whenever so many more are read.
const STEP: u64 = 1 << 20;

/// A bar over the bytes that are read.
pub(super) struct Progress {
    bar: Bar,
    bytes: Arc<AtomicU64>,
    shown: AtomicU64,
}

impl Progress {
    /// A bar for these files.
    pub fn new<'a>(name: &str, files: impl Iterator<Item = &'a PathBuf>) -> Result<Self> {
        let mut total = 0;
        for file in files {
            total += fs::metadata(file).with_context(|| format!("cannot read {}", file.display()))?.len();
        }
        let bar = Bar::of_bytes(name, 2 * total, 0);
        Ok(Self { bar, bytes: Arc::default(), shown: AtomicU64::new(0) })
    }

    /// What counts the bytes that are read.
    pub fn bytes(&self) -> Arc<AtomicU64> {
        self.bytes.clone()
    }

    /// Moves the bar, if enough was read since it was moved.
    pub fn show(&self) {
        let done = self.bytes.load(Ordering::Relaxed);
        if self.shown.swap(done / STEP, Ordering::Relaxed) != done / STEP {
            self.bar.set(done);
        }
    }

    /// The SHA-256 of a file.
    pub fn hash(&self, file: &Path) -> Result<String> {
        sha256_file_with(file, |bytes| {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.show();
        })
    }
}
