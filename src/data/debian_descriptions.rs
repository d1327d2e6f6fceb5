//! The datasets `debian-descriptions-*`: what packages are, in English and in translation, as any Debian or Ubuntu
//! machine gets it through apt without root. The translations are made by the Debian Description Translation Project.

mod apt;
mod index;
mod pairs;
mod sentences;

use super::card::{Card, CardSplits, Layout, SPLITS};
use super::hash::split_of_name;
use super::record::{PairRecord, Record, RecordWriter, Shape};
use anyhow::{Result, bail};
use index::{Descriptions, Index};
use pairs::Pair;
use std::collections::BTreeSet;
use std::path::Path;
use tracing::info;

/// English to German sentences.
pub const EN_DE: &str = "debian-descriptions-en-de";
/// English to French sentences.
pub const EN_FR: &str = "debian-descriptions-en-fr";
/// Long descriptions and the line that sums each up.
pub const SUMMARIES: &str = "debian-descriptions-summaries";

/// The terms that the texts stand under.
pub const LICENCE: &str =
    "Each text's is its source package's; free software all of it (Debian main, Ubuntu main and universe).";

/// Writes the splits of the set of that name into `folder`, and answers its card, which is not written yet.
///
/// # Errors
/// A refusal without apt; what apt fails with; indexes that cannot be read or hold no descriptions.
pub fn prepare(name: &str, folder: &Path) -> Result<Card> {
    let language = match name {
        EN_DE => Some("de"),
        EN_FR => Some("fr"),
        SUMMARIES => None,
        _ => bail!("there is no set {name} of package descriptions"),
    };
    // Beside the set, where whoever cleans up finds it.
    let place = folder.parent().unwrap_or(folder);
    info!("{name}: asking apt for the package indexes, about 25 MB");
    let lists = apt::update(place, language)?;
    make(name, language, lists.path(), folder)
}

/// Makes the set of the index files in `lists`.
fn make(name: &str, language: Option<&str>, lists: &Path, folder: &Path) -> Result<Card> {
    let index = Index::find(lists, language)?;
    info!("{name}: reading {}", index.release());
    let sources = index.sources()?;
    let english = index.descriptions("en")?;
    let mut pairs = match language {
        Some(language) => pairs::translations(&english, &index.descriptions(language)?, language),
        None => pairs::summaries(&english),
    };
    for pair in &mut pairs {
        if let Some(source) = sources.get(&pair.description) {
            pair.package.clone_from(source);
        }
    }
    let parts = split(&pairs);
    let mut card = Card::new(name, Layout::Records, Some(Shape::Pairs));
    card.splits = write(&parts, folder)?;
    card.description = describe(language, &english, &pairs);
    card.source = format!("Package indexes of {}, through apt.", index.release());
    card.revision = Some(index.release());
    card.licence = LICENCE.into();
    card.list_sha256 = index.list_sha256()?;
    if let Some(language) = language {
        card.source_language = Some("en".into());
        card.target_language = Some(language.into());
    }
    Ok(card)
}

fn describe(language: Option<&str>, english: &Descriptions, pairs: &[Pair]) -> String {
    let descriptions: BTreeSet<&String> = pairs.iter().map(|pair| &pair.description).collect();
    let what = match language {
        Some(language) => format!("Sentences in English and {language}"),
        None => "Long descriptions and their synopses".to_string(),
    };
    format!(
        "{what} from {} descriptions of packages (of {}); split by source package, by the SHA-256 of its name; what \
         train has is left out of validation and test.",
        descriptions.len(),
        english.len()
    )
}

/// The pairs of each split, without doubles. Descriptions are templated, and sources share phrases: a source text that
/// train has stands in no other split.
fn split(pairs: &[Pair]) -> [Vec<&Pair>; 3] {
    let mut parts: [Vec<&Pair>; 3] = Default::default();
    let mut met = BTreeSet::new();
    for pair in pairs {
        if met.insert((&pair.source, &pair.target)) {
            parts[split_of_name(&pair.package)].push(pair);
        }
    }
    let [train, validation, test] = &mut parts;
    let known: BTreeSet<&String> = train.iter().map(|pair| &pair.source).collect();
    validation.retain(|pair| !known.contains(&pair.source));
    let known: BTreeSet<&String> = known.into_iter().chain(validation.iter().map(|pair| &pair.source)).collect();
    test.retain(|pair| !known.contains(&pair.source));
    parts
}

