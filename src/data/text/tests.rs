use super::*;
use crate::data::hash::sha256_hex;
use crate::data::record::Shape;
use crate::exit::code;
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;
use tempfile::TempDir;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Files of these bytes.
fn files(contents: &[&[u8]]) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let write = |(index, bytes): (usize, &&[u8])| {
        let path = folder.path().join(format!("part-{index}.txt"));
        fs::write(&path, bytes).unwrap();
        path
    };
    let paths = contents.iter().enumerate().map(write).collect();
    (folder, paths)
}

fn pieces(text: &Text, flow: Flow, size: usize) -> Result<Vec<Piece>> {
    Pieces::new(text.source(&Arc::default())?, flow, size).collect()
}

fn joined(text: &Text) -> String {
    pieces(text, Flow::Running, PIECE).unwrap().into_iter().map(|piece| piece.text).collect()
}

fn records(piece: &Piece) -> Vec<&str> {
    let begins = std::iter::once(0).chain(piece.ends.iter().copied());
    begins.zip(&piece.ends).map(|(begin, end)| &piece.text[begin..*end]).collect()
}

#[test]
fn plain_and_gzipped_files_are_joined_as_they_are() {
    let text = "ein schöner Tag, 日本\n".repeat(60_000);
    let bytes = text.as_bytes();
    let (_folder, paths) = files(&[&bytes[..700_008], &gzip(&bytes[700_008..])]);
    // A character cut in two by the border of files is none.
    let error = format!("{:#}", survey_files(paths).unwrap_err());
    assert!(error.contains("part-0.txt is not UTF-8 text: the byte at offset 700007"), "{error}");
    let middle = text.char_indices().nth(300_001).unwrap().0;
    let (_folder, paths) = files(&[&bytes[..middle], &gzip(&bytes[middle..])]);
    let whole = survey_files(paths).unwrap();
    assert_eq!(whole.bytes(), text.len() as u64);
    assert_eq!(whole.sha256, sha256_hex(bytes));
    assert_eq!(joined(&whole), text);
}

#[test]
fn a_text_is_cut_at_floors_of_cumulative_shares() {
    let parts = |text: &str, shares: &[f64]| {
        let (_folder, paths) = files(&[text.as_bytes()]);
        let names = ["train", "validation", "test"];
        let parts = survey_shares(&paths, &CutShares { shares, names: &names })?;
        assert!(parts.iter().all(|part| part.sha256 == sha256_hex(joined(part).as_bytes())));
        Ok(parts.iter().map(joined).collect::<Vec<_>>())
    };
    assert_eq!(parts("abcdefghij", &[0.9, 0.1]).unwrap(), ["abcdefghi", "j"]);
    assert_eq!(parts("abcdefghij", &[0.7, 0.2, 0.1]).unwrap(), ["abcdefg", "hi", "j"]);
    assert_eq!(parts("abcdefghijk", &[0.5, 0.5]).unwrap(), ["abcde", "fghijk"]);
    assert_eq!(parts("äöüßé", &[0.4, 0.4, 0.2]).unwrap(), ["äö", "üß", "é"]);
    let long = "äöü日 x\n".repeat(100_000);
    assert_eq!(parts(&long, &[0.3, 0.3, 0.4]).unwrap().concat(), long);
    let message = parts("abc", &[0.9, 0.05, 0.05]).map_err(|error: anyhow::Error| error.to_string()).unwrap_err();
    assert!(message.contains("validation") && message.contains("3 characters"), "{message}");
}

