//! Files whose lines are translations of each other: `train.en` beside `train.de`.

use super::Take;
use super::format::is_language;
use super::inputs::Input;
use super::splits;
use crate::data::record::{PairRecord, Record};
use crate::data::source::{Lines, ReadOptions};
use crate::refuse;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which files make which split, and in which languages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub source: String,
    pub target: String,
    /// The split, and the files of the source and the target.
    pub pairs: Vec<(String, PathBuf, PathBuf)>,
    /// Languages that files are there for and that are not taken.
    pub left_out: Vec<String>,
}

/// Finds the files that belong together by their names without the language. The languages are those given; of those
/// found, English is the source, else the first by name.
///
/// # Errors
/// A refusal of languages that cannot be told, and of files without a counterpart.
pub(super) fn plan(inputs: &[Input], source: Option<&str>, target: Option<&str>) -> Result<Plan> {
    let given = |extension: &str| [source, target].contains(&Some(extension));
    let mut found: BTreeMap<&str, BTreeMap<&str, &Input>> = BTreeMap::new();
    for input in inputs {
        let language = input.extension();
        if !is_language(language) && !given(language) {
            refuse!("{} ends in no language; expected names such as train.en and train.de", input.path.display());
        }
        if found.entry(language).or_default().insert(input.stem(), input).is_some() {
            refuse!("two files are named {}; name one of them", input.plain_name());
        }
    }
    let languages: Vec<&str> = found.keys().copied().collect();
    let (source, target) = choose(&languages, source, target)?;
    let (sources, targets) = (&found[source], &found[target]);
    let alone = sources
        .iter()
        .chain(targets.iter())
        .find(|(stem, _)| !(sources.contains_key(*stem) && targets.contains_key(*stem)));
    if let Some((stem, input)) = alone {
        refuse!("{} has no counterpart; expected {stem}.{source} and {stem}.{target}", input.path.display());
    }
    let (inputs, stems): (Vec<Input>, Vec<String>) =
        sources.iter().map(|(stem, input)| ((*input).clone(), stem.to_string())).unzip();
    let splits = splits::assign(&inputs, &stems)?;
    let pair = |(split, input): (String, Input)| (split, input.path.clone(), targets[input.stem()].path.clone());
    let pairs = splits.into_iter().zip(inputs).map(pair).collect();
    let left_out = languages.iter().filter(|language| ![source, target].contains(language));
    let left_out = left_out.map(|language| language.to_string()).collect();
    Ok(Plan { source: source.into(), target: target.into(), pairs, left_out })
}

fn choose<'a>(languages: &[&'a str], source: Option<&str>, target: Option<&str>) -> Result<(&'a str, &'a str)> {
    let find = |wanted: &str| languages.iter().copied().find(|language| *language == wanted);
    let missing = |wanted: &str| -> anyhow::Error {
        crate::refusal!("there is no file in the language {wanted}; found {}", languages.join(", "))
    };
    let known = |wanted: Option<&str>| wanted.map(|wanted| find(wanted).ok_or_else(|| missing(wanted))).transpose();
    let (source, target) = (known(source)?, known(target)?);
    let other = |than: &str| -> Result<&'a str> {
        let others: Vec<&str> = languages.iter().copied().filter(|language| *language != than).collect();
        match others.as_slice() {
            [only] => Ok(only),
            _ => refuse!("found the languages {}; say which with --source and --target", languages.join(", ")),
        }
    };
    let pair = match (source, target) {
        (Some(source), Some(target)) => (source, target),
        (Some(source), None) => (source, other(source)?),
        (None, Some(target)) => (other(target)?, target),
        (None, None) => {
            let Some(source) = find("en").or(languages.first().copied()) else { refuse!("found no files") };
            (source, other(source)?)
        }
    };
    if pair.0 == pair.1 {
        refuse!("source and target are both {}; expected two languages", pair.0);
    }
    Ok(pair)
}

