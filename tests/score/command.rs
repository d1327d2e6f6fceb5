//! `synth score` as a user types it.

use crate::place::Place;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

const HYPOTHESES: &[u8] = b"the cat sat on the mat\nhello there , friend\n\n";
const REFERENCES: &[u8] = b"the cat sat on a mat\r\nhello there , my friend\r\nnothing\r\n";

fn texts() -> Place {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(REFERENCES).unwrap();
    let zipped = gzip.finish().unwrap();
    Place::new(&[("out.txt", HYPOTHESES), ("ref.txt", REFERENCES), ("ref.gz", &zipped)])
}

#[test]
fn one_object_of_scores_and_signatures() {
    let object = texts().json("--metric chrf,bleu,ter --hypotheses out.txt --references ref.txt --references ref.txt");
    let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["chrf", "bleu", "ter", "signature"], "in the order asked for");
    // sacrebleu 2.6.0 on the same files.
    assert!((object["bleu"].as_f64().unwrap() - 42.15986762).abs() < 1e-8, "{object}");
    let signature = object["signature"]["bleu"].as_str().unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(signature, format!("nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp|version:synth-{version}"));
}

#[test]
fn gzip_and_stdin_read_as_plain_files() {
    let place = texts();
    let plain = place.json("--metric bleu,rougeL --hypotheses out.txt --references ref.txt");
    assert_eq!(place.json("--metric bleu,rougeL --hypotheses out.txt --references ref.gz"), plain);
    let mut piped = place.score("--metric bleu,rougeL --hypotheses - --references ref.gz --json");
    let output = piped.write_stdin(HYPOTHESES).assert().success().get_output().stdout.clone();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output).unwrap(), plain);
}

#[test]
fn a_byte_order_mark_is_no_text() {
    let place = Place::new(&[
        ("out.txt", b"\xef\xbb\xbf1\n0\n"),
        ("ref.txt", b"1\n0\n"),
        ("answers.jsonl", b"\xef\xbb\xbf{\"answers\": [1]}\n{\"answers\": [0]}\n"),
    ]);
    for (metrics, references) in [("accuracy,f1,bleu", "ref.txt"), ("squad-em,multirc-em", "answers.jsonl")] {
        let object =
            place.json(&format!("--metric {metrics} --smooth none --hypotheses out.txt --references {references}"));
        let same =
            place.json(&format!("--metric {metrics} --smooth none --hypotheses ref.txt --references {references}"));
        assert_eq!(object, same);
    }
    assert_eq!(place.json("--metric accuracy --hypotheses out.txt --references ref.txt")["accuracy"], 100.0);
}

#[test]
fn a_table_without_json() {
    let printed = texts().prints("--metric bleu,meteor-exact-stem --hypotheses out.txt --references ref.txt");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("bleu ") && lines[1].starts_with("meteor-exact-stem "), "{printed}");
    assert!(lines[0].contains("42.1599") && lines[0].contains("nrefs:1|"), "{printed}");
}

#[test]
fn a_line_for_each_line() {
    let place = texts();
    let printed = place.prints("--metric bleu,chrf --sentence-level --hypotheses out.txt --references ref.txt");
    let rows: Vec<Vec<f64>> =
        printed.lines().map(|line| line.split('\t').map(|score| score.parse().unwrap()).collect()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[2], [0.0, 0.0], "an empty line");
    let objects = place.prints("--metric chrf --sentence-level --hypotheses out.txt --references ref.txt --json");
    let first: serde_json::Value = serde_json::from_str(objects.lines().next().unwrap()).unwrap();
    assert!((first["chrf"].as_f64().unwrap() - rows[0][1]).abs() < 1e-4);
}

