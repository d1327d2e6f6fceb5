//! Rows out of parquet files, a row group at a time: chosen columns as JSON values.

use anyhow::{Context, Result, anyhow, bail, ensure};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde_json::{Map, Number, Value};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The first and last four bytes of every parquet file.
const MAGIC: &[u8; 4] = b"PAR1";

/// What one row may hold, all its columns together.
const MAX_ROW_BYTES: usize = 64 << 20;

/// How deep lists and structs may lie in each other; text has two or three.
const MAX_DEPTH: usize = 16;

/// A part of a column, or the rows of a file, that are larger than this when unpacked …
const MAX_UNPACKED_BYTES: i64 = 64 << 20;

/// … and so many times their packed size are made to fill memory or disk. Text packs four- or fivefold.
const MAX_EXPANSION: i64 = 200;

/// The crate's own words are told up to here: some of them hold the whole value.
const MAX_MESSAGE_CHARS: usize = 200;

/// The rows of one file in order, each a map from the columns' names to their values: strings, numbers, booleans,
/// null, lists, and structs as maps. It ends at the first error.
pub struct Rows {
    path: PathBuf,
    iterator: RowIter<'static>,
    /// How many rows come before the end of each row group.
    ends: Vec<u64>,
    read: u64,
    /// The bytes that the rows may still hold.
    room: usize,
    failed: bool,
}

/// The names of a file's columns, in order; those in structs are not listed.
///
/// # Errors
/// What is no parquet file, or a truncated or corrupt one.
pub fn columns(path: &Path) -> Result<Vec<String>> {
    let reader = open(path)?;
    Ok(reader.metadata().file_metadata().schema().get_fields().iter().map(|field| field.name().to_string()).collect())
}

/// Opens a file for its rows. `columns` names the columns wanted; all where there are none. Others are not read.
///
/// # Errors
/// What is no parquet file, or a truncated or corrupt one; a column that is not there; a column that unpacks to
/// more than memory should be asked for.
pub fn rows(path: &Path, columns: &[&str]) -> Result<Rows> {
    let reader = open(path)?;
    let metadata = reader.metadata();
    let schema = projection(metadata.file_metadata().schema(), columns).with_context(|| path.display().to_string())?;
    check_expansion(metadata, &schema).with_context(|| path.display().to_string())?;
    let ends = row_group_ends(metadata).with_context(|| path.display().to_string())?;
    let room = expansion_limit(path)?;
    let iterator = guarded(|| Ok(RowIter::from_file_into(Box::new(reader)).project(Some(schema))?))
        .map_err(|message| corrupt(path, &message))?;
    Ok(Rows { path: path.to_path_buf(), iterator, ends, read: 0, room, failed: false })
}

/// What the rows of a file may hold: its footer says nothing of strings that stand in it once and for many rows.
fn expansion_limit(path: &Path) -> Result<usize> {
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    let limit = metadata.len().saturating_mul(MAX_EXPANSION.unsigned_abs()).max(MAX_UNPACKED_BYTES.unsigned_abs());
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

fn open(path: &Path) -> Result<SerializedFileReader<File>> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    ensure!(metadata.is_file(), "{shown} is not a regular file; expected a parquet file");
    let file = File::open(path).with_context(|| format!("cannot read {shown}"))?;
    check_magic(&file, metadata.len(), path)?;
    guarded(|| Ok(SerializedFileReader::new(file)?)).map_err(|message| corrupt(path, &message))
}

/// A file without its end is told from one that never was parquet.
fn check_magic(file: &File, bytes: u64, path: &Path) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let shown = path.display();
    let mut magic = [0; 4];
    let starts = bytes >= 4 && file.read_exact_at(&mut magic, 0).is_ok() && &magic == MAGIC;
    ensure!(starts, "{shown} is no parquet file: it does not begin with PAR1");
    let ends = bytes >= 12 && file.read_exact_at(&mut magic, bytes - 4).is_ok() && &magic == MAGIC;
    ensure!(ends, "{shown} is truncated: parquet data ends with PAR1; copy or download it again");
    Ok(())
}

/// The file's schema with the wanted columns only.
fn projection(schema: &Type, columns: &[&str]) -> Result<Type> {
    let fields = schema.get_fields();
    let wanted = |name: &str| columns.is_empty() || columns.contains(&name);
    for column in columns {
        if !fields.iter().any(|field| field.name() == *column) {
            let found: Vec<&str> = fields.iter().map(|field| field.name()).collect();
            bail!("there is no column {column:?}; found {}", found.join(", "));
        }
    }
    let chosen = fields.iter().filter(|field| wanted(field.name())).cloned().collect();
    Ok(Type::group_type_builder(schema.name()).with_fields(chosen).build()?)
}

/// Refuses a file whose chosen columns unpack to far more than text does.
fn check_expansion(metadata: &ParquetMetaData, schema: &Type) -> Result<()> {
    for (number, group) in metadata.row_groups().iter().enumerate() {
        for column in group.columns() {
            let root = column.column_path().parts().first();
            let wanted = root.is_some_and(|root| schema.get_fields().iter().any(|field| field.name() == root));
            let (packed, unpacked) = (column.compressed_size(), column.uncompressed_size());
            if wanted && unpacked > MAX_UNPACKED_BYTES && unpacked / MAX_EXPANSION > packed {
                let column = column.column_path().string();
                bail!(
                    "column {column} in row group {number} unpacks from {packed} to {unpacked} bytes; that is no text"
                );
            }
        }
    }
    Ok(())
}

