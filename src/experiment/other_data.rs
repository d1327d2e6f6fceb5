//! A trained run's experiment, to be measured on other data.

use super::load::{Layers, Loaded};
use super::overrides::Override;
use anyhow::Result;
use std::path::Path;
use toml::{Table, Value};

/// The keys of `[data]` that say how texts become rows, wherever they lie.
const KEPT: [&str; 5] = ["rows", "long_records", "max_source_length", "max_target_length", "length_ratio"];

/// As [`load`](super::load), for the configuration of a trained run: a source of texts that `sets` name takes
/// the place of the run's own, and the text of one split needs no train text beside it.
///
/// # Errors
/// Those of [`load`](super::load).
pub fn load_for_evaluation(config: &Path, sets: &[String]) -> Result<Loaded> {
    let overrides: Vec<Override> = sets.iter().map(|text| Override::parse(text)).collect::<Result<_>>()?;
    let mut layers = Layers::read(config)?;
    if let Some(Value::Table(data)) = layers.table_mut().get_mut("data") {
        make_way(data, &overrides);
    }
    overrides.iter().for_each(|setting| layers.apply(setting));
    layers.resolve()
}

/// The text of one split alone takes the place of a source that does not name its splits.
fn make_way(data: &mut Table, overrides: &[Override]) {
    let named = |key: &str| overrides.iter().rev().find(|setting| setting.key.strip_prefix("data.") == Some(key));
    let source = ["dataset", "path", "train"].into_iter().find(|source| named(source).is_some());
    if let (None, Some(part), false) =
        (source, named("validation").or_else(|| named("test")), data.contains_key("train"))
    {
        data.retain(|key, _| KEPT.contains(&key));
        // Nothing is learned from it.
        data.insert("train".to_owned(), part.value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::options::{DataOptions, LongRecords, Paths};
    use crate::experiment::load::tests::LEAST;

    /// `[data]` of a run whose own is `own`, under `sets`.
    fn data(own: &str, sets: &[&str]) -> DataOptions {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.toml");
        std::fs::write(&config, LEAST.replace("dataset = \"rust-sources\"\n", own)).unwrap();
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        load_for_evaluation(&config, &sets).unwrap().experiment.data
    }

    #[test]
    fn another_source_takes_the_place_of_the_runs() {
        for own in ["dataset = \"rust-sources\"\n", "path = \"/a\"\nsplit = [0.9, 0.1]\n", "train = \"/a\"\n"] {
            let found = data(own, &["data.path=/b", "data.split=[0.5, 0.5]"]);
            let expected = DataOptions {
                path: Some("/b".into()),
                split: Some(vec![0.5, 0.5]),
                long_records: Some(LongRecords::Cut),
                ..Default::default()
            };
            assert_eq!(found, expected);
            assert_eq!(data(own, &["data.dataset=x"]).dataset.as_deref(), Some("x"));
        }
        assert_eq!(data("path = \"/a\"\nsplit = [0.9, 0.1]\n", &["data.path=/b"]).split, Some(vec![0.9, 0.1]));
    }

    #[test]
    fn a_split_of_its_own_needs_no_train_text() {
        let path = |text: &str| Some(Paths::from(text));
        for own in ["dataset = \"rust-sources\"\n", "path = \"/a\"\nsplit = [0.9, 0.1]\n"] {
            let found = data(own, &["data.test=/b"]);
            assert_eq!((found.train, found.validation, found.test, found.path), (path("/b"), None, path("/b"), None));
        }
        let found = data("train = \"/a\"\nvalidation = \"/v\"\n", &["data.test=/b"]);
        assert_eq!((found.train, found.validation, found.test), (path("/a"), path("/v"), path("/b")));
    }

    #[test]
    fn without_settings_the_data_are_the_runs() {
        assert_eq!(data("dataset = \"rust-sources\"\n", &[]).dataset.as_deref(), Some("rust-sources"));
    }
}