#[test]
fn pieces_follow_from_the_text_alone() {
    let text =
        "words and  spaces,\n\nlines\tand more words ".repeat(500) + &"x".repeat(3000) + &"日本".repeat(900) + " end";
    let (_folder, paths) = files(&[text.as_bytes()]);
    let plain = pieces(&survey_files(paths).unwrap(), Flow::Running, 1000).unwrap();
    let members: Vec<u8> = text.as_bytes().chunks(777).flat_map(gzip).collect();
    let (_folder, paths) = files(&[&members]);
    assert!(pieces(&survey_files(paths).unwrap(), Flow::Running, 1000).unwrap() == plain);
    assert_eq!(plain.iter().map(|piece| piece.text.as_str()).collect::<String>(), text);
    assert!(plain.len() > 20 && plain.iter().all(|piece| piece.text.len() <= 1000 && piece.ends.is_empty()));
}

#[test]
fn lines_are_records() {
    let (_folder, paths) = files(&[b"\xef\xbb\xbfa b\r\n\n\nc\nd", b"e\n\nlast"]);
    let text = survey_files(paths).unwrap();
    let found = pieces(&text, Flow::Records, 4).unwrap();
    assert_eq!(found.iter().map(records).collect::<Vec<_>>(), [vec!["a b", "c"], vec!["de", "last"]]);
    assert_eq!(joined(&text), "a b\r\n\n\nc\nde\n\nlast");
}

#[test]
fn sides_keep_empty_records() {
    let (_folder, paths) = files(&[b"a b\r\n\n\n\n\n\nc", b"d\n\n\nlast"]);
    let (text, lines) = survey_lines(paths.clone()).unwrap();
    assert_eq!((lines, &text), (10, &survey_files(paths).unwrap()));
    let found = pieces(&text, Flow::Sides, 4).unwrap();
    let expected = [vec!["a b", ""], vec!["", "", "", ""], vec!["cd", "", ""], vec!["last"]];
    assert_eq!(found.iter().map(records).collect::<Vec<_>>(), expected);
    for (text, lines) in [("a\n", 1), ("a", 1), ("\n", 1), ("\n\n", 2), ("a\nb", 2)] {
        let (_folder, paths) = files(&[text.as_bytes()]);
        let (text, found) = survey_lines(paths).unwrap();
        assert_eq!((found, pieces(&text, Flow::Sides, 100).unwrap()[0].ends.len() as u64), (lines, lines));
    }
}

#[test]
fn records_of_a_set_are_lines_or_records() {
    let (_folder, paths) = files(&[b"{\"text\":\"a\\nb\"}\n{\"text\":\"\"}\n{\"text\":\"c\\n\"}\n"]);
    let field = RecordField { shape: Shape::Text, name: "text".into() };
    let text = survey_records(&paths[0], field).unwrap();
    assert_eq!((text.bytes(), &text.sha256), (43, &crate::data::hash::sha256_file(&paths[0]).unwrap()));
    assert_eq!(joined(&text), "a\nb\n\nc\n");
    let found = pieces(&text, Flow::Records, 100).unwrap();
    assert_eq!(found.iter().map(records).collect::<Vec<_>>(), [["a\nb", "c\n"]]);
    let progress = Arc::default();
    assert_eq!(text.pieces(Flow::Running, &progress).unwrap().count(), 1);
    assert_eq!(progress.load(Ordering::Relaxed), text.bytes_on_disk(), "bytes taken from the disk are counted");
}

#[test]
fn a_text_that_changed_is_an_error_at_its_end() {
    let (_folder, paths) = files(&[b"one line\n", b"two words and more\n"]);
    let whole = survey_files(paths.clone()).unwrap();
    let parts = survey_shares(&paths, &CutShares { shares: &[0.5, 0.5], names: &["train", "validation"] }).unwrap();
    for content in ["two words and more\t", "two words", "two words and more\nand more"] {
        fs::write(&paths[1], content).unwrap();
        // What was added belongs to no part.
        let same = content.len() > 19;
        for text in [&whole, &parts[1]] {
            for flow in [Flow::Running, Flow::Records] {
                let found = pieces(text, flow, 4);
                assert_eq!(found.is_ok(), same, "{content:?}");
                let message = found.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(same || message.contains("part-0.txt changed while it was read"), "{message}");
            }
            assert_eq!(text.sample(5, &Arc::default()).unwrap().all(|piece| piece.is_ok()), same);
        }
    }
    let (_folder, paths) = files(&[b"{\"source\":\"a\",\"target\":\"b\"}\n"]);
    let text = survey_records(&paths[0], RecordField { shape: Shape::Pairs, name: "target".into() }).unwrap();
    fs::write(&paths[0], "{\"source\":\"a\",\"target\":\"c\"}\n").unwrap();
    assert!(pieces(&text, Flow::Records, 9).unwrap_err().to_string().contains("changed"));
    fs::write(&paths[0], "{\"source\":\"c\",\"target\":\"b\"}\n").unwrap();
    assert_eq!(joined(&text), "b\n", "another field may change");
}

