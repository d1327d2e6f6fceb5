//! Parquet files as the hub's are laid out: small ones, for tests.

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::sync::Arc;

/// The values of one leaf column, a row each. All columns are optional, as pyarrow writes them.
#[derive(Debug, Clone)]
pub enum Column {
    Texts(Vec<Option<String>>),
    Bytes(Vec<Vec<u8>>),
    Ints(Vec<i32>),
    Longs(Vec<i64>),
    Floats(Vec<f32>),
    Lists(Vec<Vec<String>>),
}

/// A column of strings.
pub fn texts(values: &[&str]) -> Column {
    Column::Texts(values.iter().map(|value| Some(value.to_string())).collect())
}

/// A column of lists of strings.
pub fn lists(rows: &[&[&str]]) -> Column {
    Column::Lists(rows.iter().map(|row| row.iter().map(|text| text.to_string()).collect()).collect())
}

/// Snappy, as most of the hub's files.
pub fn snappy() -> Compression {
    Compression::SNAPPY
}

/// Zstandard.
pub fn zstd() -> Compression {
    Compression::ZSTD(ZstdLevel::default())
}

/// A whole file: `schema` in parquet's own notation, its leaf columns in order for each row group.
pub fn file(schema: &str, compression: Compression, groups: &[Vec<Column>]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for columns in groups {
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            write_column(&mut group, column);
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn write_column(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, column: &Column) {
    let mut writer = group.next_column().unwrap().unwrap();
    macro_rules! write {
        ($kind:ty, $values:expr) => {{
            let present = writer.typed::<$kind>().get_descriptor().max_def_level();
            write!($kind, $values, &vec![present; $values.len()], None)
        }};
        ($kind:ty, $values:expr, $levels:expr, $repeats:expr) => {
            writer.typed::<$kind>().write_batch($values, Some($levels), $repeats).map(|_| ()).unwrap()
        };
    }
    let array = |text: &String| ByteArray::from(text.as_str());
    match column {
        Column::Texts(values) => {
            let present = writer.typed::<ByteArrayType>().get_descriptor().max_def_level();
            let levels: Vec<i16> = values.iter().map(|value| present - i16::from(value.is_none())).collect();
            let values: Vec<ByteArray> = values.iter().flatten().map(array).collect();
            write!(ByteArrayType, &values, &levels, None);
        }
        Column::Bytes(values) => {
            let values: Vec<ByteArray> = values.iter().cloned().map(ByteArray::from).collect();
            write!(ByteArrayType, &values);
        }
        Column::Ints(values) => write!(Int32Type, values),
        Column::Longs(values) => write!(Int64Type, values),
        Column::Floats(values) => write!(FloatType, values),
        Column::Lists(rows) => {
            // An element's level is the highest; a list without elements is two lower.
            let present = writer.typed::<ByteArrayType>().get_descriptor().max_def_level();
            let (mut levels, mut repeats) = (Vec::new(), Vec::new());
            for row in rows {
                levels.extend(row.iter().map(|_| present).chain(row.is_empty().then_some(present - 2)));
                repeats.extend((0..row.len().max(1)).map(|index| i16::from(index > 0)));
            }
            let values: Vec<ByteArray> = rows.iter().flatten().map(array).collect();
            write!(ByteArrayType, &values, &levels, Some(&repeats));
        }
    }
    writer.close().unwrap();
}
