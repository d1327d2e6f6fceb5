//! The real sets in `$SYNTH_TEST_DATA`, with the counts of their READMEs.

use crate::place::Place;
use std::path::PathBuf;
use synth::data::card::Card;
use synth::data::datasets;
use synth::data::import::{Format, ImportOptions, Keys, import};
use synth::data::source::Encoding;

/// The folder of real data; none, said on stderr, where there is none.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("SYNTH_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: SYNTH_TEST_DATA is not set");
    }
    folder
}

/// Imports, reads every record back, and compares the counts.
fn check(place: &Place, name: &str, paths: &[&str], options: ImportOptions, expected: &[(&str, u64)]) -> Card {
    let root = place.path("data");
    let paths: Vec<String> = paths.iter().map(|path| path.to_string()).collect();
    let card = import(name, &paths, &options, &root).unwrap();
    let counts: Vec<(&str, u64)> = card.splits.iter().map(|(split, facts)| (split, facts.records)).collect();
    assert_eq!(counts, expected, "{name}");
    let set = datasets::open(name, &root).unwrap();
    for (split, records) in expected {
        set.verify(split).unwrap();
        if card.shape.is_some() {
            let read = set.records(split).unwrap().map(|record| record.unwrap());
            assert_eq!(read.filter(|record| !record.texts().is_empty()).count() as u64, *records, "{name} {split}");
        }
    }
    card
}

/// The keys of pairs.
pub fn keys(source: &str, target: &str) -> ImportOptions {
    let keys = Keys { source: Some(source.into()), target: Some(target.into()), ..Keys::default() };
    ImportOptions { keys, ..ImportOptions::default() }
}

#[test]
fn texts_pairs_and_dialogues() {
    let Some(data) = real_data() else { return };
    let path = |name: &str| data.join(name).to_str().unwrap().to_string();
    let place = Place::new();
    let plain = ImportOptions::default;
    let cut = ImportOptions { split: Some(vec![0.9, 0.1]), ..plain() };
    let counts = [("train", 35_526), ("validation", 4_475)];
    check(&place, "tinyshakespeare", &[&path("tinyshakespeare")], cut, &counts);
    let sizes = ["train", "validation"].map(|split| place.read(&format!("data/tinyshakespeare/{split}.txt")).len());
    assert_eq!(sizes, [1_003_854, 111_540]);
    check(&place, "wikitext-2", &[&path("wikitext2-valid-test")], plain(), &[("validation", 3_760), ("test", 4_358)]);
    let words = ["validation", "test"]
        .map(|split| place.read(&format!("data/wikitext-2/{split}.txt")).split_whitespace().count());
    assert_eq!(words, [213_886, 241_211]);
    for language in ["de", "fr"] {
        let name = format!("multi30k-en-{language}");
        let counts = [("train", 29_000), ("validation", 1_014), ("test", 1_000), ("test_2017_flickr", 1_000)];
        check(&place, &name, &[&path("multi30k")], keys("en", language), &counts);
    }
    let first = place.read("data/multi30k-en-de/test.jsonl");
    assert!(
        first.starts_with("{\"source\":\"A man in an orange hat starring at something.\",\"target\":\"Ein Mann mit")
    );
    let counts = [("train", 1_992), ("validation", 619), ("test", 618)];
    check(&place, "scitldr", &[&path("scitldr-a")], plain(), &counts);
    check(&place, "dialogsum", &[&path("dialogsum")], plain(), &[("validation", 500), ("test", 500)]);
    let test = place.read("data/dialogsum/test.jsonl");
    for line in test.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(record["references"].as_array().unwrap().len(), 3);
    }
    let counts =
        [("validation", 7_316), ("test", 7_801), ("msc-session-1-test", 3_286), ("msc-session-1-valid", 3_884)];
    check(&place, "convai2", &[&path("convai2-personachat")], plain(), &counts);
    for (name, split) in
        [("multi30k-en-de", "test_2017_flickr"), ("tinyshakespeare", "validation"), ("convai2", "test")]
    {
        let shown = place.json(&["show", name, "--split", split, "--samples", "2"]);
        assert_eq!(shown["samples"].as_array().unwrap().len(), 2, "{name}");
        let field = if name == "convai2" { "reply" } else { "source" };
        let field = if name == "tinyshakespeare" { "line" } else { field };
        let records = shown["card"]["splits"][split]["records"].clone();
        assert_eq!(shown["lengths"][field]["words"]["count"], records, "{name}");
    }
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
        check(&place, &format!("glue-{task}"), &[&path(&format!("glue/{task}"))], ImportOptions::default(), &counts);
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
        check(
            &place,
            &format!("superglue-{task}"),
            &[&path(&format!("superglue/{task}"))],
            ImportOptions::default(),
            &counts,
        );
    }
    // 83 passages, one record an answer.
    let counts = [("train", 154), ("validation", 4_848), ("dev32", 167)];
    check(&place, "superglue-MultiRC", &[&path("superglue/MultiRC")], ImportOptions::default(), &counts);
    let card = datasets::open("superglue-CB", &place.path("data")).unwrap().card().clone();
    assert_eq!(card.labels.unwrap(), ["entailment", "contradiction", "neutral"]);
}

#[test]
fn classes_of_sentences_and_reviews() {
    let Some(data) = real_data() else { return };
    let path = |name: &str| data.join(name).to_str().unwrap().to_string();
    let place = Place::new();
    let plain = ImportOptions::default;
    check(&place, "ag-news", &[&path("agnews-small")], plain(), &[("validation", 10_001), ("test", 7_600)]);
    check(&place, "imdb", &[&path("imdb")], plain(), &[("train", 25_000), ("test", 25_000)]);
    let positive =
        place.read("data/imdb/train.jsonl").lines().filter(|line| line.ends_with("\"label\":\"1\"}")).count();
    assert_eq!(positive, 12_500);
    let counts = [("train", 6_920), ("validation", 872), ("test", 1_821)];
    check(&place, "sst2-sentence", &[&path("sst2-sentence")], plain(), &counts);
    let [positive, negative] =
        ["pos", "neg"].map(|label| format!("{label}={}", path(&format!("sentence-classification/mr.{label}"))));
    check(&place, "mr", &[&positive, &negative], plain(), &[("train", 10_662)]);
    let [subjective, objective] = ["subjective", "objective"]
        .map(|label| format!("{label}={}", path(&format!("sentence-classification/subj.{label}"))));
    check(&place, "subj", &[&subjective, &objective], plain(), &[("train", 10_000)]);
    let corpus = path("sentence-classification/mr.textgcn-*.txt");
    let latin = ImportOptions { format: Some(Format::Textgcn), encoding: Encoding::Latin1, ..plain() };
    check(&place, "mr-textgcn", &[&corpus], latin, &[("train", 7_108), ("test", 3_554)]);
    let latin = ImportOptions { format: Some(Format::Trec), encoding: Encoding::Latin1, ..plain() };
    let trec = path("sentence-classification/trec.*");
    let card = check(&place, "trec", &[&trec], latin, &[("train", 5_452), ("test", 500)]);
    assert_eq!(card.labels.unwrap(), ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]);
}
