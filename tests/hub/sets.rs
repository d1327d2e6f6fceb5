//! Every named set out of a repository laid out as the real one.

use super::miniatures::{Miniature, converted_personachat, miniature};
use super::stand_in::{StandIn, commit_of};
use super::{fetch, lines, message, online};
use std::fs;
use synth::data::card::Layout;
use synth::data::hub::{Options, catalogue};
use synth::data::source::open_input;

fn serving(miniature: &Miniature) -> StandIn {
    let server = StandIn::start();
    server.add(miniature.repository, miniature.revision, miniature.files.clone());
    server
}

#[test]
fn every_set_has_the_records_of_its_rows() {
    for set in catalogue::all() {
        let miniature = miniature(set.name);
        let server = serving(&miniature);
        let (home, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let card = fetch(&online(&server, home.path()), set.name, &Options::default(), folder.path()).unwrap();
        let splits: Vec<&str> = miniature.splits.iter().map(|(split, _)| *split).collect();
        assert_eq!(card.splits.names().len(), splits.len(), "{}", set.name);
        for (split, expected) in &miniature.splits {
            assert_eq!(&lines(folder.path(), &card, split), expected, "{}, {split}", set.name);
            let facts = card.splits.get(split).unwrap();
            assert_eq!(facts.records as usize, expected.len(), "{}, {split}", set.name);
        }
        assert_eq!(card.revision, Some(commit_of(miniature.repository, miniature.revision)));
        assert_eq!((card.shape.is_none(), card.research_only), (card.layout == Layout::Text, set.research_only));
        assert!(card.source.contains(set.repository) && card.source.contains(miniature.revision), "{}", card.source);
        card.write(folder.path()).unwrap();
        synth::data::card::Card::read(folder.path(), set.name).unwrap();
    }
}

#[test]
fn prepared_twice_it_is_the_same() {
    let miniature = miniature("wmt14-de-en");
    let server = serving(&miniature);
    let home = tempfile::tempdir().unwrap();
    let cards = [(); 2].map(|()| {
        let folder = tempfile::tempdir().unwrap();
        fetch(&online(&server, home.path()), "wmt14-de-en", &Options::default(), folder.path()).unwrap()
    });
    assert_eq!((&cards[0].splits, &cards[0].list_sha256), (&cards[1].splits, &cards[1].list_sha256));
    assert_eq!(cards[0].source_language.as_deref(), Some("en"));
    assert_eq!(cards[0].splits.get("train").unwrap().files, 3);
}

#[test]
fn a_part_is_downloaded_where_a_part_is_wanted() {
    let miniature = miniature("wmt14-de-en");
    let server = serving(&miniature);
    let home = tempfile::tempdir().unwrap();
    let options = Options { max_records: Some(3), ..Options::default() };
    let folder = home.path().join("three");
    let card = fetch(&online(&server, home.path()), "wmt14-de-en", &options, &folder).unwrap();
    assert_eq!(lines(&folder, &card, "train"), miniature.splits[0].1[..3]);
    assert_eq!(lines(&folder, &card, "test").len(), 2);
    assert!(card.source.ends_with("; the first 3 records of each split at most"), "{}", card.source);
    assert!(server.seen("train-00002-of-00003").is_empty() && !server.seen("train-00001-of-00003").is_empty());

    let options = Options { shards: Some(1), ..Options::default() };
    let folder = home.path().join("one");
    let card = fetch(&online(&server, home.path()), "wmt14-de-en", &options, &folder).unwrap();
    assert_eq!(lines(&folder, &card, "train"), miniature.splits[0].1[..2]);
    assert!(card.source.ends_with("; the first 1 files of each split at most"), "{}", card.source);
}

#[test]
fn a_dialogue_counts_by_its_turns() {
    let server = serving(&miniature("personachat"));
    let home = tempfile::tempdir().unwrap();
    let options = Options { max_records: Some(1), ..Options::default() };
    let folder = home.path().join("set");
    let card = fetch(&online(&server, home.path()), "personachat", &options, &folder).unwrap();
    assert_eq!(lines(&folder, &card, "train").len(), 1);
}

/// The files of the loading script are gone one day; the hub's conversion stays.
#[test]
fn personachat_is_found_in_the_conversion_too() {
    let miniature = converted_personachat();
    let server = serving(&miniature);
    server.add(miniature.repository, "main", Vec::new());
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("set");
    let card = fetch(&online(&server, home.path()), "personachat", &Options::default(), &folder).unwrap();
    for (split, expected) in &miniature.splits {
        assert_eq!(&lines(&folder, &card, split), expected);
    }
}

#[test]
fn another_revision_is_taken_where_it_is_asked_for() {
    let miniature = miniature("rotten-tomatoes");
    let server = StandIn::start();
    let commit = server.add(miniature.repository, "v1.0", miniature.files.clone());
    let home = tempfile::tempdir().unwrap();
    for revision in ["v1.0", &commit] {
        let options = Options { revision: Some(revision.into()), ..Options::default() };
        let folder = home.path().join(revision);
        let card = fetch(&online(&server, home.path()), "rotten-tomatoes", &options, &folder).unwrap();
        assert_eq!(card.revision.as_ref(), Some(&commit));
        assert!(card.source.contains(&format!("revision {revision}")));
    }
    let options = Options { revision: Some("v2".into()), ..Options::default() };
    let failed = fetch(&online(&server, home.path()), "rotten-tomatoes", &options, &home.path().join("none"));
    assert!(message(failed).contains("at revision v2 has no such revision"));
}

#[test]
fn damaged_rows_are_named() {
    let mut miniature = miniature("ag-news");
    let train = miniature.files.iter_mut().find(|file| file.path.contains("train")).unwrap();
    train.bytes.truncate(train.bytes.len() - 9);
    let server = serving(&miniature);
    let home = tempfile::tempdir().unwrap();
    let failed = fetch(&online(&server, home.path()), "ag-news", &Options::default(), &home.path().join("set"));
    let message = message(failed);
    assert!(
        message.contains("dataset ag-news, data/train-00000-of-00001.parquet: ") && message.contains("truncated"),
        "{message}"
    );
}

#[test]
fn a_split_that_is_not_there_is_named() {
    let mut miniature = miniature("glue-cola");
    miniature.files.retain(|file| !file.path.contains("validation"));
    let server = serving(&miniature);
    let home = tempfile::tempdir().unwrap();
    let failed = fetch(&online(&server, home.path()), "glue-cola", &Options::default(), &home.path().join("set"));
    assert!(message(failed).ends_with("there is no cola/validation….parquet"));
    let empty = StandIn::start();
    empty.add(miniature.repository, "main", Vec::new());
    let failed = fetch(&online(&empty, home.path()), "glue-cola", &Options::default(), &home.path().join("other"));
    assert!(message(failed).contains("there is no cola/train….parquet, cola/validation"));
}

/// What the real file is, the prepared split is: tried on its validation split where that lies.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn wikitext_is_the_original_text() {
    let Some(data) = std::env::var_os("SYNTH_TEST_DATA") else {
        eprintln!("skipped: SYNTH_TEST_DATA is not set");
        return;
    };
    let path = std::path::Path::new(&data).join("wikitext2-valid-test/wiki.valid.raw.gz");
    let text = std::io::read_to_string(open_input(&path, &Default::default()).unwrap()).unwrap();
    // As the hub's loading script makes rows of lines.
    let rows: Vec<&str> =
        text.split_inclusive('\n').map(|line| if line.trim().is_empty() { "" } else { line }).collect();
    let parquet = super::parquet_file::file(
        "message schema { optional binary text (UTF8); }",
        super::parquet_file::snappy(),
        &[vec![super::parquet_file::texts(&rows)]],
    );
    let mut miniature = miniature("wikitext-2");
    let valid = miniature.files.iter_mut().find(|file| file.path.contains("validation")).unwrap();
    valid.bytes = parquet;
    let server = serving(&miniature);
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("set");
    fetch(&online(&server, home.path()), "wikitext-2", &Options::default(), &folder).unwrap();
    assert!(fs::read_to_string(folder.join("validation.txt")).unwrap() == text);
}
