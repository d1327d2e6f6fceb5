//! Files that are damaged, endless or packed beyond measure: one clear line, little memory, nothing half-prepared.

use crate::place::{Place, gzip, parquet};
use flate2::{Compression, write::GzEncoder};
use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

/// Bytes of the longest line.
const LONGEST: u64 = 64 << 20;

#[test]
fn rows_that_are_damaged_are_named() {
    let place = Place::with(&[
        ("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \n"),
        ("b.tsv", "a\t1\nb\t0\nc\n"),
        ("c.csv", "text,label\na,b\nc\n"),
        ("WNLI/dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\tb\t7\n"),
        (
            "COPA/val.jsonl",
            "{\"premise\": \"p\", \"choice1\": \"a\", \"choice2\": \"b\", \"question\": \"cause\", \"label\": 5}\n",
        ),
        ("d.json", "[{\"meta\": [], \"dialogue\": [[\"a\"]]}]"),
        ("e.jsonl", "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"a\", \"label\": 0.5}\n"),
        ("empty.txt", ""),
        ("empty.tsv", ""),
    ]);
    place.write("f.txt", b"good\nb\xffad\n");
    place.write("g.txt", b"good\nb\0ad\n");
    for (path, expected) in [
        ("a.jsonl", "a.jsonl, line 2: expected a JSON object"),
        ("b.tsv", "b.tsv, line 3: the row has 1 columns; expected 2"),
        ("c.csv", "c.csv, line 3: the row has 1 columns; expected 2"),
        ("WNLI", "dev.tsv, line 2: the label is \"7\"; expected one of 0, 1"),
        ("COPA", "val.jsonl, line 1: the label is 5; expected one of choice1, choice2"),
        ("d.json", "d.json: element 1: a turn of \"dialogue\""),
        ("e.jsonl", "--numeric-label"),
        ("f.txt", "f.txt, line 2: not UTF-8 text: the byte 0xff at offset 1"),
        ("g.txt", "g.txt, line 2: a NUL byte at offset 1"),
        ("empty.txt", "empty.txt is empty"),
        ("empty.tsv", "empty.tsv is empty"),
    ] {
        place.fails(&["import", "set", path], 1, &[expected]);
    }
}

#[test]
fn truncated_files_are_named() {
    let place = Place::new();
    let lines: String = (0..100_000_u64).map(|number| format!("{} words\n", number * number)).collect();
    let packed = gzip(lines.as_bytes());
    place.write("a.txt.gz", &packed[..packed.len() / 2]);
    place.fails(&["import", "set", "a.txt.gz"], 1, &["a.txt.gz, line ", "truncated", "download it again"]);
    let mut damaged = packed;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 8].fill(0xff);
    place.write("b.txt.gz", &damaged);
    place.fails(&["import", "set", "b.txt.gz"], 1, &["b.txt.gz, line "]);
    let rows: Vec<[&str; 2]> = vec![["some text", "x"]; 1000];
    let whole = parquet(["text", "label"], &rows);
    place.write("c.parquet", &whole[..whole.len() - 20]);
    place.fails(&["import", "set", "c.parquet"], 1, &["c.parquet is truncated", "download it again"]);
    let mut damaged = whole;
    damaged[10..40].fill(0xff);
    place.write("d.parquet", &damaged);
    place.fails(
        &["import", "set", "d.parquet"],
        1,
        &["d.parquet is corrupt", "row group 0 of 1 (counted from 0), row 1: "],
    );
}

#[test]
fn a_line_of_a_gigabyte_is_not_read() {
    let place = Place::new();
    let name = "long.txt";
    let mut file = File::create(place.path(name)).unwrap();
    file.write_all(b"a first line\n").unwrap();
    file.write_all(&vec![b'x'; LONGEST as usize + 10]).unwrap();
    // The rest is a hole, which takes no room on the disk.
    file.set_len(1 << 30).unwrap();
    let (message, peak) = measured(&place, name);
    assert!(message.contains("long.txt, line 2: the line is longer than 67108864 bytes"), "{message}");
    assert!(peak < baseline(&place) + 4 * LONGEST, "{} MiB", peak >> 20);
}

#[test]
fn a_decompression_bomb_is_not_unpacked() {
    let place = Place::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = "a\n".repeat(1 << 20);
    for _ in 0..100 {
        encoder.write_all(block.as_bytes()).unwrap();
    }
    place.write("bomb.jsonl.gz", encoder.finish().unwrap());
    place.write("bomb.txt.gz", fs::read(place.path("bomb.jsonl.gz")).unwrap());
    let (message, peak) = measured(&place, "bomb.txt.gz");
    assert!(message.contains("bomb.txt.gz, line 3") && message.contains("more than 200 times its size"), "{message}");
    assert!(peak < baseline(&place) + LONGEST, "{} MiB", peak >> 20);
    // One line of a gigabyte, packed.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..1024 {
        encoder.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    place.write("line.txt.gz", encoder.finish().unwrap());
    let (message, _) = measured(&place, "line.txt.gz");
    assert!(message.contains("line.txt.gz, line 1: "), "{message}");
}

/// The error of an import that fails, and the most memory that it took, in bytes.
fn measured(place: &Place, name: &str) -> (String, u64) {
    let mut child = place.process(&["data", "import", "set", name]).stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kibibytes.unwrap_or_default() << 10);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(place.names().is_empty(), "{:?}", place.names());
    (text, peak)
}

/// What the program takes before it reads anything.
fn baseline(place: &Place) -> u64 {
    place.write("nothing.txt", "");
    measured(place, "nothing.txt").1
}
