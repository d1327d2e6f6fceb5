//! The bytes of a plain or gzipped file, as a stream that says what is wrong with it.

use anyhow::{Context, Result};
use flate2::bufread::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The first two bytes of every gzip file (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A mark at the start of some UTF-8 files that belongs to no text.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
/// Bytes read at a time.
pub(super) const CHUNK: usize = 1 << 18;

/// Deflate packs up to 1,032-fold. Text packs three- to tenfold, and hardly any beyond this.
const GREATEST_RATIO: u64 = 200;
/// What a gzipped file may expand to whatever its size.
const FREE_EXPANSION: u64 = 64 << 20;

/// How a file is read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// What its bytes stand for.
    pub encoding: Encoding,
    /// Bytes of the longest line, row or element: no larger one is kept in memory.
    pub longest: usize,
    /// Counts the bytes taken from the disk, for a progress bar.
    pub progress: Arc<AtomicU64>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        let longest = crate::data::record::LONGEST_RECORD;
        Self { encoding: Encoding::Utf8, longest, progress: Arc::default() }
    }
}

/// How characters are stored. It is never guessed: any file is valid latin-1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// ISO 8859-1: a byte is the character of that number.
    Latin1,
}

impl Encoding {
    /// Appends what `bytes` stand for, or answers the offset of the first byte that begins no character.
    pub(super) fn decode(self, bytes: &[u8], text: &mut String) -> Result<(), usize> {
        match self {
            Self::Utf8 => text.push_str(std::str::from_utf8(bytes).map_err(|error| error.valid_up_to())?),
            Self::Latin1 => text.extend(bytes.iter().map(|&byte| char::from(byte))),
        }
        Ok(())
    }
}

/// A stream of a file's unpacked bytes.
pub type Bytes = Box<dyn Read + Send>;

/// Opens a file, unpacking it where it begins like gzip, without a byte order mark at its start. What is wrong with gzip
/// data comes out as an error of the reader that says so in words.
pub(in crate::data) fn open(path: &Path, progress: &Arc<AtomicU64>) -> Result<Bytes> {
    let cannot = || format!("cannot read {}", path.display());
    unpacked(File::open(path).with_context(cannot)?, progress).with_context(cannot)
}

/// The same of any source.
pub(super) fn unpacked(source: impl Read + Send + 'static, progress: &Arc<AtomicU64>) -> io::Result<Bytes> {
    let taken = Arc::new(AtomicU64::new(0));
    let mut source = Counted { source: Box::new(source), ended: false, taken: taken.clone(), all: progress.clone() };
    // A pipe may hand over less at first than the two bytes that tell.
    let mut start = Vec::new();
    (&mut source).take(GZIP_MAGIC.len() as u64).read_to_end(&mut start)?;
    let gzipped = start == GZIP_MAGIC;
    let reader = BufReader::with_capacity(CHUNK, Cursor::new(start).chain(source));
    without_mark(match gzipped {
        true => Box::new(Unpacked { decoder: MultiGzDecoder::new(reader), taken, given: 0 }),
        false => Box::new(reader),
    })
}

fn without_mark(mut bytes: Bytes) -> io::Result<Bytes> {
    let mut start = Vec::new();
    (&mut bytes).take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start)?;
    if start == BYTE_ORDER_MARK {
        start.clear();
    }
    Ok(Box::new(Cursor::new(start).chain(bytes)))
}

/// A source that counts what is read from it, and stays at its end: a terminal could go on.
struct Counted {
    source: Bytes,
    ended: bool,
    taken: Arc<AtomicU64>,
    all: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let count = self.source.read(buffer)?;
        self.ended = count == 0 && !buffer.is_empty();
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        self.all.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Gzip data unpacked, up to a multiple of its size.
struct Unpacked {
    decoder: MultiGzDecoder<BufReader<Chain<Cursor<Vec<u8>>, Counted>>>,
    taken: Arc<AtomicU64>,
    given: u64,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer).map_err(in_words)?;
        self.given += count as u64;
        let limit = FREE_EXPANSION.max(GREATEST_RATIO.saturating_mul(self.taken.load(Ordering::Relaxed)));
        if self.given > limit {
            return Err(io::Error::other(format!(
                "its gzip data expands to more than {GREATEST_RATIO} times its size, which text does not; unpack it and \
                 name the plain file if that is meant"
            )));
        }
        Ok(count)
    }
}

/// Says in a sentence what the decoder found.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::other("its gzip data ends early (truncated); copy or download it again"),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            io::Error::other(format!("its gzip data is corrupt ({error}); copy or download it again"))
        }
        _ => error,
    }
}

/// A reader that gives so many bytes until it is allowed more: the parsers on top keep a row whole in memory.
pub(super) struct Capped {
    bytes: Bytes,
    /// What may still be read.
    left: usize,
    /// The longest row.
    longest: usize,
    /// What the parser reads ahead of the row it is at.
    ahead: usize,
}

impl Capped {
    pub fn new(bytes: Bytes, longest: usize, ahead: usize) -> Self {
        let mut capped = Self { bytes, left: 0, longest, ahead };
        capped.allow();
        capped
    }

    /// Allows another row.
    pub fn allow(&mut self) {
        self.left = self.longest.saturating_add(self.ahead);
    }
}

impl Read for Capped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.left);
        if wanted == 0 && !buffer.is_empty() {
            return Err(io::Error::other(format!("it goes on for more than {} bytes", self.longest)));
        }
        let count = self.bytes.read(&mut buffer[..wanted])?;
        self.left -= count;
        Ok(count)
    }
}
