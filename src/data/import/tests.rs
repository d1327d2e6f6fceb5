//! Imports as a whole, on small files and on real ones.

use super::*;
use crate::data::datasets::Prepared;
use crate::exit::code;
use std::fs;

/// A file of this text, converted: the records as JSON.
pub(super) fn converted(text: &str, convert: impl Fn(&Path, &ReadOptions, Take) -> Result<()>) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    fs::write(&path, text).unwrap();
    let mut lines = Vec::new();
    let mut take = |record: Record| {
        lines.push(serde_json::to_string(&record).unwrap());
        Ok(())
    };
    convert(&path, &ReadOptions::default(), &mut take).unwrap();
    lines
}

/// The one line that is said of a file that cannot be converted.
pub(super) fn failed(text: &str, convert: impl Fn(&Path, &ReadOptions, Take) -> Result<()>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    fs::write(&path, text).unwrap();
    let message = format!("{:#}", convert(&path, &ReadOptions::default(), &mut |_| Ok(())).unwrap_err());
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    message
}

fn options() -> ImportOptions {
    ImportOptions::default()
}

/// A folder of sources and one of prepared sets.
struct Place(tempfile::TempDir);

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = place.0.path().join("from").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join("from").join(name).to_str().unwrap().to_string()
    }

    fn root(&self) -> PathBuf {
        self.0.path().join("data")
    }

    fn import(&self, paths: &[String], options: &ImportOptions) -> Result<Prepared> {
        import("set", paths, options, &self.root())?;
        datasets::open("set", &self.root())
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.root().join("set").join(file)).unwrap()
    }
}

#[test]
fn parallel_files_become_pairs() {
    let place = Place::new(&[
        ("train.en", "a\nb\n"),
        ("train.de", "x\ny\n"),
        ("test_2016.en", "c\n"),
        ("test_2016.de", "z\n"),
        ("README", "none"),
    ]);
    let set = place.import(&[place.path("")], &options()).unwrap();
    let card = set.card();
    assert_eq!((card.source_language.as_deref(), card.target_language.as_deref()), (Some("en"), Some("de")));
    assert_eq!(card.splits.names(), ["train", "test"]);
    assert_eq!(place.read("train.jsonl"), "{\"source\":\"a\",\"target\":\"x\"}\n{\"source\":\"b\",\"target\":\"y\"}\n");
    let train = card.splits.get("train").unwrap();
    assert_eq!((train.files, train.records), (2, 2));
    for split in card.splits.names() {
        set.verify(split).unwrap();
    }
    let taken = import("set", &[place.path("")], &options(), &place.root()).unwrap_err();
    assert!(taken.to_string().contains("is there already") && code(&taken) == 2);
}

#[test]
fn labels_may_stand_before_the_files() {
    let place = Place::new(&[("mr.pos", "good\nfine\n"), ("mr.neg", "bad\n")]);
    let paths = [format!("positive={}", place.path("mr.pos")), format!("negative={}", place.path("mr.neg"))];
    let set = place.import(&paths, &options()).unwrap();
    assert_eq!(set.card().labels.as_deref().unwrap(), ["negative", "positive"]);
    assert_eq!(set.card().splits.get("train").unwrap().records, 3);
    let mixed = import("other", &[paths[0].clone(), place.path("mr.neg")], &options(), &place.root()).unwrap_err();
    assert!(mixed.to_string().contains("mr.neg has no label") && code(&mixed) == 2, "{mixed}");
}

#[test]
fn the_same_files_give_the_same_bytes_in_any_order() {
    let files = [("b/train.tsv", "a text\tx\nb text\ty\nc text\tx\nd text\ty\n"), ("b/test.tsv", "e text\tx\n")];
    let [first, second] = [Place::new(&files), Place::new(&files)];
    let one = first.import(&[first.path("b/train.tsv"), first.path("b/test.tsv")], &options()).unwrap();
    let other = second.import(&[second.path("b/test.tsv"), second.path("b/train.tsv")], &options()).unwrap();
    assert_eq!(one.card().list_sha256, other.card().list_sha256);
    assert_eq!(one.card().splits, other.card().splits);
}

