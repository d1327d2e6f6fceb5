//! `list`, `show` and `remove`.

use crate::place::Place;
use std::fs;

#[test]
fn sets_are_listed_shown_and_removed() {
    let place = Place::with(&[("train.jsonl", "{\"text\": \"two words\"}\n{\"text\": \"\"}\n")]);
    let empty = place.json(&["list"]);
    assert_eq!(empty["prepared"], serde_json::json!([]));
    let names: Vec<&str> =
        empty["available"].as_array().unwrap().iter().map(|set| set["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"rust-sources") && names.contains(&"debian-descriptions-en-de"), "{names:?}");
    let (listed, _) = place.succeeds(&["list"]);
    assert!(listed.starts_with("nothing is prepared in data") && listed.contains("rust-sources"), "{listed}");

    place.succeeds(&["import", "texts", "train.jsonl", "--text", "text"]);
    let (listed, _) = place.succeeds(&["list"]);
    assert!(listed.contains("| texts ") && listed.contains(" 2 |"), "{listed}");
    let (shown, _) = place.succeeds(&["show", "texts"]);
    for part in
        ["texts: text, in data/texts", "{\"text\":\"two words\"}", "train, text, words: min 0, median 0, mean 1.0"]
    {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    let shown = place.json(&["show", "texts", "--samples", "1", "--seed", "3"]);
    assert_eq!(shown["lengths"]["text"]["bytes"]["max"], 9);
    assert_eq!(shown, place.json(&["show", "texts", "--samples", "1", "--seed", "3"]));
    place.fails(&["show", "texts", "--split", "dev"], 2, &["no split \"dev\"; it has train"]);
    place.fails(&["show", "none"], 2, &["there is no dataset none", "rust-sources"]);

    let (removed, _) = place.succeeds(&["remove", "texts"]);
    assert_eq!(removed, "removed data/texts\n");
    assert!(place.names().is_empty());
    place.fails(&["remove", "texts"], 2, &["no dataset texts is prepared in data"]);
}

#[test]
fn what_is_no_set_is_not_removed() {
    let place = Place::with(&[("a.txt", "a"), ("data/mine/notes.txt", "keep"), ("elsewhere/card.json", "{}")]);
    std::os::unix::fs::symlink(place.path("elsewhere"), place.path("data/link")).unwrap();
    place.fails(&["remove", "mine"], 2, &["data/mine bears no card"]);
    place.fails(&["remove", "link"], 2, &["data/link is a link"]);
    place.fails(&["remove", "../elsewhere"], 2, &["the dataset's name is"]);
    assert_eq!(place.names(), ["link", "mine"]);
    assert!(place.path("elsewhere/card.json").exists());
}

#[test]
fn a_damaged_set_is_said() {
    let place = Place::with(&[("a.txt", "a text\n")]);
    place.succeeds(&["import", "set", "a.txt"]);
    fs::write(place.path("data/set/train.txt"), "a").unwrap();
    place.fails(
        &["show", "set"],
        1,
        &["dataset set is damaged", "import it again", "train.txt has 1 bytes and should have 7"],
    );
    let listed = place.json(&["list"]);
    assert!(listed["prepared"][0]["damaged"].as_str().unwrap().contains("should have 7"), "{listed}");
}
