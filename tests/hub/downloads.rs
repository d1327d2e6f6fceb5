//! Redirects, broken and lying connections, refusals: what comes out is right, or one sentence.

use super::miniatures::multi30k;
use super::stand_in::{Content, Fault, StandIn, large, sha256, small};
use super::{fetch, lines, message, online, settings};
use std::fs;
use std::path::Path;
use synth::data::hub::Options;
use synth::exit::code;

const REPOSITORY: &str = "bentrevett/multi30k";

/// A server with Multi30k, whose train file has over a thousand lines.
fn server() -> (StandIn, Vec<Content>) {
    let server = StandIn::start();
    let files = multi30k(1200);
    server.add(REPOSITORY, "main", files.clone());
    (server, files)
}

/// Fetches Multi30k and compares every split with what the server has.
fn check(server: &StandIn, files: &[Content], home: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let card = fetch(&online(server, home), "multi30k", &Options::default(), folder.path()).unwrap();
    for (split, path) in [("train", "train.jsonl"), ("validation", "val.jsonl"), ("test", "test.jsonl")] {
        let source = files.iter().find(|file| file.path == path).unwrap();
        let expected = String::from_utf8(source.bytes.clone()).unwrap().lines().count();
        assert_eq!(lines(folder.path(), &card, split).len(), expected, "{split}");
        assert_eq!(card.splits.get(split).unwrap().records as usize, expected);
        let cached = home.join("hub/datasets--bentrevett--multi30k/snapshots").join(card.revision.as_ref().unwrap());
        assert_eq!(sha256(&fs::read(cached.join(path)).unwrap()), sha256(&source.bytes), "{path}");
    }
    let blobs = fs::read_dir(home.join("hub/datasets--bentrevett--multi30k/blobs")).unwrap();
    assert!(blobs.flatten().all(|blob| !blob.file_name().to_string_lossy().ends_with(".incomplete")));
}

#[test]
fn redirects_of_both_kinds_are_followed() {
    let (server, files) = server();
    let home = tempfile::tempdir().unwrap();
    check(&server, &files, home.path());
    let train = server.seen("train.jsonl");
    assert_eq!(train.iter().map(|seen| seen.place).collect::<Vec<_>>(), ["hub", "storage"], "large: another host");
    let test = server.seen("test.jsonl");
    assert_eq!(test.iter().map(|seen| seen.place).collect::<Vec<_>>(), ["hub", "hub"], "small: relative");
    assert!(test[1].path.starts_with("/api/resolve-cache/"));

    let asked = server.seen("").len();
    check(&server, &files, home.path());
    let again = server.seen("");
    assert_eq!(again.len(), asked + 1, "what is in the cache is not downloaded again");
    assert!(again[asked].path.starts_with("/api/datasets/bentrevett/multi30k/revision/main"));
}

#[test]
fn a_broken_download_goes_on_where_it_broke_off() {
    let (server, files) = server();
    let faults = [Fault::BreakOff(1000), Fault::BreakOff(500), Fault::Stall(2000)];
    server.fail("storage", "train.jsonl", faults);
    check(&server, &files, tempfile::tempdir().unwrap().path());
    let ranges = server.ranges("train.jsonl");
    let expected = [None, Some("bytes=1000-"), Some("bytes=1500-"), Some("bytes=3500-")];
    assert_eq!(ranges, expected.map(|range| range.map(str::to_string)));
}

#[test]
fn the_next_process_goes_on_where_one_was_killed() {
    let (server, files) = server();
    let home = tempfile::tempdir().unwrap();
    let train = files.iter().find(|file| file.path == "train.jsonl").unwrap();
    let blobs = home.path().join("hub/datasets--bentrevett--multi30k/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", sha256(&train.bytes))), &train.bytes[..4321]).unwrap();
    check(&server, &files, home.path());
    assert_eq!(server.ranges("train.jsonl"), [Some("bytes=4321-".to_string())]);
}