#[test]
fn sentences_within_a_line() {
    let place = Place::new(&[("out.txt", b"c d<n>a b\n"), ("ref.txt", b"a b<n>c d\n")]);
    let files = "--metric rougeL,rougeLsum --hypotheses out.txt --references ref.txt";
    let cut = place.json(&format!("{files} --sentence-break <n>"));
    assert_eq!(cut["rougeLsum"], 100.0);
    assert!(place.json(files)["rougeLsum"].as_f64().unwrap() < 100.0 && cut["rougeL"].as_f64().unwrap() < 100.0);
}

#[test]
fn two_systems_compared() {
    let lines = |words: &str| words.repeat(20).into_bytes();
    let place = Place::new(&[
        ("ref.txt", &lines("a b c d e f\ng h i j k l\n")),
        ("good.txt", &lines("a b c d e f\ng h i j k x\n")),
        ("bad.txt", &lines("a b x d e f\ng x i j k x\n")),
    ]);
    let files = "--metric bleu --hypotheses good.txt --references ref.txt --samples 200";
    for flag in ["--paired-bootstrap", "--paired-approximate-randomization"] {
        let arguments = format!("{files} {flag} bad.txt");
        let object = place.json(&arguments);
        assert!(object["bleu"].as_f64() > object["baseline"]["bleu"].as_f64(), "{object}");
        assert!(object["p_value"]["bleu"].as_f64().unwrap() < 0.02, "{object}");
        assert_eq!(place.json(&arguments), object, "the same command says the same");
        assert!(place.prints(&arguments).contains("p = 0.00"));
    }
    let object = place.json(&format!("{files} --confidence"));
    let [low, high] = ["low", "high"].map(|end| object["confidence"]["bleu"][end].as_f64().unwrap());
    let score = object["bleu"].as_f64().unwrap();
    assert!(low < score && score < high, "{object}");
    assert!(object["signature"]["bleu"].as_str().unwrap().contains("|bs:200|seed:12345|"));
}

#[test]
fn labels_and_numbers() {
    let place = Place::new(&[
        ("out.txt", b"1\n1\n0\n1\n0\n"),
        ("ref.txt", b"1\r\n0 \r\n0\r\n1\r\n1\r\n"),
        ("out.num", b"1\n2\n3.5\n"),
        ("ref.num", b"1e0\n3\n2\n"),
        ("same.num", b"1\n1\n1\n"),
        ("three.txt", b"a\nb\nc\na\na\n"),
    ]);
    let object = place.json("--metric accuracy,f1,macro-f1,matthews --hypotheses out.txt --references ref.txt");
    for (name, expected) in
        [("accuracy", 60.0), ("f1", 66.66666667), ("macro-f1", 58.33333333), ("matthews", 0.16666667)]
    {
        assert!((object[name].as_f64().unwrap() - expected).abs() < 1e-7, "{object}");
    }
    let object = place.json("--metric spearman --hypotheses out.num --references ref.num");
    assert!((object["spearman"].as_f64().unwrap() - 0.5).abs() < 1e-12, "{object}");
    assert!(place.json("--metric pearson --hypotheses same.num --references ref.num")["pearson"].is_null());
    assert_eq!(place.json("--metric f1 --positive a --hypotheses three.txt --references three.txt")["f1"], 100.0);
    place.fails("--metric f1 --hypotheses three.txt --references out.txt", 1, &["5 labels", "--positive"]);
    place.fails("--metric f1 --hypotheses three.txt --references three.txt", 1, &["no label is 1", "a, b, c"]);
    place.fails(
        "--metric pearson --hypotheses three.txt --references out.txt",
        1,
        &["three.txt, line 1", "\"a\" is no"],
    );
}

