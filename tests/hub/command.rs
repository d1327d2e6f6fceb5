//! `synth data fetch` as a user types it, and killed halfway.

use super::miniatures::{miniature, multi30k};
use super::stand_in::{Fault, StandIn, sha256};
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The program with a place of its own for everything.
fn synth(server: &StandIn, place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.arg("data").args(arguments).env_remove("SYNTH_LOG").current_dir(place);
    for name in ["HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN_PATH"] {
        command.env_remove(name);
    }
    command.env("HF_ENDPOINT", &server.endpoint).env("HF_HOME", place.join("home")).env("HF_TOKEN", "hf_secret");
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", "20").env("SYNTH_DATA", place.join("data"));
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn run(server: &StandIn, place: &Path, arguments: &[&str]) -> Output {
    synth(server, place, arguments).output().unwrap()
}

#[test]
fn a_set_is_fetched_listed_and_not_fetched_again() {
    let server = StandIn::start();
    server.add("bentrevett/multi30k", "main", multi30k(20));
    let place = tempfile::tempdir().unwrap();
    let output = run(&server, place.path(), &["fetch", "multi30k", "--json"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let card: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(card["splits"]["train"]["records"], 20);
    assert_eq!((&card["source_language"], &card["target_language"]), (&"en".into(), &"de".into()));
    let (warned, began) = (said.find("research only").unwrap(), said.find("downloading 3 files").unwrap());
    assert!(warned < began, "the licence is told before anything is fetched: {said}");
    assert!(!said.contains("hf_secret"));

    let asked = server.seen("").len();
    let again = run(&server, place.path(), &["fetch", "multi30k"]);
    assert!(again.status.success() && text(&again.stderr).contains("nothing to do"));
    assert_eq!(server.seen("").len(), asked);
    let other = run(&server, place.path(), &["fetch", "multi30k", "--max-records", "5"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(text(&other.stderr).contains("run `synth data remove multi30k` first"), "{}", text(&other.stderr));
    assert!(text(&run(&server, place.path(), &["list"]).stdout).contains("multi30k"));
    assert!(server.seen("").iter().all(|seen| !seen.headers.contains_key("authorization")));
}

#[test]
fn what_is_refused_is_one_line_and_exit_code_2() {
    let server = StandIn::start();
    let place = tempfile::tempdir().unwrap();
    for (arguments, expected) in [
        (&["fetch", "rust-sources", "--shards", "1"][..], "are for sets of the hub; rust-sources is none"),
        (&["fetch", "multi30k", "--revision", "../main"], "the revision is \"../main\""),
        (&["fetch", "multi30k", "--max-records", "0"], "--max-records"),
        (&["fetch", "c4", "--whole", "--shards", "1"], "cannot be used with"),
        (&["fetch", "wikitext-3"], "there is no dataset wikitext-3"),
    ] {
        let output = run(&server, place.path(), arguments);
        let said = text(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(expected) && !said.contains("panicked"), "{said}");
    }
    let unknown = run(&server, place.path(), &["fetch", "imdb"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("dataset stanfordnlp/imdb at revision main is private or does not exist"));
    let offline = synth(&server, place.path(), &["fetch", "imdb"]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    assert_eq!(offline.status.code(), Some(2));
    assert!(!place.path().join("data/imdb").exists() && server.seen("/resolve/").is_empty());
}

#[test]
fn a_fetch_that_is_killed_leaves_nothing_that_the_next_trips_over() {
    let server = StandIn::start();
    let files = multi30k(2000);
    let train = files.iter().find(|file| file.path == "train.jsonl").unwrap().bytes.clone();
    server.add("bentrevett/multi30k", "main", files);
    server.fail("storage", "train.jsonl", [Fault::Stall(50_000)]);
    let place = tempfile::tempdir().unwrap();
    let mut killed = synth(&server, place.path(), &["fetch", "multi30k"]);
    let mut killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let blobs = place.path().join("home/hub/datasets--bentrevett--multi30k/blobs");
    let incomplete = blobs.join(format!("{}.incomplete", sha256(&train)));
    let start = Instant::now();
    while fs::metadata(&incomplete).map_or(0, |metadata| metadata.len()) < 50_000 {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing arrives");
        sleep(Duration::from_millis(10));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!place.path().join("data/multi30k").exists());

    let output = run(&server, place.path(), &["fetch", "multi30k"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(server.ranges("train.jsonl"), [None, Some("bytes=50000-".to_string())]);
    let names: Vec<_> =
        fs::read_dir(place.path().join("data")).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["multi30k"], "the killed process's place is gone");
    assert_eq!(text(&fs::read(place.path().join("data/multi30k/train.jsonl")).unwrap()).lines().count(), 2000);
}

#[test]
fn a_part_of_a_large_set_is_told_in_its_card() {
    let server = StandIn::start();
    let miniature = miniature("c4");
    server.add(miniature.repository, miniature.revision, miniature.files);
    let place = tempfile::tempdir().unwrap();
    let output = run(&server, place.path(), &["fetch", "c4", "--shards", "1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let card = fs::read_to_string(place.path().join("data/c4/card.json")).unwrap();
    assert!(card.contains("; the first 1 files of each split at most"), "{card}");
    let again = run(&server, place.path(), &["fetch", "c4", "--shards", "1"]);
    assert!(again.status.success() && text(&again.stderr).contains("nothing to do"));
    for other in [&["fetch", "c4"][..], &["fetch", "c4", "--whole"], &["fetch", "c4", "--shards", "2"]] {
        let refused = run(&server, place.path(), other);
        let said = text(&refused.stderr);
        assert!(refused.status.code() == Some(2), "{other:?}: {said}");
        assert!(said.contains("the first 1 files of each split") && said.contains("`synth data remove c4`"), "{said}");
    }
}

#[test]
fn files_of_the_users_own_are_no_set_of_the_hub() {
    let server = StandIn::start();
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("rows.tsv"), "fine\t1\nbad\t0\ngood\t1\nugly\t0\n").unwrap();
    for name in ["imdb", "rust-sources"] {
        let imported = run(&server, place.path(), &["import", name, "rows.tsv"]);
        assert!(imported.status.success(), "{}", text(&imported.stderr));
        let fetched = run(&server, place.path(), &["fetch", name]);
        let said = text(&fetched.stderr);
        assert!(fetched.status.code() == Some(2) && said.contains("Imported from rows.tsv"), "{said}");
    }
    assert!(server.seen("").is_empty());
}

#[test]
fn two_at_once_download_a_file_once() {
    let server = StandIn::start();
    server.add("bentrevett/multi30k", "main", multi30k(2000));
    server.fail("storage", "train.jsonl", [Fault::Stall(1000)]);
    let place = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = synth(&server, place.path(), &["fetch", "multi30k"]);
        command.env("HF_HUB_DOWNLOAD_TIMEOUT", "3").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    for output in &outputs {
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_eq!(server.ranges("train.jsonl"), [None, Some("bytes=1000-".to_string())]);
    let said = outputs.map(|output| text(&output.stderr)).concat();
    assert!(said.contains("another process downloads") || said.contains("nothing to do"), "{said}");
}
