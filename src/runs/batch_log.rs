//! `batches.jsonl`: which rows stood in which micro-batch.

use anyhow::{Result, anyhow, bail};
use serde::Deserialize;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Writes a line for each micro-batch, in order.
#[derive(Debug)]
pub struct BatchLog {
    path: PathBuf,
    file: BufWriter<File>,
}

/// The line of a micro-batch: of update `step`, from 1 on, its number, from 0 on, its columns, and of pairs also those of the
/// sources. Of each row there is its number, the place of its first input token in the split's stream (of pairs, of its
/// source's first token in that of the sources), and its number of targets.
pub fn line((step, number): (u64, u64), (length, source): (u64, Option<u64>), rows: &[[u64; 3]]) -> String {
    let rows: Vec<String> = rows.iter().map(|[row, offset, targets]| format!("[{row},{offset},{targets}]")).collect();
    let (rows, source) = (rows.join(","), source.map(|length| format!("\"source_length\":{length},")));
    let source = source.unwrap_or_default();
    format!("{{\"step\":{step},\"micro_batch\":{number},\"length\":{length},{source}\"rows\":[{rows}]}}\n")
}

/// What of a line tells whether it stays.
#[derive(Deserialize)]
struct Line {
    step: u64,
}

impl BatchLog {
    /// Begins the file anew, or goes on in it behind the lines of updates up to `cut_after_step`.
    ///
    /// # Errors
    /// A file that cannot be read or written, or that holds what synth did not write.
    pub fn open(path: PathBuf, cut_after_step: Option<u64>) -> Result<Self> {
        let kept = match cut_after_step {
            Some(step) => {
                let Kept { bytes, newest } = kept(&path, step)?;
                if newest != step {
                    bail!(
                        "{} ends at update {newest}, the checkpoint is of {step}: lines are missing; restore it, or start \
                         anew with --overwrite or --run NAME",
                        path.display()
                    );
                }
                bytes
            }
            None => 0,
        };
        let open = || -> std::io::Result<File> {
            let file = OpenOptions::new().append(true).create(true).open(&path)?;
            file.set_len(kept)?;
            Ok(file)
        };
        let file = open().map_err(|error| cannot("write", &path, &error))?;
        Ok(Self { file: BufWriter::new(file), path })
    }

    /// Appends whole lines.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn append(&mut self, lines: &str) -> Result<()> {
        self.file.write_all(lines.as_bytes()).map_err(|error| cannot("write", &self.path, &error))
    }

    /// Hands all lines to the system.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|error| cannot("write", &self.path, &error))
    }

    /// Brings all lines to the disk.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        self.file.get_ref().sync_data().map_err(|error| cannot("write", &self.path, &error))
    }

    /// Takes back the lines of updates past `step`, which changed nothing.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn cut_after(&mut self, step: u64) -> Result<()> {
        self.flush()?;
        let kept = kept(&self.path, step)?.bytes;
        self.file.get_ref().set_len(kept).map_err(|error| cannot("write", &self.path, &error))
    }
}

/// The lines of updates up to some step.
#[derive(Default)]
struct Kept {
    bytes: u64,
    /// The newest of these updates; 0 for none.
    newest: u64,
}