#[test]
fn what_was_left_wrong_is_found_by_its_hash_and_fetched_anew() {
    let (server, files) = server();
    let home = tempfile::tempdir().unwrap();
    let train = files.iter().find(|file| file.path == "train.jsonl").unwrap();
    let blobs = home.path().join("hub/datasets--bentrevett--multi30k/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(blobs.join(format!("{}.incomplete", sha256(&train.bytes))), vec![b'x'; 99]).unwrap();
    server.fail("storage", "train.jsonl", [Fault::StayOpen, Fault::Garbage]);
    check(&server, &files, home.path());
    assert_eq!(server.ranges("train.jsonl"), [Some("bytes=99-".to_string()), None, None]);
}

#[test]
fn a_server_without_ranges_sends_it_all_again() {
    let (server, files) = server();
    server.fail("storage", "train.jsonl", [Fault::BreakOff(1000), Fault::IgnoreRange]);
    check(&server, &files, tempfile::tempdir().unwrap().path());
    assert_eq!(server.ranges("train.jsonl"), [None, Some("bytes=1000-".to_string())]);
}

#[test]
fn lies_about_the_length_do_no_harm() {
    for lie in [300, -300] {
        let (server, files) = server();
        server.fail("storage", "train.jsonl", [Fault::Announce(lie)]);
        check(&server, &files, tempfile::tempdir().unwrap().path());
    }
    // Where no hash is known, but the size.
    for lie in [300, -50] {
        let (server, files) = server();
        server.fail("relative", "test.jsonl", [Fault::Announce(lie)]);
        check(&server, &files, tempfile::tempdir().unwrap().path());
        assert_eq!(
            server
                .seen("/api/resolve-cache/bentrevett/multi30k")
                .iter()
                .filter(|seen| seen.path.ends_with("test.jsonl"))
                .count(),
            2
        );
    }
    // Where neither is.
    let (server, files) = server();
    server.without_metadata();
    server.fail("hub", "train.jsonl", [Fault::PlainRedirect]);
    server.fail("storage", "train.jsonl", [Fault::Announce(300)]);
    check(&server, &files, tempfile::tempdir().unwrap().path());
}

#[test]
fn a_server_that_never_stops_lying_is_named() {
    let (server, _) = server();
    server.fail("storage", "train.jsonl", vec![Fault::Garbage; 10]);
    let home = tempfile::tempdir().unwrap();
    let failed = fetch(&online(&server, home.path()), "multi30k", &Options::default(), &home.path().join("set"));
    let message = message(failed);
    assert!(message.starts_with("train.jsonl of bentrevett/multi30k: ") && message.contains("SHA-256"), "{message}");
    assert!(message.contains("5 attempts failed"), "{message}");
    assert!(!home.path().join("hub/datasets--bentrevett--multi30k/snapshots").join("train.jsonl").exists());
}

#[test]
fn a_connection_that_stays_open_is_not_waited_for() {
    let (server, files) = server();
    server.fail("storage", "train.jsonl", [Fault::StayOpen]);
    let start = std::time::Instant::now();
    check(&server, &files, tempfile::tempdir().unwrap().path());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn a_busy_server_is_asked_again() {
    let (server, files) = server();
    server.fail("hub", "listing", [Fault::Status(500, ""), Fault::Status(429, "Retry-After: 0\r\n")]);
    server.fail("hub", "train.jsonl", [Fault::Status(503, "")]);
    server.fail("storage", "train.jsonl", [Fault::Status(502, "")]);
    check(&server, &files, tempfile::tempdir().unwrap().path());
    assert_eq!(server.seen("/revision/").len(), 3);
}

#[test]
fn mirrors_that_say_nothing_of_files_will_do() {
    let (server, files) = server();
    server.without_metadata();
    server.fail("hub", "train.jsonl", [Fault::PlainRedirect]);
    let home = tempfile::tempdir().unwrap();
    check(&server, &files, home.path());
    let train = files.iter().find(|file| file.path == "train.jsonl").unwrap();
    let blob = home.path().join("hub/datasets--bentrevett--multi30k/blobs").join(sha256(&train.bytes));
    assert!(blob.exists(), "the blob is named by what it holds");
}

#[test]
fn mirrors_that_know_branches_only_will_do() {
    let (server, files) = server();
    server.fail("hub", "listing", [Fault::Status(404, "")]);
    server.fail("hub", "train.jsonl", [Fault::Status(404, "")]);
    check(&server, &files, tempfile::tempdir().unwrap().path());
    assert!(server.seen("/resolve/main/").iter().any(|seen| seen.path.ends_with("train.jsonl")));
    assert_eq!(server.seen("/revision/")[1].path, "/api/datasets/bentrevett/multi30k/revision/main");
}

#[test]
fn refusals_are_one_clear_sentence() {
    let home = tempfile::tempdir().unwrap();
    for (place, path, fault, expected) in [
        ("hub", "listing", Fault::Status(401, ""), "is private or does not exist; a token is sent to"),
        ("hub", "listing", Fault::Status(403, "X-Error-Code: GatedRepo\r\n"), "is gated: accept its terms on http://"),
        ("hub", "listing", Fault::Status(404, "X-Error-Code: RevisionNotFound\r\n"), "has no such revision"),
        (
            "hub",
            "train.jsonl",
            Fault::Status(404, "X-Error-Code: EntryNotFound\r\n"),
            "train.jsonl of bentrevett/multi30k is not there",
        ),
        ("storage", "train.jsonl", Fault::Status(418, ""), "answers with status 418"),
        ("hub", "train.jsonl", Fault::Redirect("ftp://elsewhere/x".into()), "redirects to \"ftp://elsewhere/x\""),
        ("hub", "train.jsonl", Fault::Redirect(String::new()), "redirects to \"\", which is no address"),
    ] {
        let (server, _) = server();
        server.fail(place, path, [fault.clone(), fault]);
        let failed = fetch(&online(&server, home.path()), "multi30k", &Options::default(), &home.path().join("set"));
        let message = message(failed);
        assert!(message.contains("bentrevett/multi30k") && message.contains(expected), "{message}");
        fs::remove_dir_all(home.path().join("set")).unwrap();
    }
    let (server, _) = server();
    server.fail("hub", "train.jsonl", vec![Fault::Redirect("train.jsonl".into()); 20]);
    let failed = fetch(&online(&server, home.path()), "multi30k", &Options::default(), &home.path().join("set"));
    assert!(message(failed).contains("redirects more than 10 times"));
}

#[test]
fn a_token_is_never_sent_to_a_mirror() {
    let (server, files) = server();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("token"), "hf_secret").unwrap();
    check(&server, &files, home.path());
    let home = home.path().to_str().unwrap();
    let settings = settings(&[("HF_ENDPOINT", &server.endpoint), ("HF_HOME", home), ("HF_TOKEN", "hf_secret")]);
    let folder = tempfile::tempdir().unwrap();
    fetch(&settings, "multi30k", &Options::default(), folder.path()).unwrap();
    for seen in server.seen("") {
        assert!(!seen.headers.contains_key("authorization"), "{seen:?}");
        assert!(!format!("{seen:?}").contains("secret"));
    }
}

#[test]
fn a_part_that_is_missing_is_an_error() {
    let server = StandIn::start();
    let files = vec![
        large("de-en/train-00000-of-00002.parquet", "x"),
        small("de-en/validation-00000-of-00001.parquet", "x"),
        small("de-en/test-00000-of-00001.parquet", "x"),
    ];
    server.add("wmt/wmt14", "main", files);
    let home = tempfile::tempdir().unwrap();
    let failed = fetch(&online(&server, home.path()), "wmt14-de-en", &Options::default(), &home.path().join("set"));
    let message = message(failed);
    assert!(message.contains("de-en/train-00001-of-00002.parquet is missing"), "{message}");
    assert!(server.seen("/resolve/").is_empty(), "nothing is downloaded of what is incomplete");
}

#[test]
fn a_great_deal_is_not_downloaded_unasked() {
    let server = StandIn::start();
    let shard = |index: usize| small(&format!("en/c4-train.{index:05}-of-00150.json.gz"), "x");
    let mut files: Vec<Content> = (0..150).map(shard).collect();
    files.push(small("en/c4-validation.00000-of-00001.json.gz", "x"));
    server.add("allenai/c4", "main", files);
    server.without_metadata();
    let home = tempfile::tempdir().unwrap();
    let refused =
        fetch(&online(&server, home.path()), "c4", &Options::default(), &home.path().join("set")).unwrap_err();
    let text = refused.to_string();
    assert!(code(&refused) == 2 && text.contains("151 files to download") && text.contains("--shards N"), "{text}");
    assert!(server.seen("/resolve/").is_empty());
}