fn write(parts: &[Vec<&Pair>; 3], folder: &Path) -> Result<CardSplits> {
    let mut splits = CardSplits::default();
    for (name, pairs) in SPLITS.into_iter().zip(parts) {
        if pairs.is_empty() {
            bail!("the indexes leave nothing to the split {name}; expected those of a whole Debian or Ubuntu release");
        }
        let mut writer = RecordWriter::create(folder, name, Shape::Pairs)?;
        let mut descriptions = BTreeSet::new();
        for pair in pairs {
            descriptions.insert(&pair.description);
            let (source, target) = (pair.source.clone(), pair.target.clone());
            writer.write(&Record::Pair(PairRecord { source, target, references: Vec::new() }))?;
        }
        splits.insert(name, writer.finish(descriptions.len() as u64)?);
    }
    Ok(splits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Indexes of many small packages, whose texts hold their number.
    fn lists(packages: usize) -> tempfile::TempDir {
        let lists = tempfile::tempdir().unwrap();
        let (mut binary, mut english, mut german) = (String::new(), String::new(), String::new());
        for number in 0..packages {
            let key = format!("Description-md5: {number:032x}\n");
            binary += &format!("Package: lib{number}\nSource: source{}\nVersion: 1\n{key}\n", number / 2);
            english += &format!(
                "Package: lib{number}\n{key}Description-en: library number {number}\n This is library {number}. It has a \
                 second sentence\n of fifteen words or more, as long descriptions have them. Number {number}.\n\n"
            );
            german += &format!(
                "Package: lib{number}\n{key}Description-de: Bibliothek Nummer {number}\n Dies ist Bibliothek {number}. Sie \
                 hat einen zweiten Satz\n aus fünfzehn Wörtern oder mehr, wie es lange haben. Nummer {number}.\n\n"
            );
        }
        let name = |end: &str| lists.path().join(format!("mirror.example_debian_dists_test_main_{end}"));
        fs::write(name("binary-amd64_Packages"), binary).unwrap();
        fs::write(name("i18n_Translation-en"), english).unwrap();
        fs::write(name("i18n_Translation-de"), german).unwrap();
        let release = "Origin: Debian\nVersion: 12.5\nCodename: test\nDate: Sat, 10 Feb 2024 11:07:25 UTC\n";
        fs::write(lists.path().join("mirror.example_debian_dists_test_InRelease"), release).unwrap();
        lists
    }

    fn made(name: &str, language: Option<&str>, lists: &Path) -> (Card, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let card = make(name, language, lists, folder.path()).unwrap();
        let read = |split: &str| fs::read_to_string(folder.path().join(format!("{split}.jsonl"))).unwrap();
        let texts = SPLITS.map(read).to_vec();
        (card, texts)
    }

    #[test]
    fn sentences_are_split_by_source_package() {
        let lists = lists(400);
        let (card, texts) = made(EN_DE, Some("de"), lists.path());
        let records: u64 = card.splits.iter().map(|(_, split)| split.records).sum();
        // The synopsis and three sentences, of which the second is the same everywhere.
        assert_eq!(records, 3 * 400 + 1);
        assert_eq!((card.source_language.as_deref(), card.target_language.as_deref()), (Some("en"), Some("de")));
        assert!(card.source.contains("Debian test 12.5"), "{}", card.source);
        let train = &texts[0];
        assert!(train.contains(r#"{"source":"library number 0","target":"Bibliothek Nummer 0"}"#), "{train}");
        // Both packages of a source are in one split.
        for number in (0..400).step_by(2) {
            let places = [number, number + 1].map(|number| {
                let line = format!("\"library number {number}\"");
                texts.iter().position(|text| text.contains(&line)).unwrap()
            });
            assert_eq!(places[0], places[1], "{number}");
        }
        assert_eq!(made(EN_DE, Some("de"), lists.path()).0.splits, card.splits);
    }

    #[test]
    fn summaries_are_synopses_of_long_descriptions() {
        let lists = lists(400);
        let (card, texts) = made(SUMMARIES, None, lists.path());
        assert_eq!(card.splits.iter().map(|(_, split)| split.records).sum::<u64>(), 400);
        assert!(
            texts[0].contains(r#""target":"library number 0"}"#) && texts[0].contains("It has a second sentence of")
        );
        assert_eq!(card.source_language, None);
    }

    #[test]
    fn what_train_has_is_in_no_other_split() {
        let pair = |source: &str, target: &str, package: &str| Pair {
            source: source.into(),
            target: target.into(),
            package: package.into(),
            description: package.into(),
        };
        // By the hash of the name: anyhow is train, indexmap validation, hashbrown test.
        let pairs = [
            pair("a", "x", "anyhow"),
            pair("a", "y", "indexmap"),
            pair("b", "z", "indexmap"),
            pair("b", "w", "hashbrown"),
            pair("c", "v", "hashbrown"),
            pair("c", "v", "anyhow"),
        ];
        let parts = split(&pairs);
        let sources = parts.map(|part| part.iter().map(|pair| pair.source.clone()).collect::<Vec<_>>());
        assert_eq!(sources, [vec!["a"], vec!["b"], vec!["c"]]);
    }

    #[test]
    fn without_descriptions_there_is_no_set() {
        let lists = lists(3);
        let folder = tempfile::tempdir().unwrap();
        let error = make(EN_FR, Some("fr"), lists.path(), folder.path()).unwrap_err();
        assert!(error.to_string().contains("Translation-fr"), "{error}");
        let error = make(EN_DE, Some("de"), lists.path(), folder.path()).unwrap_err();
        assert!(error.to_string().contains("leave nothing to the split"), "{error}");
    }
}
