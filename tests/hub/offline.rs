//! Without network: what is in the cache, ours or Python's, and what is said of the rest.

use super::miniatures::{Miniature, miniature};
use super::stand_in::{StandIn, commit_of};
use super::{fetch, lines, message, online, settings};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use synth::data::hub::{Options, Settings};
use synth::exit::code;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

fn offline(home: &Path) -> Settings {
    settings(&[("HF_ENDPOINT", NOBODY), ("HF_HOME", home.to_str().unwrap()), ("HF_HUB_OFFLINE", "1")])
}

/// The cache that Python's `snapshot_download` leaves; answers the snapshot's folder.
fn python_cache(home: &Path, miniature: &Miniature) -> PathBuf {
    let repository = home.join("hub").join(format!("datasets--{}", miniature.repository.replace('/', "--")));
    let commit = commit_of(miniature.repository, miniature.revision);
    let reference = repository.join("refs").join(miniature.revision);
    fs::create_dir_all(reference.parent().unwrap()).unwrap();
    fs::write(reference, &commit).unwrap();
    let snapshot = repository.join("snapshots").join(&commit);
    fs::create_dir_all(repository.join("blobs")).unwrap();
    for file in &miniature.files {
        let blob = super::stand_in::sha256(&file.bytes);
        fs::write(repository.join("blobs").join(&blob), &file.bytes).unwrap();
        let pointer = snapshot.join(&file.path);
        fs::create_dir_all(pointer.parent().unwrap()).unwrap();
        let up = "../".repeat(2 + file.path.matches('/').count());
        symlink(format!("{up}blobs/{blob}"), pointer).unwrap();
    }
    snapshot
}

#[test]
fn what_was_fetched_once_is_prepared_again_without_network() {
    for name in ["lm1b", "multi30k"] {
        let miniature = miniature(name);
        let server = StandIn::start();
        server.add(miniature.repository, miniature.revision, miniature.files.clone());
        let home = tempfile::tempdir().unwrap();
        let first = fetch(&online(&server, home.path()), name, &Options::default(), &home.path().join("a")).unwrap();
        let second = fetch(&offline(home.path()), name, &Options::default(), &home.path().join("b")).unwrap();
        assert_eq!((&first.splits, &first.list_sha256), (&second.splits, &second.list_sha256));
        assert_eq!((&first.source, &first.revision), (&second.source, &second.revision));
    }
}

#[test]
fn a_cache_of_python_will_do() {
    for name in ["lm1b", "wmt14-de-en", "c4"] {
        let miniature = miniature(name);
        let home = tempfile::tempdir().unwrap();
        python_cache(home.path(), &miniature);
        let folder = home.path().join("set");
        let card = fetch(&offline(home.path()), name, &Options::default(), &folder).unwrap();
        for (split, expected) in &miniature.splits {
            assert_eq!(&lines(&folder, &card, split), expected, "{name}");
        }
        assert!(card.source.ends_with("; as found in a cache, without the hub's list of files"), "{}", card.source);
    }
}

#[test]
fn files_of_python_are_not_downloaded_again() {
    let miniature = miniature("wmt14-de-en");
    let home = tempfile::tempdir().unwrap();
    let snapshot = python_cache(home.path(), &miniature);
    fs::remove_file(snapshot.join("de-en/train-00001-of-00003.parquet")).unwrap();
    let server = StandIn::start();
    server.add(miniature.repository, miniature.revision, miniature.files.clone());
    let folder = home.path().join("set");
    let card = fetch(&online(&server, home.path()), "wmt14-de-en", &Options::default(), &folder).unwrap();
    assert_eq!(lines(&folder, &card, "train"), miniature.splits[0].1);
    // The blob is still there: only the link was missing.
    assert!(server.seen("/resolve/").is_empty());
    assert!(fs::symlink_metadata(snapshot.join("de-en/train-00001-of-00003.parquet")).unwrap().is_symlink());
}

#[test]
fn what_is_missing_is_refused_by_name() {
    let miniature = miniature("wmt14-de-en");
    let home = tempfile::tempdir().unwrap();
    let nothing = fetch(&offline(home.path()), "wmt14-de-en", &Options::default(), &home.path().join("a")).unwrap_err();
    let text = nothing.to_string();
    assert!(code(&nothing) == 2 && text.contains("holds nothing of dataset wmt/wmt14 at revision main"), "{text}");

    let snapshot = python_cache(home.path(), &miniature);
    fs::remove_file(snapshot.join("de-en/train-00001-of-00003.parquet")).unwrap();
    let part = fetch(&offline(home.path()), "wmt14-de-en", &Options::default(), &home.path().join("b")).unwrap_err();
    let text = part.to_string();
    assert!(code(&part) == 2 && text.contains("de-en/train-00001-of-00003.parquet is missing"), "{text}");

    let server = StandIn::start();
    server.add(miniature.repository, miniature.revision, miniature.files.clone());
    let some = Options { max_records: Some(1), ..Options::default() };
    fetch(&online(&server, home.path()), "wmt14-de-en", &some, &home.path().join("c")).unwrap();
    let listed = fetch(&offline(home.path()), "wmt14-de-en", &Options::default(), &home.path().join("d")).unwrap_err();
    let text = format!("{listed:#}");
    assert!(code(&listed) == 2 && text.contains("de-en/train-00001-of-00003.parquet of dataset wmt/wmt14"), "{text}");
}

#[test]
fn a_hub_that_cannot_be_reached_is_done_without() {
    let miniature = miniature("rotten-tomatoes");
    let home = tempfile::tempdir().unwrap();
    let settings = settings(&[("HF_ENDPOINT", NOBODY), ("HF_HOME", home.path().to_str().unwrap())]);
    let failed = fetch(&settings, "rotten-tomatoes", &Options::default(), &home.path().join("a"));
    assert!(message(failed).contains("5 attempts failed"));
    python_cache(home.path(), &miniature);
    let folder = home.path().join("b");
    let card = fetch(&settings, "rotten-tomatoes", &Options::default(), &folder).unwrap();
    assert_eq!(lines(&folder, &card, "test"), miniature.splits[2].1);
}

#[test]
fn damage_in_the_cache_is_found() {
    let miniature = miniature("ag-news");
    let home = tempfile::tempdir().unwrap();
    let snapshot = python_cache(home.path(), &miniature);
    let path = fs::canonicalize(snapshot.join("data/test-00000-of-00001.parquet")).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let failed = fetch(&offline(home.path()), "ag-news", &Options::default(), &home.path().join("set"));
    let message = message(failed);
    assert!(message.contains(path.to_str().unwrap()) && message.contains("is damaged"), "{message}");
}
