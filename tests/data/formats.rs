//! Small files of each format, found by themselves and said.

use crate::place::{Place, gzip, parquet};

#[test]
fn formats_are_found_and_said() {
    let place = Place::with(&[
        ("text/input.txt", "one\ntwo\n"),
        ("pairs/train.en", "a\nb\n"),
        ("pairs/train.de", "x\ny\n"),
        ("glue/CoLA/train.tsv", "gj04\t1\t\tA sentence.\n"),
        ("super/CB/train.jsonl", "{\"premise\": \"p\", \"hypothesis\": \"h\", \"label\": \"neutral\"}\n"),
        ("rows/train.csv", "text,label\n\"a, b\",x\n"),
        ("lines/train.jsonl", "{\"text\": \"a\", \"label\": 1}\n"),
        ("tldr/train.jsonl", "{\"source\": [\"a\", \"b\"], \"target\": [\"c\"]}\n"),
        ("chat/train.json", "[{\"meta\": [\"p\"], \"dialogue\": [[\"a\", \"b\"]]}]"),
    ]);
    place.write("table/train.tsv.gz", gzip(b"good text\t1\nbad text\t0\nmore text\t1\nlast text\t0\n"));
    place.write("columns/train.parquet", parquet(["text", "label"], &[["a", "x"], ["b", "y"]]));
    for (folder, format, first) in [
        ("text", "text", ""),
        ("pairs", "parallel", r#"{"source":"a","target":"x"}"#),
        ("glue/CoLA", "glue", r#"{"text":"A sentence.","label":"acceptable"}"#),
        ("super/CB", "superglue", r#"{"text":"p","text_b":"h","label":"neutral"}"#),
        ("rows", "csv", r#"{"text":"a, b","label":"x"}"#),
        ("lines", "jsonl", r#"{"text":"a","label":"1"}"#),
        ("tldr", "scitldr", r#"{"source":"a b","target":"c"}"#),
        ("chat", "convai2", r#"{"persona":["p"],"history":["a"],"reply":"b"}"#),
        ("table", "tsv", r#"{"text":"good text","label":"1"}"#),
        ("columns", "parquet", r#"{"text":"a","label":"x"}"#),
    ] {
        let name = folder.replace('/', "-");
        let (_, said) = place.succeeds(&["import", &name, folder]);
        assert!(said.contains(&format!("format: {format}, from ")), "{folder}: {said}");
        match format {
            "text" => assert_eq!(place.read("data/text/train.txt"), "one\ntwo\n"),
            _ => assert_eq!(place.read(&format!("data/{name}/train.jsonl")).lines().next(), Some(first), "{folder}"),
        }
    }
}

#[test]
fn the_same_bytes_from_any_order_and_any_number_of_threads() {
    let place = Place::new();
    let names = ["b.en", "a.en", "c.en", "b.de", "a.de", "c.de"];
    for name in names {
        place.write(&format!("one/train.{name}"), format!("{}\n", name.replace("en", "x").replace("de", "x")));
    }
    for name in names.iter().rev() {
        place.write(&format!("other/train.{name}"), format!("{}\n", name.replace("en", "x").replace("de", "x")));
    }
    let first = place.json(&["import", "one", "one"]);
    let paths: Vec<String> = names.iter().map(|name| format!("other/train.{name}")).collect();
    let arguments: Vec<&str> =
        ["data", "import", "other"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let status = place.process(&arguments).env("OMP_NUM_THREADS", "2").env("RAYON_NUM_THREADS", "2").output().unwrap();
    assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    assert_eq!(place.read("data/one/train.jsonl"), place.read("data/other/train.jsonl"));
    let card: serde_json::Value = serde_json::from_str(&place.read("data/other/card.json")).unwrap();
    assert_eq!((&card["splits"], &card["list_sha256"]), (&first["splits"], &first["list_sha256"]));
}

#[test]
fn what_is_said_of_files_counts() {
    let place = Place::with(&[
        ("rows.tsv", "3.5\ta\n1\tb\n"),
        ("text.txt", "0123456789"),
        ("dev.tsv", "a\tx\nb\ty\nc\tx\nd\ty\n"),
    ]);
    place.write("latin.txt", b"HUM:ind Qui\xe9n ?\n");
    let rows = ["import", "rows", "rows.tsv", "--text", "2", "--label", "1", "--numeric-label"];
    place.succeeds(&rows);
    let expected = "{\"text\":\"a\",\"label\":3.5}\n{\"text\":\"b\",\"label\":1.0}\n";
    assert_eq!(place.read("data/rows/train.jsonl"), expected);
    place.succeeds(&["import", "text", "text.txt", "--split", "0.5,0.3,0.2", "--licence", "mine"]);
    let parts = ["train", "validation", "test"].map(|split| place.read(&format!("data/text/{split}.txt")));
    assert_eq!(parts, ["01234", "567", "89"]);
    assert!(place.read("data/text/card.json").contains("\"licence\": \"mine\""));
    place.fails(&["import", "latin", "latin.txt", "--format", "trec"], 1, &["latin.txt, line 1: not UTF-8", "0xe9"]);
    place.succeeds(&["import", "latin", "latin.txt", "--format", "trec", "--encoding", "latin-1"]);
    assert_eq!(place.read("data/latin/train.jsonl"), "{\"text\":\"Quién ?\",\"fine\":\"ind\",\"label\":\"HUM\"}\n");
    let card = place.json(&["import", "small", "train=dev.tsv"]);
    assert_eq!(Place::counts(&card), [("train".to_string(), 4)]);
}

#[test]
fn refusals_leave_nothing() {
    let place = Place::with(&[
        ("a.txt", "a"),
        ("train.en", "a\n"),
        ("train.de", "a\nb\n"),
        ("rows.tsv", "a\tb\tc\n"),
        ("folders/CoLA/train.tsv", "x"),
        ("keys.jsonl", "{\"x\": 1}\n"),
    ]);
    place.fails(&["import", "../x", "a.txt"], 2, &["the dataset's name is"]);
    place.fails(&["import", "x", "none.txt"], 2, &["no such file", "none.txt"]);
    place.fails(&["import", "x", "folders"], 2, &["the folders CoLA"]);
    place.fails(&["import", "x", "rows.tsv"], 2, &["cannot tell what the columns are", "--label"]);
    place.fails(&["import", "x", "keys.jsonl"], 2, &["cannot tell which keys", "has x"]);
    place.fails(&["import", "x", "a.txt", "--text", "2"], 2, &["say nothing of the format text"]);
    place.fails(&["import", "x", "a.txt", "--split", "0.5"], 2, &["--split is [0.5]"]);
    place.fails(&["import", "x", "train.en", "train.de"], 1, &["train.en has 1 lines", "train.de has 2"]);
    place.succeeds(&["import", "x", "a.txt"]);
    place.fails(&["import", "x", "a.txt"], 2, &["is there already", "synth data remove x"]);
}
