use super::*;
use crate::data::card::{Card, Layout, SplitCard};
use crate::data::hash::sha256_hex;
use crate::exit::code;
use std::fs;

const BOTH: [Shape; 2] = [Shape::Pairs, Shape::Dialogue];

/// `[data]` from its TOML.
fn options(table: &str) -> DataOptions {
    toml::from_str(table).unwrap()
}

/// A set with a file of these lines for each split.
fn set(root: &Path, shape: Option<Shape>, splits: &[(&str, &str)]) {
    let make = |folder: &Path| {
        let layout = if shape.is_some() { Layout::Records } else { Layout::Text };
        let mut card = Card::new("set", layout, shape);
        for (split, lines) in splits {
            fs::write(folder.join(crate::data::card::split_file(split, layout)), lines)?;
            let (bytes, sha256) = (lines.len() as u64, sha256_hex(lines.as_bytes()));
            card.splits.insert(split, SplitCard { files: 1, records: 1, bytes, sha256 });
        }
        card.list_sha256 = "list".into();
        Ok(card)
    };
    datasets::prepare("set", root, make).unwrap();
}

/// Refused before anything is read, and when it is loaded.
fn refused(table: &str, shapes: &[Shape], root: &Path) -> String {
    let errors =
        [check(&options(table), shapes, root).unwrap_err(), load(&options(table), shapes, root, &SPLITS).unwrap_err()];
    let [first, second] = errors.map(|error| {
        assert_eq!(code(&error), 2, "{error:#}");
        format!("{error:#}")
    });
    assert_eq!(first, second);
    first
}

#[test]
fn contradictions_are_refused() {
    let root = Path::new("nowhere");
    for (table, expected) in [
        ("", "names no pairs"),
        ("dataset = 'a'\ntrain = ['b', 'c']", "`dataset` beside paths"),
        ("dataset = 'a'\ntest = ['b', 'c']", "`dataset` beside paths"),
        ("validation = ['a', 'b']", "names no pairs"),
        ("path = 'a'\nsplit = [0.5, 0.5]", "`path`"),
        ("dataset = 'a'\nfield = 'source'", "`field`"),
        ("train = 'a'", "data.train is one path"),
        ("train = ['a', 'b']\ntest = 'c'", "data.test is one path"),
        ("train = ['no-such-file', 'b']", "data.train: no such file: no-such-file"),
        ("train = ['a', 'b']\npersona = true", "data.persona"),
        ("dataset = 'rust-sources'", "synth data fetch rust-sources"),
    ] {
        let message = refused(table, &BOTH, root);
        assert!(message.contains(expected), "{table}: {message}");
    }
}

#[test]
fn files_are_read_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a-1.en", "one\r\n\nthree\n");
    write("a-2.en", "four");
    write("a.de", "eins\nzwei\n\nvier\n");
    let paths = |source: &str, target: &str| Some(Paths::Pair([source, target].map(|name| folder.path().join(name))));
    let both = paths("a-*.en", "a.de");
    let data = DataOptions { train: both.clone(), validation: both, ..Default::default() };
    check(&data, &BOTH, folder.path()).unwrap();
    let splits = load(&data, &BOTH, folder.path(), &SPLITS).unwrap();
    let names = Vec::from_iter(splits.named().map(|(name, split)| (name, split.pairs, split.raw.is_some())));
    assert_eq!(names, [(Split::Train, 4, false), (Split::Validation, 4, true)]);
    let raw = splits.validation.as_ref().unwrap().raw.as_ref().unwrap();
    assert_eq!(raw.sources, ["one", "", "three", "four"]);
    assert_eq!(raw.references, [["eins"], ["zwei"], [""], ["vier"]]);
    let hashes = splits.hashes();
    assert_eq!(
        Vec::from_iter(hashes.keys()),
        ["train.source", "train.target", "validation.source", "validation.target"]
    );
    assert_eq!(hashes["train.target"], sha256_hex(b"eins\nzwei\n\nvier\n"));
    assert_eq!(load(&data, &BOTH, folder.path(), &["test"]).unwrap(), PairSplits::default());

    write("short.de", "eins\nzwei\n");
    let data = DataOptions { train: paths("a-*.en", "short.de"), ..Default::default() };
    let error = load(&data, &BOTH, folder.path(), &SPLITS).unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains("a-*.en has 4 lines and ") && message.contains("short.de has 2;"), "{message}");
    assert_eq!(code(&error), 1);
}

