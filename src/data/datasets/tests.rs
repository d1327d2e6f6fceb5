//! Preparing, opening and removing sets.

use super::*;
use crate::data::card::tests::write_set;
use crate::exit::code;
use anyhow::bail;

fn set(root: &Path) -> Card {
    let folder = root.join("rust-sources");
    fs::create_dir(&folder).unwrap();
    write_set(&folder, "rust-sources")
}

#[test]
fn a_prepared_set_is_opened_and_not_fetched_again() {
    let root = tempfile::tempdir().unwrap();
    let card = set(root.path());
    let prepared = open("rust-sources", root.path()).unwrap();
    prepared.verify("train").unwrap();
    let refused = prepared.path("dev").unwrap_err();
    assert!(refused.to_string().contains("it has train, validation, test") && code(&refused) == 2);
    assert!(prepared.records("train").is_err());
    assert_eq!(fetch("rust-sources", &hub::Options::default(), root.path()).unwrap(), card);
    let refused = check_free("rust-sources", root.path()).unwrap_err();
    assert!(refused.to_string().contains("synth data remove rust-sources") && code(&refused) == 2);
}

#[test]
fn damage_says_how_to_fetch_again() {
    let root = tempfile::tempdir().unwrap();
    set(root.path());
    let file = root.path().join("rust-sources/train.txt");
    fs::write(&file, "abcdX").unwrap();
    let changed = open("rust-sources", root.path()).unwrap().verify("train").unwrap_err();
    fs::write(&file, "abc").unwrap();
    let shorter = fetch("rust-sources", &hub::Options::default(), root.path()).unwrap_err();
    for (error, expected) in [(changed, "train.txt was changed"), (shorter, "has 3 bytes and should have 5")] {
        let message = format!("{error:#}");
        assert_eq!(code(&error), 1);
        assert!(message.contains("`synth data fetch rust-sources`") && message.ends_with(expected), "{message}");
    }
    let listed = prepared(root.path()).unwrap();
    assert!(listed.len() == 1 && listed[0].1.is_err());
}

#[test]
fn other_names_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for (name, expected) in [
        ("no-such-set", "rust-sources"),
        ("../rust-sources", "the dataset's name is"),
        (".hidden", "the dataset's name is"),
        ("", "the dataset's name is"),
    ] {
        for error in
            [fetch(name, &hub::Options::default(), root.path()).unwrap_err(), open(name, root.path()).unwrap_err()]
        {
            assert!(error.to_string().contains(expected) && code(&error) == 2, "{error}");
        }
    }
    let error = open("rust-sources", root.path()).unwrap_err();
    assert!(error.to_string().contains("is not prepared") && code(&error) == 2, "{error}");
}

#[test]
fn the_slower_of_two_fetches_keeps_what_the_faster_made() {
    let root = tempfile::tempdir().unwrap();
    let made = prepare("rust-sources", root.path(), |folder| {
        set(root.path());
        Ok(write_set(folder, "rust-sources"))
    });
    made.unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    let other = prepare("rust-sources", root.path(), |folder| {
        let mut card = write_set(folder, "rust-sources");
        card.splits = Default::default();
        Ok(card)
    });
    assert!(other.unwrap_err().to_string().contains("cannot create"), "another set of that name is no success");
}

#[test]
fn nothing_is_left_of_a_set_that_fails() {
    let root = tempfile::tempdir().unwrap();
    let failed = prepare("letters", root.path(), |folder| {
        write_set(folder, "letters");
        bail!("no more letters")
    });
    assert!(failed.is_err());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    let new = root.path().join("new");
    assert!(prepare("letters", &new, |_| bail!("no letters")).is_err());
    assert!(!new.exists());
}

#[test]
fn only_folders_with_a_card_are_removed() {
    let root = tempfile::tempdir().unwrap();
    set(root.path());
    let elsewhere = tempfile::tempdir().unwrap();
    write_set(elsewhere.path(), "linked");
    std::os::unix::fs::symlink(elsewhere.path(), root.path().join("linked")).unwrap();
    fs::create_dir(root.path().join("other")).unwrap();
    for (name, expected) in
        [("linked", "is a link"), ("other", "bears no card"), ("none", "no dataset none"), ("..", "name is")]
    {
        let error = remove(name, root.path()).unwrap_err();
        assert!(error.to_string().contains(expected) && code(&error) == 2, "{error}");
    }
    remove("rust-sources", root.path()).unwrap();
    assert!(elsewhere.path().join(CARD_FILE).exists());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
}
