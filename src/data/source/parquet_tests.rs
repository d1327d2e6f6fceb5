use super::*;
use parquet_file::{Column, file, lists, snappy, texts, zstd};
use serde_json::json;
use std::fs;

// Some columns are for the tests of the hub alone.
#[allow(dead_code)]
#[path = "../../../tests/hub/parquet_file.rs"]
pub(in crate::data) mod parquet_file;

const MIXED: &str = "message m {
    optional binary text (UTF8);
    optional int64 label;
    optional float score;
    optional group translation { optional binary de (UTF8); optional binary en (UTF8); }
    optional group words (LIST) { repeated group list { optional binary element (UTF8); } }
}";

/// Two row groups, of two rows and one.
fn mixed() -> Vec<Vec<Column>> {
    vec![
        vec![
            Column::Texts(vec![Some("one".into()), None]),
            Column::Longs(vec![1, -1]),
            Column::Floats(vec![0.1, 4.0]),
            texts(&["eins", "zwei"]),
            texts(&["one", "two"]),
            lists(&[&["a", "b"], &[]]),
        ],
        vec![
            texts(&["three ✓"]),
            Column::Longs(vec![3]),
            Column::Floats(vec![2.5]),
            texts(&["drei"]),
            texts(&["three"]),
            lists(&[&["c"]]),
        ],
    ]
}

fn written(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn all(path: &Path, columns: &[&str]) -> Result<Vec<Value>> {
    rows(path, columns)?.map(|row| row.map(Value::Object)).collect()
}

#[test]
fn rows_of_all_kinds_come_in_order() {
    for compression in [snappy(), zstd()] {
        let (_folder, path) = written(&file(MIXED, compression, &mixed()));
        assert_eq!(columns(&path).unwrap(), ["text", "label", "score", "translation", "words"]);
        assert_eq!(rows(&path, &[]).unwrap().total(), 3);
        let expected = json!([
            {"text": "one", "label": 1, "score": 0.1, "translation": {"de": "eins", "en": "one"}, "words": ["a", "b"]},
            {"text": null, "label": -1, "score": 4.0, "translation": {"de": "zwei", "en": "two"}, "words": []},
            {"text": "three ✓", "label": 3, "score": 2.5, "translation": {"de": "drei", "en": "three"}, "words": ["c"]},
        ]);
        assert_eq!(Value::Array(all(&path, &[]).unwrap()), expected);
    }
}

#[test]
fn chosen_columns_only() {
    let (_folder, path) = written(&file(MIXED, snappy(), &mixed()));
    let found = all(&path, &["words", "text"]).unwrap();
    assert_eq!(found[2], json!({"text": "three ✓", "words": ["c"]}));
    let message = format!("{:#}", rows(&path, &["sentence"]).err().unwrap());
    assert!(message.contains("rows.parquet") && message.contains("found text, label, score"), "{message}");
}

#[test]
fn what_is_cut_short_or_no_parquet_is_said() {
    let bytes = file(MIXED, zstd(), &mixed());
    for length in [0, 3, 4, 11, 40, bytes.len() / 2, bytes.len() - 1] {
        let (_folder, path) = written(&bytes[..length]);
        let message = format!("{:#}", all(&path, &[]).unwrap_err());
        let expected = if length < 4 { "is no parquet file" } else { "is truncated" };
        assert!(message.contains("rows.parquet") && message.contains(expected), "{length}: {message}");
    }
}

/// Every byte of a file is changed in turn: whatever comes, it is rows or one short sentence.
#[test]
fn a_changed_byte_never_panics() {
    std::panic::set_hook(Box::new(|_| ()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.parquet");
    let mut errors = 0;
    for (compression, change) in [(snappy(), 0xff), (zstd(), 0x01)] {
        let bytes = file(MIXED, compression, &mixed());
        for position in 4..bytes.len() - 4 {
            let mut damaged = bytes.clone();
            damaged[position] ^= change;
            // A new file each time: writing over one waits for the disk.
            let _ = fs::remove_file(&path);
            fs::write(&path, &damaged).unwrap();
            let Err(error) = all(&path, &[]) else { continue };
            let message = format!("{error:#}");
            assert!(message.contains("rows.parquet") && message.len() < 600 && !message.contains('\n'), "{message}");
            errors += 1;
        }
    }
    assert!(errors > 1000, "{errors}");
}

#[test]
fn text_that_is_no_utf8_names_its_row_group() {
    let schema = "message m { optional binary text (UTF8); }";
    let groups = [vec![texts(&["fine"])], vec![Column::Bytes(vec![vec![0xff, 0xfe, b'a']])]];
    let (_folder, path) = written(&file(schema, snappy(), &groups));
    let mut rows = rows(&path, &[]).unwrap();
    assert!(rows.next().unwrap().is_ok());
    let message = format!("{:#}", rows.next().unwrap().unwrap_err());
    assert!(message.contains("row group 1 of 2 (counted from 0), row 2"), "{message}");
    assert!(rows.next().is_none());
}

#[test]
fn bytes_without_a_kind_are_text_where_they_are_utf8() {
    let schema = "message m { optional binary text; }";
    let groups = [vec![Column::Bytes(vec!["grün".into(), vec![0xc3]])]];
    let (_folder, path) = written(&file(schema, snappy(), &groups));
    let found: Vec<_> = rows(&path, &[]).unwrap().collect();
    assert_eq!(found[0].as_ref().unwrap()["text"], "grün");
    let message = format!("{:#}", found[1].as_ref().unwrap_err());
    assert!(message.ends_with("rows.parquet: row 2: it holds bytes that are not UTF-8 text"), "{message}");
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let schema = "message m { optional binary text (UTF8); optional int64 label; }";
    let groups = [vec![texts(&[&"a".repeat(65 << 20)]), Column::Longs(vec![1])]];
    let (_folder, path) = written(&file(schema, zstd(), &groups));
    let message = format!("{:#}", rows(&path, &["text"]).err().unwrap());
    assert!(message.contains("column text in row group 0 unpacks from"), "{message}");
    assert_eq!(all(&path, &["label"]).unwrap(), [json!({"label": 1})]);
}

/// A string that stands once in the file, for all rows: its footer says nothing of what they hold.
#[test]
fn a_bomb_that_its_footer_hides_is_refused_as_it_is_unpacked() {
    let schema = "message m { optional binary text (UTF8); }";
    let text = "a".repeat(400 << 10);
    let (_folder, path) = written(&file(schema, zstd(), &[vec![texts(&[text.as_str(); 200])]]));
    let mut read = 0;
    let error = rows(&path, &[]).unwrap().find_map(|row| row.inspect(|_| read += 1).err());
    let message = format!("{:#}", error.unwrap());
    assert_eq!(read, (64 << 20) / text.len());
    let expected = format!("rows.parquet: row {}: the rows hold more than 200 times the bytes of the file", read + 1);
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn a_row_has_a_limit() {
    let field = Field::Str("12345".into());
    assert_eq!(value(&field, 1, &mut 5).unwrap(), "12345");
    let message = value(&field, 1, &mut 4).unwrap_err().to_string();
    assert!(message.contains("it holds more than"), "{message}");
    assert!(value(&field, 0, &mut 9).is_err() && value(&Field::Double(f64::NAN), 1, &mut 99).is_err());
}
