//! Which split a file is, by its name.

use super::inputs::{Input, Mark};
use crate::refuse;
use anyhow::Result;
use std::collections::BTreeMap;

/// Which of the usual splits a name speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Usual {
    Train,
    Validation,
    Test,
}

impl Usual {
    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        match word {
            "train" | "training" => Some(Self::Train),
            "dev" | "val" | "valid" | "validation" => Some(Self::Validation),
            "test" => Some(Self::Test),
            _ => None,
        }
    }
}

/// The split that a file's name speaks of, and the name without the number of a shard.
type Name = (Usual, String);

/// The split of each input, by what is said of it, else by the words of its name (`stems`, one for each input).
///
/// train, dev, val, valid, validation and test in a name give the split. Of several names with one of these the plainest
/// gets the usual name and the others keep their own: `train` beside `train_full`. Without a plain one all train files
/// are one split, and of the others the first by name gets the usual name: `test_2016` beside `test_2017`. Names that
/// say nothing are train files, if all are such.
///
/// # Errors
/// Refusals where only some names say what they are, and where different files would become one split without a sign
/// that they belong together.
pub(super) fn assign(inputs: &[Input], stems: &[String]) -> Result<Vec<String>> {
    let found: Vec<Option<Name>> = stems.iter().map(|stem| find(stem)).collect();
    let said = |input: &Input| matches!(input.mark, Some(Mark::Split(_)));
    let silent = |(input, found): &(&Input, &Option<_>)| found.is_none() && !said(input);
    let unknown: Vec<&str> = inputs.iter().zip(&found).filter(silent).map(|(input, _)| input.name.as_str()).collect();
    if !unknown.is_empty() && unknown.len() < inputs.len() {
        refuse!(
            "{} says in its name no split (train, dev, val, valid, validation, test) as other files do; name the files \
             that belong together, with the split where needed: `test={}`",
            unknown[0],
            unknown[0]
        );
    }
    let names = names_of(found.iter().flatten());
    let splits: Vec<String> = inputs
        .iter()
        .zip(&found)
        .map(|(input, found)| match (&input.mark, found) {
            (Some(Mark::Split(split)), _) => split.clone(),
            (_, Some(key)) => names[key].clone(),
            (_, None) => Usual::Train.name().to_string(),
        })
        .collect();
    check_together(inputs, stems, &found, &splits)?;
    Ok(splits)
}

/// Refuses files that would become one split without a sign that they belong together, such as the numbers of shards.
fn check_together(inputs: &[Input], stems: &[String], found: &[Option<Name>], splits: &[String]) -> Result<()> {
    let (mut files, mut groups) = (BTreeMap::new(), BTreeMap::new());
    for (((input, stem), found), split) in inputs.iter().zip(stems).zip(found).zip(splits) {
        if matches!(input.mark, Some(Mark::Split(_))) {
            continue;
        }
        // Of files whose names say nothing, a packed one and its plain form are the same.
        let plain = || input.path.with_file_name(input.plain_name());
        let file = found.as_ref().map_or_else(plain, |_| stem.into());
        let twin = files.insert((&input.mark, file), input);
        let other = found.as_ref().and_then(|name| {
            let joined = name.0 == Usual::Train && *split == name.0.name() && !is_plain(name);
            let group = (!joined).then(|| (name, without_shard(stem).1));
            let (first, other) = *groups.entry(split).or_insert((group, input));
            (first != group).then_some(other)
        });
        if let Some(other) = twin.or(other) {
            refuse!(
                "{} and {} would both be the split {split}; name one of them, or say the split of each, as in \
                 `train=PATH`",
                other.path.display(),
                input.path.display()
            );
        }
    }
    Ok(())
}

/// Whether a name is that of the split and nothing else.
fn is_plain((usual, stem): &Name) -> bool {
    Usual::from_word(&stem.to_lowercase()) == Some(*usual)
}

/// Whether a name says which split it is.
pub(super) fn says_split(stem: &str) -> bool {
    find(stem).is_some()
}

fn find(stem: &str) -> Option<Name> {
    let (stem, _) = without_shard(stem);
    let lower = stem.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let usual = words.into_iter().find_map(|word| {
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
        // newstest2014: a year shows that the end of the word is one of its own.
        let test = letters.len() < word.len() && letters.ends_with("test");
        Usual::from_word(letters).or(test.then_some(Usual::Test))
    })?;
    Some((usual, stem.to_string()))
}

/// `train-00001-of-00003` is `train`, of `00003`; of nothing is what is no shard.
fn without_shard(stem: &str) -> (&str, &str) {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = stem.rsplit_once("-of-").filter(|(_, count)| digits(count));
    let shard = parts.and_then(|(rest, count)| {
        let (rest, _) = rest.rsplit_once(['-', '.', '_']).filter(|(_, number)| digits(number))?;
        Some((rest, count))
    });
    shard.unwrap_or((stem, ""))
}