#[test]
fn pairs_of_a_set_have_all_their_references() {
    let root = tempfile::tempdir().unwrap();
    let train = "{\"source\":\"a\",\"target\":\"b\"}\n{\"source\":\"\",\"target\":\"c\"}\n";
    let test =
        "{\"source\":\"a\",\"target\":\"b\",\"references\":[\"b\",\"c\"]}\n{\"source\":\"d\",\"target\":\"e\"}\n";
    set(root.path(), Some(Shape::Pairs), &[("train", train), ("test", test), ("test_2017", test)]);
    let data = options("dataset = 'set'");
    check(&data, &[Shape::Pairs], root.path()).unwrap();
    let splits = load(&data, &[Shape::Pairs], root.path(), &SPLITS).unwrap();
    assert_eq!(Vec::from_iter(splits.named().map(|(name, _)| name)), [Split::Train, Split::Test]);
    let (train, test) = (splits.train.as_ref().unwrap(), splits.test.as_ref().unwrap());
    assert_eq!((train.pairs, &train.raw), (2, &None));
    let raw = test.raw.as_ref().unwrap();
    assert_eq!(raw.sources, ["a", "d"]);
    assert_eq!(raw.references, [vec!["b", "c"], vec!["e"]]);
    let hashes = splits.hashes();
    assert_eq!(hashes["set"], "list");
    // What a set of the shape text with these texts would have.
    assert_eq!(hashes["train.target"], sha256_hex(b"{\"text\":\"b\"}\n{\"text\":\"c\"}\n"));
    assert!(refused("dataset = 'set'\nhistory_turns = 1", &BOTH, root.path()).contains("set holds pairs"));
    let message = refused("dataset = 'set'", &[Shape::Dialogue], root.path());
    assert!(message.contains("records of the shape pairs; the task takes the shape dialogue"), "{message}");
    fs::write(root.path().join("set/test.jsonl"), "{\"source\":\"x\",\"target\":\"b\"}\n").unwrap();
    assert!(load(&data, &BOTH, root.path(), &["test"]).is_err());
}

#[test]
fn a_dialogues_source_is_what_was_said_before() {
    let root = tempfile::tempdir().unwrap();
    let lines = "{\"persona\":[\"p\"],\"history\":[\"h\",\"i\"],\"reply\":\"r\",\"candidates\":[\"s\",\"r\"]}\n\
                 {\"persona\":[],\"history\":[],\"reply\":\"q\"}\n";
    set(root.path(), Some(Shape::Dialogue), &[("validation", lines)]);
    for (more, expected) in [
        ("", ["h\ni", ""]),
        ("persona = true", ["p\nh\ni", ""]),
        ("history_turns = 1", ["i", ""]),
        ("persona = true\nhistory_turns = 1", ["p\ni", ""]),
    ] {
        let data = options(&format!("dataset = 'set'\n{more}"));
        let splits = load(&data, &BOTH, root.path(), &SPLITS).unwrap();
        let raw = splits.validation.unwrap().raw.unwrap();
        assert_eq!(raw.sources, expected, "{more}");
        assert_eq!(raw.references, [["r"], ["q"]]);
    }
    assert!(refused("dataset = 'set'", &[Shape::Pairs], root.path()).contains("records of the shape dialogue"));
}

#[test]
fn other_sets_are_refused_by_what_they_are() {
    let root = tempfile::tempdir().unwrap();
    set(root.path(), None, &[("train", "a\n")]);
    let message = refused("dataset = 'set'", &BOTH, root.path());
    assert!(message.contains("set is running text; the task takes the shape pairs or dialogue"), "{message}");
}
