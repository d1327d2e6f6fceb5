//! Parquet files as the hub's are laid out: small ones, for tests.

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
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
    Doubles(Vec<f64>),
    Lists(Vec<Vec<String>>),
}

/// A column of strings.
pub fn texts(values: &[&str]) -> Column {
    Column::Texts(values.iter().map(|value| Some(value.to_string())).collect())
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
        ($kind:ty, $values:expr, $levels:expr, $repeats:expr) => {
            writer.typed::<$kind>().write_batch($values, $levels, $repeats).map(|_| ()).unwrap()
        };
    }
    let array = |text: &String| ByteArray::from(text.as_str());
    match column {
        Column::Texts(values) => {
            let present = writer.typed::<ByteArrayType>().get_descriptor().max_def_level();
            let levels: Vec<i16> = values.iter().map(|value| present - i16::from(value.is_none())).collect();
            let values: Vec<ByteArray> = values.iter().flatten().map(array).collect();
            write!(ByteArrayType, &values, Some(&levels), None);
        }
        Column::Bytes(values) => {
            let values: Vec<ByteArray> = values.iter().cloned().map(ByteArray::from).collect();
            write!(ByteArrayType, &values, Some(&vec![1; values.len()]), None);
        }
        Column::Ints(values) => write!(Int32Type, values, Some(&vec![1; values.len()]), None),
        Column::Longs(values) => write!(Int64Type, values, Some(&vec![1; values.len()]), None),
        Column::Floats(values) => write!(FloatType, values, Some(&vec![1; values.len()]), None),
        Column::Doubles(values) => write!(DoubleType, values, Some(&vec![1; values.len()]), None),
        Column::Lists(rows) => {
            let (mut levels, mut repeats) = (Vec::new(), Vec::new());
            for row in rows {
                // Level 1 is a list without elements, 3 an element.
                levels.extend(row.iter().map(|_| 3).chain(row.is_empty().then_some(1)));
                repeats.extend((0..row.len().max(1)).map(|index| i16::from(index > 0)));
            }
            let values: Vec<ByteArray> = rows.iter().flatten().map(array).collect();
            write!(ByteArrayType, &values, Some(&levels), Some(&repeats));
        }
    }
    writer.close().unwrap();
}