/// The names that the splits get.
fn names_of<'a>(found: impl Iterator<Item = &'a Name>) -> BTreeMap<Name, String> {
    let mut groups: BTreeMap<Usual, Vec<String>> = BTreeMap::new();
    for (usual, stem) in found {
        let stems = groups.entry(*usual).or_default();
        if !stems.contains(stem) {
            stems.push(stem.clone());
        }
    }
    let mut names = BTreeMap::new();
    for (usual, mut stems) in groups {
        stems.sort();
        let plain = stems.iter().position(|stem| is_plain(&(usual, stem.clone())));
        let joined = plain.is_none() && usual == Usual::Train;
        let first = plain.unwrap_or(0);
        for (index, stem) in stems.into_iter().enumerate() {
            let name = if joined || index == first { usual.name().to_string() } else { valid_name(&stem) };
            names.insert((usual, stem), name);
        }
    }
    names
}

/// A file's name as that of a split.
fn valid_name(stem: &str) -> String {
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '_' }).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    name.chars().take(crate::runs::LONGEST_NAME / 2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splits(stems: &[&str]) -> Vec<String> {
        let inputs: Vec<Input> = stems
            .iter()
            .map(|stem| Input { name: format!("{stem}.txt"), path: format!("{stem}.txt").into(), mark: None })
            .collect();
        assign(&inputs, &stems.map_to_strings()).unwrap()
    }

    trait MapToStrings {
        fn map_to_strings(&self) -> Vec<String>;
    }

    impl MapToStrings for [&str] {
        fn map_to_strings(&self) -> Vec<String> {
            self.iter().map(|text| text.to_string()).collect()
        }
    }

    #[test]
    fn words_of_the_name_give_the_split() {
        assert_eq!(splits(&["train", "dev", "test"]), ["train", "validation", "test"]);
        assert_eq!(splits(&["wiki.valid", "wiki.test"]), ["validation", "test"]);
        assert_eq!(splits(&["Val", "newstest2014", "corpus-TRAIN"]), ["validation", "test", "train"]);
        assert_eq!(splits(&["input", "latest", "contest"]), ["train", "train", "train"]);
        let shards = ["train-00000-of-00002", "train-00001-of-00002", "c4-validation.00000-of-00001"];
        assert_eq!(splits(&shards), ["train", "train", "validation"]);
    }

    #[test]
    fn of_several_the_plainest_or_the_first_gets_the_usual_name() {
        assert_eq!(splits(&["train", "train_full", "val", "dev32"]), ["train", "train_full", "validation", "dev32"]);
        assert_eq!(splits(&["test_2017_flickr", "test_2016_flickr"]), ["test_2017_flickr", "test"]);
        assert_eq!(splits(&["msc-session-1-test", "test"]), ["msc-session-1-test", "test"]);
        assert_eq!(splits(&["news.train.1", "news.train.2"]), ["train", "train"]);
        assert_eq!(splits(&["test 2016", "test 2017é"]), ["test", "test_2017_"]);
    }

    #[test]
    fn different_files_are_not_merged_in_silence() {
        let assigned = |paths: &[&str]| {
            let input = |path: &&str| {
                let (mark, path) = path.split_once('=').map_or((None, *path), |(mark, path)| (Some(mark), path));
                let mark = mark.map(|mark| match mark {
                    "train" => Mark::Split(mark.into()),
                    _ => Mark::Label(mark.into()),
                });
                Input { name: path.rsplit('/').next().unwrap().into(), path: path.into(), mark }
            };
            let inputs: Vec<Input> = paths.iter().map(input).collect();
            let stems: Vec<String> = inputs.iter().map(|input| input.stem().to_string()).collect();
            assign(&inputs, &stems)
        };
        for paths in [
            &["train.jsonl", "train.jsonl.gz"][..],
            &["a/test.tsv", "b/test.tsv"],
            &["dev.tsv", "validation.tsv"],
            &["Train.tsv", "train.tsv"],
            &["test a.tsv", "test_a.tsv", "test.tsv"],
            &["train-00000-of-00002.txt", "train.txt"],
            &["test-00000-of-00002.txt", "test-00000-of-00003.txt"],
            &["news.train.txt", "news.train.txt.gz"],
            &["a.txt", "a.txt.gz"],
            &["pos=test.txt", "pos=test.txt.gz"],
        ] {
            let error = assigned(paths).unwrap_err();
            let [first, second] = [paths[0], paths[1]].map(|path| path.trim_start_matches("pos="));
            let (message, expected) = (error.to_string(), format!("{first} and {second} would both be the split "));
            assert!(message.starts_with(&expected) && crate::exit::code(&error) == 2, "{message}");
        }
        for paths in [
            ["train=train.jsonl", "train=train.jsonl.gz"],
            ["pos=a/train.txt", "neg=b/train.txt"],
            ["a/one.txt", "b/one.txt"],
            ["train.1.txt", "train.2.txt.gz"],
            ["train-00000-of-00002.txt", "train-00001-of-00002.txt"],
        ] {
            assert_eq!(assigned(&paths).unwrap(), ["train", "train"], "{paths:?}");
        }
    }

    #[test]
    fn names_that_say_nothing_beside_others_are_refused() {
        let input = |name: &str, mark| Input { name: name.into(), path: name.into(), mark };
        let stems = ["train", "vocab"].map(String::from);
        let error = assign(&[input("train.txt", None), input("vocab.txt", None)], &stems).unwrap_err();
        assert!(error.to_string().contains("vocab.txt") && crate::exit::code(&error) == 2, "{error}");
        let said = input("vocab.txt", Some(Mark::Split("test".into())));
        assert_eq!(assign(&[input("train.txt", None), said], &stems).unwrap(), ["train", "test"]);
    }
}