#[test]
fn a_sample_is_spread_over_the_text() {
    let text: String = (0..90_000).map(|number| format!("{number:09}\n")).collect();
    let (_folder, paths) = files(&[text.as_bytes()]);
    let text = survey_files(paths).unwrap();
    let sample = |bytes| text.sample(bytes, &Arc::default()).unwrap().collect::<Result<Vec<_>>>().unwrap();
    assert_eq!(sample(1 << 30).concat(), joined(&text));
    let third = sample(300_000);
    assert!((3..=6).contains(&third.len()), "{}", third.len());
    assert!(third.concat().contains("000015000") ^ third.concat().contains("000005000"));
    let last: u64 = third.last().unwrap().split_whitespace().next().unwrap().parse().unwrap();
    assert!(last > 50_000, "{last}");
    assert_eq!(sample(1), ["0"], "the start at least");
    assert_eq!(sample(25).concat(), "000000000\n000000001");
    let (_folder, paths) = files(&["日本".as_bytes()]);
    let text = survey_files(paths).unwrap();
    let sample: Vec<String> = text.sample(1, &Arc::default()).unwrap().collect::<Result<_>>().unwrap();
    assert_eq!(sample, ["日"]);
}

#[test]
fn contents_that_are_no_text() {
    let damaged = {
        let mut bytes = gzip(b"some text, some more text");
        let checksum = bytes.len() - 8;
        bytes[checksum] ^= 1;
        bytes
    };
    let late = ["line\n".repeat(100_000).as_bytes(), b"caf\xe9 au lait"].concat();
    let bomb = gzip(&vec![b'x'; 100 << 20]);
    for (bytes, expected) in [
        (b"".as_slice(), "is empty; expected text"),
        (&gzip(b""), "is empty"),
        (b"ab\0c", "is binary: a NUL byte at offset 2"),
        (b"ab\xffc", "the byte at offset 2 (counted from 0, in line 1)"),
        (b"ab\xe6\x97", "the byte at offset 2"),
        (&late, "the byte at offset 500003 (counted from 0, in line 100001)"),
        (&gzip(b"some text to be cut short")[..30], "truncated"),
        (&damaged, "corrupt"),
        (&bomb, "expands to more than 200 times"),
    ] {
        let (_folder, paths) = files(&[bytes]);
        let error = survey_files(paths).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains(expected) && message.contains("part-0.txt") && code(&error) == 1, "{message}");
    }
    let error = survey_files(vec![Path::new("nowhere.txt").into()]).unwrap_err();
    assert!(format!("{error:#}").contains("nowhere.txt"), "{error:#}");
}

#[test]
fn a_line_without_end_is_an_error_where_it_is_a_record() {
    let (_folder, paths) = files(&[&[b"short\n".as_slice(), &vec![b'x'; 70 << 20]].concat()]);
    let text = survey_files(paths).unwrap();
    let error = pieces(&text, Flow::Records, PIECE).unwrap_err().to_string();
    assert!(error.contains("part-0.txt, line 2: a line of more than 67108864 bytes"), "{error}");
    assert_eq!(pieces(&text, Flow::Running, PIECE).unwrap().len(), 282);
}
