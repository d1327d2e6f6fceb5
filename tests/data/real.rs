//! The real sets in `$SYNTH_TEST_DATA`, with the counts of their READMEs.

use crate::place::Place;
use std::path::PathBuf;

/// The folder of real data; none, said on stderr, where there is none.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("SYNTH_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SYNTH_TEST_DATA is not set");
    }
    folder
}

/// Imports, shows every split, and compares the counts.
fn check(place: &Place, name: &str, arguments: &[&str], expected: &[(&str, u64)]) {
    let card = place.json(&[&["import", name], arguments].concat());
    let expected: Vec<(String, u64)> = expected.iter().map(|(split, count)| (split.to_string(), *count)).collect();
    assert_eq!(Place::counts(&card), expected, "{name}");
    for (split, records) in &expected {
        let shown = place.json(&["show", name, "--split", split, "--samples", "2"]);
        let lengths = shown["lengths"].as_object().unwrap();
        assert_eq!(shown["samples"].as_array().unwrap().len(), 2, "{name} {split}");
        let longest_field = lengths.values().map(|field| field["words"]["count"].as_u64().unwrap()).max().unwrap();
        assert!(longest_field >= *records, "{name} {split}");
    }
}

#[test]
fn texts_pairs_and_dialogues() {
    let Some(data) = real_data() else { return };
    let path = |name: &str| data.join(name).to_str().unwrap().to_string();
    let place = Place::new();
    let cut = [&path("tinyshakespeare"), "--split", "0.9,0.1"];
    check(&place, "tinyshakespeare", &cut, &[("train", 35_526), ("validation", 4_475)]);
    let sizes = ["train", "validation"].map(|split| place.read(&format!("data/tinyshakespeare/{split}.txt")).len());
    assert_eq!(sizes, [1_003_854, 111_540]);
    check(&place, "wikitext-2", &[&path("wikitext2-valid-test")], &[("validation", 3_760), ("test", 4_358)]);
    let words = ["validation", "test"]
        .map(|split| place.read(&format!("data/wikitext-2/{split}.txt")).split_whitespace().count());
    assert_eq!(words, [213_886, 241_211]);
    for language in ["de", "fr"] {
        let name = format!("multi30k-en-{language}");
        let arguments = [&path("multi30k"), "--source", "en", "--target", language];
        let counts = [("train", 29_000), ("validation", 1_014), ("test", 1_000), ("test_2017_flickr", 1_000)];
        check(&place, &name, &arguments, &counts);
    }
    let first = place.read("data/multi30k-en-de/test.jsonl");
    assert!(
        first.starts_with("{\"source\":\"A man in an orange hat starring at something.\",\"target\":\"Ein Mann mit")
    );
    let counts = [("train", 1_992), ("validation", 619), ("test", 618)];
    check(&place, "scitldr", &[&path("scitldr-a")], &counts);
    check(&place, "dialogsum", &[&path("dialogsum")], &[("validation", 500), ("test", 500)]);
    let test = place.read("data/dialogsum/test.jsonl");
    for line in test.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["references"].as_array().unwrap().len(), 3);
    }
    let counts =
        [("validation", 7_316), ("test", 7_801), ("msc-session-1-test", 3_286), ("msc-session-1-valid", 3_884)];
    check(&place, "convai2", &[&path("convai2-personachat")], &counts);
}

#[test]
fn benchmarks_of_tasks() {
    let Some(data) = real_data() else { return };
    let path = |name: &str| data.join(name).to_str().unwrap().to_string();
    let place = Place::new();
    for (task, [train, validation, test]) in [
        ("CoLA", [8_551, 1_043, 1_063]),
        ("SST-2", [67_349, 872, 1_821]),
        ("MRPC", [3_667, 408, 1_725]),
        ("STS-B", [5_749, 1_500, 1_379]),
        ("RTE", [2_490, 277, 3_000]),
        ("WNLI", [635, 71, 146]),
        ("QNLI", [0, 5_463, 5_463]),
    ] {
        let counts = [("train", train), ("validation", validation), ("test", test)];
        let counts: Vec<(&str, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        check(&place, &format!("glue-{task}"), &[&path(&format!("glue/{task}"))], &counts);
    }
    for (task, validation, train_full) in [
        ("BoolQ", 3_270, 0),
        ("CB", 56, 0),
        ("COPA", 100, 400),
        ("RTE", 277, 2_490),
        ("WiC", 638, 0),
        ("WSC", 104, 554),
    ] {
        let counts = [("train", 32), ("validation", validation), ("dev32", 32), ("train_full", train_full)];
        let counts: Vec<(&str, u64)> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
        check(&place, &format!("superglue-{task}"), &[&path(&format!("superglue/{task}"))], &counts);
    }
    // 83 passages, one record an answer.
    let counts = [("train", 154), ("validation", 4_848), ("dev32", 167)];
    check(&place, "superglue-MultiRC", &[&path("superglue/MultiRC")], &counts);
    let card: serde_json::Value = serde_json::from_str(&place.read("data/superglue-CB/card.json")).unwrap();
    assert_eq!(card["labels"], serde_json::json!(["entailment", "contradiction", "neutral"]));
}

#[test]
fn classes_of_sentences_and_reviews() {
    let Some(data) = real_data() else { return };
    let path = |name: &str| data.join(name).to_str().unwrap().to_string();
    let place = Place::new();
    check(&place, "ag-news", &[&path("agnews-small")], &[("validation", 10_001), ("test", 7_600)]);
    check(&place, "imdb", &[&path("imdb")], &[("train", 25_000), ("test", 25_000)]);
    let positive =
        place.read("data/imdb/train.jsonl").lines().filter(|line| line.ends_with("\"label\":\"1\"}")).count();
    assert_eq!(positive, 12_500);
    let counts = [("train", 6_920), ("validation", 872), ("test", 1_821)];
    check(&place, "sst2-sentence", &[&path("sst2-sentence")], &counts);
    let [positive, negative] =
        ["pos", "neg"].map(|label| format!("{label}={}", path(&format!("sentence-classification/mr.{label}"))));
    check(&place, "mr", &[&positive, &negative], &[("train", 10_662)]);
    let [subjective, objective] = ["subjective", "objective"]
        .map(|label| format!("{label}={}", path(&format!("sentence-classification/subj.{label}"))));
    check(&place, "subj", &[&subjective, &objective], &[("train", 10_000)]);
    let trec = [&path("sentence-classification/trec.*"), "--format", "trec", "--encoding", "latin-1"];
    check(&place, "trec", &trec, &[("train", 5_452), ("test", 500)]);
    let card: serde_json::Value = serde_json::from_str(&place.read("data/trec/card.json")).unwrap();
    assert_eq!(card["labels"], serde_json::json!(["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]));
}