#[test]
fn answers_in_json_lines() {
    let place = Place::new(&[
        ("out.txt", b"The Cat\nblue whale\n\n"),
        (
            "ref.jsonl",
            b"{\"group\": 1, \"answers\": [\"dog\", \"cat\"]}\n{\"answers\": [\"whale\"]}\n{\"answers\": []}\n",
        ),
        ("own.jsonl", b"{\"group\": \"q1\", \"answers\": [1, 0]}\n{\"group\": \"q2\", \"answers\": [true]}\n"),
        (
            "right.jsonl",
            b"{\"group\": \"q1\", \"answers\": [\"1\", \"1\"]}\n{\"group\": \"q2\", \"answers\": [\"1\"]}\n",
        ),
    ]);
    let object = place.json("--metric squad-em,squad-f1 --hypotheses out.txt --references ref.jsonl");
    assert!((object["squad-em"].as_f64().unwrap() - 200.0 / 3.0).abs() < 1e-9, "{object}");
    assert!((object["squad-f1"].as_f64().unwrap() - 800.0 / 9.0).abs() < 1e-9, "{object}");
    let object = place.json("--metric multirc-f1a,multirc-em --hypotheses own.jsonl --references right.jsonl");
    assert_eq!((object["multirc-f1a"].as_f64(), object["multirc-em"].as_f64()), (Some(80.0), Some(50.0)));
    place.fails("--metric multirc-em --hypotheses out.txt --references ref.jsonl", 1, &["out.txt", "neither 1 nor 0"]);
}

#[test]
fn word_vectors_and_texts_alone() {
    let place = Place::new(&[("out.txt", b"a\nb b\n"), ("ref.txt", b"a\na\n"), ("vectors.txt", b"a 1 0\nb 0 1\n")]);
    let files = "--hypotheses out.txt --references ref.txt";
    let object = place.json(&format!("--metric embedding-average --vectors vectors.txt {files}"));
    assert_eq!(object["embedding-average"], 0.5);
    place.fails(&format!("--metric embedding-average {files}"), 2, &["--vectors"]);
    place.fails(&format!("--metric embedding-average --vectors ref.txt {files}"), 1, &["ref.txt: line 1"]);
    let object = place.json("--metric distinct-1,distinct-2 --hypotheses out.txt");
    assert!((object["distinct-1"].as_f64().unwrap() - 200.0 / 3.0).abs() < 1e-9, "{object}");
}

#[test]
fn what_arguments_show_is_refused() {
    let place = texts();
    let files = "--hypotheses out.txt --references ref.txt";
    place.fails(&format!("--metric blue {files}"), 2, &["blue", "bleu, chrf, chrf++, ter, rouge1"]);
    place.fails(&format!("--metric bleu --tokenize 14a {files}"), 2, &["14a", "13a, intl, char, zh, none"]);
    place.fails(&format!("--metric bleu --smooth floor:x {files}"), 2, &["floor:x", "add-k:VALUE"]);
    place.fails("--metric bleu --hypotheses out.txt", 2, &["bleu needs references", "--references"]);
    place.fails("--metric bleu --hypotheses out.txt --references absent.txt", 2, &["no such file: absent.txt"]);
    place.fails("--metric bleu --hypotheses . --references ref.txt", 2, &["is a directory"]);
    place.fails("--metric bleu --hypotheses - --references -", 2, &["stdin"]);
    place.fails(&format!("--metric f1 {files} --references ref.gz"), 2, &["one file of references", "found 2"]);
    place.fails(&format!("--metric matthews --confidence {files}"), 2, &["--confidence", "matthews"]);
    place.fails(&format!("--metric bleu --confidence --sentence-level {files}"), 2, &["cannot be used with"]);
}

#[test]
fn what_files_hold_is_an_error() {
    let place = Place::new(&[
        ("out.txt", b"a\nb\n"),
        ("short.txt", b"a\n"),
        ("empty.txt", b""),
        ("latin.txt", b"a\ncaf\xe9\n"),
    ]);
    let fails = |references: &str, expected: &[&str]| {
        place.fails(&format!("--metric bleu --hypotheses out.txt --references {references}"), 1, expected);
    };
    fails("short.txt", &["out.txt has 2 lines and short.txt has 1"]);
    fails("empty.txt", &["empty.txt is empty"]);
    fails("latin.txt", &["latin.txt, line 2: not UTF-8 text"]);
}