fn row_group_ends(metadata: &ParquetMetaData) -> Result<Vec<u64>> {
    let mut end = 0u64;
    let mut ends = Vec::new();
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let rows = u64::try_from(group.num_rows()).ok().and_then(|rows| end.checked_add(rows));
        end = rows.with_context(|| format!("row group {number} has {} rows; expected 0 or more", group.num_rows()))?;
        ends.push(end);
    }
    Ok(ends)
}

impl Rows {
    /// How many rows the file says it has.
    pub fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// The number of the row group, from 0, that the row comes from which is read next.
    fn row_group(&self) -> usize {
        self.ends.iter().filter(|end| **end <= self.read).count()
    }

    fn read(&mut self) -> Option<Result<Map<String, Value>>> {
        let row = match guarded(|| Ok(self.iterator.next().transpose()?)) {
            Ok(Some(row)) => row,
            Ok(None) if self.read == self.total() => return None,
            Ok(None) => return Some(Err(self.error(&format!("{} rows of {}", self.read, self.total())))),
            Err(message) => return Some(Err(self.error(&message))),
        };
        self.read += 1;
        Some(self.convert(&row).with_context(|| format!("{}: row {}", self.path.display(), self.read)))
    }

    fn convert(&mut self, row: &Row) -> Result<Map<String, Value>> {
        let mut left = MAX_ROW_BYTES;
        let converted = object(row, MAX_DEPTH, &mut left)?;
        let room = self.room.checked_sub(MAX_ROW_BYTES - left);
        self.room = room.with_context(|| {
            format!("the rows hold more than {MAX_EXPANSION} times the bytes of the file; that is no text")
        })?;
        Ok(converted)
    }

    fn error(&self, message: &str) -> anyhow::Error {
        let place = format!("row group {} of {}", self.row_group(), self.ends.len());
        corrupt(&self.path, &format!("{place} (counted from 0), row {}: {message}", self.read + 1))
    }
}

impl Iterator for Rows {
    type Item = Result<Map<String, Value>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.read();
        self.failed = !matches!(item, Some(Ok(_)));
        item
    }
}

/// Runs the crate's code, which panics on some corrupt files; errors and panics become a short text.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T, String> {
    let caught = catch_unwind(AssertUnwindSafe(work));
    let message = match caught {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => format!("{error:#}"),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it cannot be decoded").to_string()
        }
    };
    let line = message.lines().next().unwrap_or_default();
    Err(line.chars().take(MAX_MESSAGE_CHARS).collect())
}

fn corrupt(path: &Path, message: &str) -> anyhow::Error {
    anyhow!("{} is corrupt parquet data: {message}; copy or download it again", path.display())
}

fn object(row: &Row, depth: usize, room: &mut usize) -> Result<Map<String, Value>> {
    let fields = row.get_column_iter();
    fields.map(|(name, field)| Ok((name.clone(), value(field, depth, room)?))).collect()
}

/// A field as JSON. `room` is what the row may still take.
fn value(field: &Field, depth: usize, room: &mut usize) -> Result<Value> {
    ensure!(depth > 0, "lists and structs lie more than {MAX_DEPTH} deep in each other");
    let bytes = match field {
        Field::Str(text) => text.len(),
        Field::Bytes(bytes) => bytes.len(),
        _ => size_of::<Value>(),
    };
    *room = room.checked_sub(bytes).with_context(|| format!("it holds more than {MAX_ROW_BYTES} bytes"))?;
    Ok(match field {
        Field::Group(row) => Value::Object(object(row, depth - 1, room)?),
        Field::ListInternal(list) => {
            list.elements().iter().map(|element| value(element, depth - 1, room)).collect::<Result<_>>()?
        }
        Field::MapInternal(map) => {
            let pair = |(key, element): &(Field, Field)| {
                Ok(Value::Array(vec![value(key, depth - 1, room)?, value(element, depth - 1, room)?]))
            };
            map.entries().iter().map(pair).collect::<Result<_>>()?
        }
        Field::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes.data());
            Value::from(text.map_err(|_| anyhow!("it holds bytes that are not UTF-8 text"))?)
        }
        other => scalar(other)?,
    })
}

fn scalar(field: &Field) -> Result<Value> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(*value),
        Field::Byte(value) => Value::from(*value),
        Field::Short(value) => Value::from(*value),
        Field::Int(value) | Field::Date(value) | Field::TimeMillis(value) => Value::from(*value),
        Field::Long(value)
        | Field::TimeMicros(value)
        | Field::TimestampMillis(value)
        | Field::TimestampMicros(value) => Value::from(*value),
        Field::UByte(value) => Value::from(*value),
        Field::UShort(value) => Value::from(*value),
        Field::UInt(value) => Value::from(*value),
        Field::ULong(value) => Value::from(*value),
        Field::Float16(value) => float(value.to_f64())?,
        Field::Float(value) => shortest(*value)?,
        Field::Double(value) => float(*value)?,
        Field::Str(text) => Value::from(text.as_str()),
        _ => bail!("it holds a decimal; expected text, numbers, booleans, lists or structs"),
    })
}

/// A float32 as the decimal that it was meant as: 0.1, not 0.10000000149011612.
fn shortest(value: f32) -> Result<Value> {
    float(value.to_string().parse().unwrap_or(f64::from(value)))
}

fn float(value: f64) -> Result<Value> {
    Number::from_f64(value).map(Value::Number).with_context(|| format!("it holds the number {value}"))
}

#[cfg(test)]
#[path = "parquet_tests.rs"]
pub(in crate::data) mod tests;