#[test]
fn the_names_of_folders_change_nothing() {
    for (a, b) in [("a.txt", "b.txt"), ("train.1.jsonl", "train.2.jsonl")] {
        let texts = [format!("{{\"text\": \"{a}\"}}\n"), format!("{{\"text\": \"{b}\"}}\n")];
        let files = |folders: [&str; 2]| [format!("{}/{a}", folders[0]), format!("{}/{b}", folders[1])];
        let imported = [["x", "y"], ["y", "x"]].map(|folders| {
            let files = files(folders);
            let place = Place::new(&[(&files[0], &texts[0]), (&files[1], &texts[1])]);
            let set = place.import(&files.map(|file| place.path(&file)), &options()).unwrap();
            (set.card().list_sha256.clone(), set.card().splits.clone(), set.card().source.clone())
        });
        assert_eq!(imported[0], imported[1]);
    }
}

#[test]
fn shares_cut_text_by_characters_and_records_by_their_hash() {
    let place = Place::new(&[("input.txt", "abcdefghij"), ("rows.tsv", ""), ("train.txt", "abc")]);
    let cut = ImportOptions { split: Some(vec![0.9, 0.1]), ..options() };
    place.import(&[place.path("input.txt")], &cut).unwrap();
    assert_eq!((place.read("train.txt").as_str(), place.read("validation.txt").as_str()), ("abcdefghi", "j"));
    for (paths, shares, expected) in [
        (vec!["train.txt"], vec![0.9, 0.1], "says its split"),
        (vec!["input.txt", "input.txt"], vec![0.9, 0.1], "named twice"),
        (vec!["input.txt"], vec![0.9, 0.2], "--split is [0.9, 0.2]"),
    ] {
        let paths: Vec<String> = paths.iter().map(|name| place.path(name)).collect();
        let cut = ImportOptions { split: Some(shares), ..options() };
        let error = import("other", &paths, &cut, &place.root()).unwrap_err();
        assert!(error.to_string().contains(expected) && code(&error) == 2, "{error}");
    }
    let rows: String = (0..200).map(|number| format!("text number {number}\t{}\n", number % 2)).collect();
    fs::write(place.path("rows.tsv"), rows).unwrap();
    let card = import("rows", &[place.path("rows.tsv")], &cut, &place.root()).unwrap();
    let counts: Vec<u64> = card.splits.iter().map(|(_, split)| split.records).collect();
    assert!(counts.iter().sum::<u64>() == 200 && (5..40).contains(&counts[1]), "{counts:?}");
}

#[test]
fn options_that_do_nothing_are_refused() {
    let place = Place::new(&[("input.txt", "a")]);
    let text = Keys { text: Some("a".into()), ..Keys::default() };
    for (options, expected) in [
        (ImportOptions { keys: text, ..options() }, "say nothing of the format text"),
        (ImportOptions { header: Some(true), ..options() }, "--header is for"),
        (ImportOptions { numeric_label: true, ..options() }, "--numeric-label is for"),
        (ImportOptions { format: Some(Format::Glue), ..options() }, "no folder of a GLUE task"),
        (ImportOptions { format: Some(Format::Parallel), ..options() }, "ends in no language"),
    ] {
        let error = import("set", &[place.path("input.txt")], &options, &place.root()).unwrap_err();
        assert!(error.to_string().contains(expected) && code(&error) == 2, "{error}");
    }
    assert!(!place.root().exists(), "nothing is made before all is known to fit");
}

#[test]
fn damage_leaves_nothing_behind() {
    let place = Place::new(&[("train.jsonl", "{\"text\": \"a\"}\n{\"text\": \n")]);
    let error = import("set", &[place.path("")], &options(), &place.root()).unwrap_err();
    let message = format!("{error:#}");
    assert!(message.contains("train.jsonl, line 2: expected a JSON object") && code(&error) == 1, "{message}");
    assert!(!place.root().exists());
}
