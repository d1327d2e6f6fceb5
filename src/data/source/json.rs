//! JSON lines, and files that are one JSON array, one element in memory at a time.

use super::check_file;
use super::lines::Lines;
use super::stream::{self, CHUNK, Capped, ReadOptions};
use anyhow::{Context, Result, anyhow};
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::fmt;
use std::io::{BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// The objects of a file of JSON lines, in order; blank lines are left out. After an error there is nothing more.
pub struct JsonLines {
    lines: Lines,
    line: String,
    failed: bool,
}

impl JsonLines {
    /// Opens a file of JSON lines.
    ///
    /// # Errors
    /// A refusal of what is no readable regular file.
    pub fn open(path: &Path, options: &ReadOptions) -> Result<Self> {
        Ok(Self { lines: Lines::open_with(path, options)?, line: String::new(), failed: false })
    }

    /// Where the last object stands: `PATH, line N`.
    pub fn place(&self) -> String {
        self.lines.place()
    }

    fn read(&mut self) -> Result<Option<Map<String, Value>>> {
        while self.lines.read(&mut self.line)? {
            if !self.line.trim().is_empty() {
                let object = serde_json::from_str(&self.line);
                return object.map(Some).map_err(|error| {
                    anyhow!("{}: expected a JSON object: {}", self.lines.place(), without_line(&error))
                });
            }
        }
        Ok(None)
    }
}

/// The message of an error in a single line of JSON, whose own line number is always 1.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.replace("at line 1 column", "at column")
}

impl Iterator for JsonLines {
    type Item = Result<Map<String, Value>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.read().transpose();
        self.failed = matches!(read, Some(Err(_)));
        read
    }
}

/// Gives every element of a file that is one JSON array to `take`, with its index, in order.
///
/// # Errors
/// A refusal of what is no readable regular file; JSON that is broken or no array of objects; an element over the
/// longest; the errors of `take`, to which the file and the element's number are added.
pub fn json_array(
    path: &Path,
    options: &ReadOptions,
    take: impl FnMut(u64, Map<String, Value>) -> Result<()>,
) -> Result<()> {
    check_file(path)?;
    let ahead = CHUNK.min(options.longest);
    let capped = Rc::new(RefCell::new(Capped::new(stream::open(path, &options.progress)?, options.longest, ahead)));
    let reader = BufReader::with_capacity(ahead, Shared(capped.clone()));
    let mut failure = None;
    let elements = Elements { take, capped, failure: &mut failure };
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let read = elements.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match failure {
        Some(error) => Err(error).with_context(|| path.display().to_string()),
        None => read.with_context(|| format!("{}: expected an array of JSON objects", path.display())),
    }
}

/// A reader that is allowed more by who looks at the elements.
struct Shared(Rc<RefCell<Capped>>);

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

struct Elements<'a, F> {
    take: F,
    capped: Rc<RefCell<Capped>>,
    failure: &'a mut Option<anyhow::Error>,
}

impl<'de, F: FnMut(u64, Map<String, Value>) -> Result<()>> DeserializeSeed<'de> for Elements<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(u64, Map<String, Value>) -> Result<()>> Visitor<'de> for Elements<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        let mut index = 0;
        self.capped.borrow_mut().allow();
        while let Some(element) = elements.next_element()? {
            self.capped.borrow_mut().allow();
            if let Err(error) = (self.take)(index, element) {
                *self.failure = Some(error.context(format!("element {}", index + 1)));
                return Err(A::Error::custom("stopped"));
            }
            index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::gzip;
    use super::*;
    use std::fs;

    fn array(bytes: &[u8], longest: usize) -> Result<Vec<Value>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.json");
        fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        json_array(&path, &ReadOptions { longest, ..Default::default() }, |index, element| {
            assert_eq!(index, found.len() as u64);
            anyhow::ensure!(element.contains_key("a"), "lacks a");
            found.push(element["a"].clone());
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn an_array_is_given_element_by_element() {
        let json = br#" [ {"a": 1}, {"b": 2, "a": "x"} ] "#;
        assert_eq!(array(json, 40).unwrap(), [Value::from(1), Value::from("x")]);
        assert_eq!(array(&gzip(json), 40).unwrap().len(), 2);
        let many = format!("[{}{{\"a\":0}}]", "{\"a\":1},".repeat(1000));
        assert_eq!(array(many.as_bytes(), 600).unwrap().len(), 1001);
    }

    #[test]
    fn a_broken_array_is_an_error() {
        let message = |bytes: &[u8]| format!("{:#}", array(bytes, 100).unwrap_err());
        for bytes in [b"[{\"a\":1},".as_slice(), b"[{\"a\":1}", b"{}", b"[1]", b"[{\"a\":1}] x", b""] {
            let message = message(bytes);
            assert!(message.contains("input.json: expected an array") && message.contains("line 1"), "{message}");
        }
        assert!(message(br#"[{"a":1},{"b":1}]"#).ends_with("input.json: element 2: lacks a"));
        let long = message(format!("[{{\"a\":\"{}\"}}]", "x".repeat(400)).as_bytes());
        assert!(long.contains("more than 100 bytes"), "{long}");
    }

    #[test]
    fn json_lines_name_the_line_that_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("input.jsonl");
        fs::write(&path, "{\"b\":1,\"a\":2}\n\n{\"c\"\n{}").unwrap();
        let mut lines = JsonLines::open(&path, &ReadOptions::default()).unwrap();
        let first = lines.next().unwrap().unwrap();
        assert_eq!(first.keys().collect::<Vec<_>>(), ["b", "a"], "keys keep their order");
        let message = format!("{:#}", lines.next().unwrap().unwrap_err());
        assert!(message.contains("input.jsonl, line 3: expected a JSON object: EOF") && message.contains("column 4"));
        assert!(lines.next().is_none());
        fs::write(&path, "[1]").unwrap();
        assert!(JsonLines::open(&path, &ReadOptions::default()).unwrap().next().unwrap().is_err());
    }
}