/// The lines of updates up to `step`. They stand in order: what follows the first later one goes, and
/// so does a last line that a kill left torn.
fn kept(path: &Path, step: u64) -> Result<Kept> {
    let file = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::default()),
        // Before opening: that would wait for the writer of a FIFO.
        Ok(found) if !found.is_file() => bail!("cannot read {}: it is no regular file", path.display()),
        found => found.and_then(|_| File::open(path)).map_err(|error| cannot("read", path, &error))?,
    };
    let mut reader = BufReader::new(file);
    let (mut kept, mut bytes, mut number) = (Kept::default(), Vec::new(), 0);
    loop {
        bytes.clear();
        number += 1;
        let count = reader.read_until(b'\n', &mut bytes).map_err(|error| cannot("read", path, &error))?;
        let whole = bytes.ends_with(b"\n");
        match serde_json::from_slice::<Line>(&bytes) {
            Ok(line) if whole && line.step <= step => {
                kept = Kept { bytes: kept.bytes + count as u64, newest: line.step }
            }
            Ok(_) => return Ok(kept),
            Err(_) if reader.fill_buf().map_err(|error| cannot("read", path, &error))?.is_empty() => return Ok(kept),
            Err(_) => bail!(
                "{}, line {number}: this is no line that synth wrote; mend it, or start anew with --overwrite or --run \
                 NAME",
                path.display()
            ),
        }
    }
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> anyhow::Error {
    anyhow!("cannot {what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(path: &Path, cut_after_step: Option<u64>) -> BatchLog {
        BatchLog::open(path.to_owned(), cut_after_step).unwrap()
    }

    /// Three updates of two micro-batches.
    fn write(path: &Path) -> String {
        let mut log = log(path, None);
        let lines: Vec<String> =
            (0..6).map(|i| line((i / 2 + 1, i % 2), (8, None), &[[i, 8 * i, 8], [7, 56, 3]])).collect();
        log.append(&lines.concat()).unwrap();
        log.sync().unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_line_is_as_the_formats_say() {
        let expected = "{\"step\":1,\"micro_batch\":0,\"length\":64,\"rows\":[[5,320,64],[9,576,2]]}\n";
        assert_eq!(line((1, 0), (64, None), &[[5, 320, 64], [9, 576, 2]]), expected);
        assert_eq!(line((2, 1), (8, None), &[]), "{\"step\":2,\"micro_batch\":1,\"length\":8,\"rows\":[]}\n");
        let expected = "{\"step\":1,\"micro_batch\":0,\"length\":8,\"source_length\":16,\"rows\":[[3,40,7]]}\n";
        assert_eq!(line((1, 0), (8, Some(16)), &[[3, 40, 7]]), expected);
    }

    #[test]
    fn lines_past_a_checkpoint_are_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batches.jsonl");
        let all = write(&path);
        let first = |lines: usize| all.split_inclusive('\n').take(lines).collect::<String>();
        for (step, lines) in [(3, 6), (2, 4), (0, 0)] {
            fs::write(&path, &all).unwrap();
            drop(log(&path, Some(step)));
            assert_eq!(fs::read_to_string(&path).unwrap(), first(lines), "{step}");
        }
        fs::write(&path, &all).unwrap();
        let error = BatchLog::open(path.clone(), Some(9)).unwrap_err().to_string();
        assert!(error.contains("ends at update 3, the checkpoint is of 9: lines are missing"), "{error}");
        let mut whole = log(&path, Some(0));
        whole.append(&all).unwrap();
        whole.cut_after(2).unwrap();
        whole.append("{\"step\":3}\n").unwrap();
        drop(whole);
        assert_eq!(fs::read_to_string(&path).unwrap(), first(4) + "{\"step\":3}\n");
        drop(log(&path, None));
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn torn_ends_are_cut_and_other_lines_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batches.jsonl");
        let all = write(&path);
        for torn in ["{\"step\":", "{\"step\":3}", "\0\0"] {
            fs::write(&path, format!("{all}{torn}")).unwrap();
            drop(log(&path, Some(3)));
            assert_eq!(fs::read_to_string(&path).unwrap(), all, "{torn}");
        }
        fs::write(&path, format!("{{}}\n{all}")).unwrap();
        let message = BatchLog::open(path.clone(), Some(3)).unwrap_err().to_string();
        assert!(message.contains("batches.jsonl, line 1: this is no line that synth wrote"), "{message}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(BatchLog::open(path, Some(3)).unwrap_err().to_string().contains("it is no regular file"));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let path = PathBuf::from("/dev/full");
        let file = BufWriter::new(OpenOptions::new().append(true).open(&path).unwrap());
        let mut log = BatchLog { path, file };
        log.append("line\n").unwrap();
        assert!(log.flush().unwrap_err().to_string().starts_with("cannot write /dev/full: No space left"));
        std::mem::forget(log); // what could not be written is tried again when it is dropped
    }
}