/// Gives the lines of two files as pairs.
///
/// # Errors
/// Files with different numbers of lines, and those of reading them.
pub(super) fn convert(source: &Path, target: &Path, options: &ReadOptions, take: Take) -> Result<()> {
    let (mut sources, mut targets) = (Lines::open_with(source, options)?, Lines::open_with(target, options)?);
    let mut pairs = 0_u64;
    loop {
        match (sources.next().transpose()?, targets.next().transpose()?) {
            (Some(source), Some(target)) => {
                take(Record::Pair(PairRecord { source, target, references: Vec::new() }))?;
                pairs += 1;
            }
            (None, None) => return Ok(()),
            (source_line, target_line) => {
                let rest = |lines: Lines, one: Option<String>| count(lines, pairs + u64::from(one.is_some()));
                bail!(
                    "{} has {} lines and {} has {}; expected as many in both",
                    source.display(),
                    rest(sources, source_line)?,
                    target.display(),
                    rest(targets, target_line)?
                )
            }
        }
    }
}

fn count(mut lines: Lines, mut number: u64) -> Result<u64> {
    let mut line = String::new();
    while lines.read(&mut line)? {
        number += 1;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn inputs(names: &[&str]) -> Vec<Input> {
        let input = |name: &&str| Input { name: name.to_string(), path: name.into(), mark: None };
        names.iter().map(input).collect()
    }

    #[test]
    fn files_are_matched_by_their_names() {
        let names = ["train.en.gz", "train.de.gz", "val.de", "val.en", "val.fr", "train.fr"];
        let plan = plan(&inputs(&names), None, Some("de")).unwrap_err();
        assert!(plan.to_string().contains("found the languages de, en, fr; say which"), "{plan}");
        let plan = super::plan(&inputs(&names), Some("de"), Some("fr")).unwrap();
        assert_eq!(plan.left_out, ["en"]);
        let pairs = [("train", "train.de.gz", "train.fr"), ("validation", "val.de", "val.fr")];
        assert_eq!(plan.pairs, pairs.map(|(split, source, target)| (split.into(), source.into(), target.into())));
        let two = super::plan(&inputs(&["a.de", "a.en"]), None, None).unwrap();
        assert_eq!((two.source.as_str(), two.target.as_str()), ("en", "de"));
        let long = super::plan(&inputs(&["a.src", "a.tgt"]), Some("src"), Some("tgt")).unwrap();
        assert_eq!(long.pairs, [("train".into(), "a.src".into(), "a.tgt".into())]);
        for (names, expected) in [
            (vec!["a.de", "a.en", "b.en"], "b.en has no counterpart"),
            (vec!["a.de", "a.txt"], "ends in no language"),
            (vec!["a.de", "a.de.gz", "a.en"], "two files are named a.de"),
        ] {
            let error = super::plan(&inputs(&names), None, None).unwrap_err();
            assert!(error.to_string().contains(expected) && crate::exit::code(&error) == 2, "{error}");
        }
        assert!(super::plan(&inputs(&["a.de", "a.en"]), Some("it"), None).is_err());
        assert!(super::plan(&inputs(&["a.de", "a.en"]), Some("de"), Some("de")).is_err());
    }

    #[test]
    fn unequal_numbers_of_lines_are_an_error_that_gives_both() {
        let folder = tempfile::tempdir().unwrap();
        let [source, target] = ["a.en", "a.de"].map(|name| folder.path().join(name));
        fs::write(&source, "1\n2\n3\n").unwrap();
        fs::write(&target, "1\n2\n3\n4\n5").unwrap();
        let mut records = 0;
        let mut take = |_| {
            records += 1;
            Ok(())
        };
        let error = convert(&source, &target, &ReadOptions::default(), &mut take).unwrap_err().to_string();
        assert!(error.contains("a.en has 3 lines") && error.contains("a.de has 5;"), "{error}");
        assert_eq!(records, 3);
    }
}
