//! Cutting a text into tokens: pieces go to threads, and come back in order.

use super::file::{self, HEADER, Key};
use super::measure::{Meter, Rows};
use super::storage::{Filled, IN_MEMORY, Sink, Storage};
use super::{Tokens, Width, write};
use crate::data::text::{Flow, Piece, Text};
use crate::data::tokenizer::{Encoded, Tokenizer};
use crate::terminal::LateBar;
use anyhow::{Result, anyhow};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};
use tempfile::NamedTempFile;

/// Threads at most.
const THREADS: usize = 8;

/// Pieces that a thread has before it.
const WAITING: usize = 2;

/// What is to be cut, and how.
pub struct Job<'a> {
    /// The text.
    pub text: &'a Text,
    /// What cuts it.
    pub tokenizer: &'a Tokenizer,
    /// SHA-256 of its `tokenizer.json`, in hexadecimal.
    pub tokenizer_sha256: &'a str,
    /// How the text becomes a stream.
    pub flow: Flow,
    /// The token that ends a record, with [`Flow::Records`]: the stream begins with one, too.
    pub end: Option<u32>,
    /// The rows that are measured, where they are.
    pub measured: Option<Rows>,
    /// The folder of token files.
    pub folder: &'a Path,
}

/// The tokens of a text: from its file where there is one, else cut anew. A small text stays in memory, of a large one a
/// file is kept, under a name that follows from text, tokenizer and the rest of the job; where `folder` cannot be written
/// to, a file for this process alone.
///
/// # Errors
/// A text that cannot be read or changed meanwhile; a disk that is full.
pub fn prepare(job: &Job<'_>) -> Result<Tokens> {
    let threads = thread::available_parallelism().map_or(1, |count| count.get().min(THREADS));
    prepare_with(job, threads, IN_MEMORY)
}

/// [`prepare`] with so many threads; more bytes than `in_memory` go to a file.
pub(super) fn prepare_with(job: &Job<'_>, threads: usize, in_memory: usize) -> Result<Tokens> {
    let vocabulary = job.tokenizer.vocab_size() as u32;
    let key = job.key();
    let path = file::path(job.folder, &key);
    if path.exists() {
        match file::open(&path, &key, vocabulary) {
            Ok(tokens) => return Ok(tokens),
            Err(error) => tracing::warn!("{} is damaged ({error:#}): it is made anew", path.display()),
        }
    }
    let width = Width::of(vocabulary);
    let mut writer = Writer {
        sink: Sink::new(job.folder, HEADER, in_memory),
        width,
        count: 0,
        meter: job.measured.map(Meter::new),
        bytes: Vec::new(),
    };
    if let Some(end) = job.end {
        writer.take(&Piece::default(), &Encoded { ids: vec![end], bytes: vec![1] })?;
    }
    job.encode(threads, &mut writer)?;
    let Writer { sink, count, meter, .. } = writer;
    let measures = meter.map(Meter::finish).unwrap_or_default();
    match sink.finish()? {
        Filled::Memory(bytes) => Ok(Tokens { storage: Storage::Memory(bytes), width, count, vocabulary, measures }),
        Filled::File(unfinished, Some(name)) => {
            let unfinished = NamedTempFile::from_parts(unfinished, name);
            file::finish(unfinished, &path, &key, (width, count), &measures)?;
            file::open(&path, &key, vocabulary)
        }
        Filled::File(file, None) => {
            let storage = Storage::File { file, path: "a temporary file".into(), offset: HEADER as u64 };
            Ok(Tokens { storage, width, count, vocabulary, measures })
        }
    }
}

impl Job<'_> {
    fn key(&self) -> Key {
        let mut hash = Sha256::new();
        hash.update(format!("{} {:?} {:?}\n", self.text.sha256, self.text.form, self.flow));
        hash.update(format!("{} {:?} {:?}\n", self.tokenizer_sha256, self.end, self.measured));
        hash.finalize().into()
    }

    /// Gives the tokens of all pieces to `writer`, in order.
    fn encode(&self, threads: usize, writer: &mut Writer) -> Result<()> {
        let progress = Arc::new(AtomicU64::new(0));
        let mut pieces = self.text.pieces(self.flow, &progress)?;
        let mut bar = LateBar::bytes("tokenizing", self.text.bytes_on_disk());
        thread::scope(|scope| {
            let workers: Vec<Worker> = (0..threads).map(|_| Worker::start(scope, self.tokenizer, self.end)).collect();
            let (mut sent, mut taken) = (0, 0);
            loop {
                let piece = if sent - taken < threads * WAITING { pieces.next().transpose()? } else { None };
                match piece {
                    Some(piece) => {
                        workers[sent % threads].send(piece)?;
                        sent += 1;
                    }
                    None if taken < sent => {
                        let (piece, tokens) = workers[taken % threads].receive()?;
                        writer.take(&piece, &tokens)?;
                        taken += 1;
                        bar.set(progress.load(Ordering::Relaxed));
                    }
                    None => return Ok(()),
                }
            }
        })
    }
}

/// A thread that cuts pieces.
struct Worker {
    pieces: SyncSender<Piece>,
    results: Receiver<(Piece, Encoded)>,
}

impl Worker {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, tokenizer: &'scope Tokenizer, end: Option<u32>) -> Self {
        let (pieces, waiting) = sync_channel::<Piece>(WAITING);
        let (done, results) = sync_channel(WAITING);
        scope.spawn(move || {
            let mut encoder = tokenizer.encoder();
            for piece in waiting {
                let mut tokens = Encoded::default();
                let mut begin = 0;
                for &stop in &piece.ends {
                    encoder.append(&piece.text[begin..stop], &mut tokens);
                    end.iter().for_each(|&end| tokens.push(end, 1));
                    begin = stop;
                }
                encoder.append(&piece.text[begin..], &mut tokens);
                if done.send((piece, tokens)).is_err() {
                    return;
                }
            }
        });
        Self { pieces, results }
    }

    fn send(&self, piece: Piece) -> Result<()> {
        self.pieces.send(piece).map_err(|_| anyhow!("{GONE}"))
    }

    fn receive(&self) -> Result<(Piece, Encoded)> {
        self.results.recv().map_err(|_| anyhow!("{GONE}"))
    }
}

/// Said where a thread panicked; the panic tells the rest.
const GONE: &str = "a thread that cuts text into tokens has ended";

/// Writes tokens, and measures them.
struct Writer {
    sink: Sink,
    width: Width,
    count: u64,
    meter: Option<Meter>,
    bytes: Vec<u8>,
}

impl Writer {
    fn take(&mut self, piece: &Piece, tokens: &Encoded) -> Result<()> {
        if let Some(meter) = &mut self.meter {
            meter.add(&piece.text, &piece.ends, tokens);
        }
        self.count += tokens.ids.len() as u64;
        self.bytes.clear();
        write(&tokens.ids, self.width, &mut self.bytes);
        self.sink.write(&self.bytes)
    }
}
