//! Which keys of `[data]` and `[tokenizer]` a task reads: those of texts, or those of pairs of a source and a target.

use super::provenance::Provenance;
use super::schema::Experiment;
use crate::data::options::{DataOptions, LongRecords, Paths, RowKind};
use crate::tasks::options::TaskKind;
use anyhow::Result;

/// Refuses keys that the task does not read.
pub(super) fn check(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    match experiment.task.kind {
        TaskKind::LanguageModeling => check_text_keys(experiment, origins),
        TaskKind::Translation | TaskKind::Summarization | TaskKind::Dialogue => check_pair_keys(experiment, origins),
    }
}

/// `data.long_records` where it is not given.
pub(super) fn long_records(kind: TaskKind) -> LongRecords {
    match kind {
        // A summary is of a document's beginning, too, and a reply of its last turns; a part of a sentence has no translation.
        TaskKind::Translation => LongRecords::Skip,
        TaskKind::LanguageModeling | TaskKind::Summarization | TaskKind::Dialogue => LongRecords::Cut,
    }
}

/// The keys of a task of texts: no pairs of paths, and nothing that is about a source and a target.
fn check_text_keys(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let data = &experiment.data;
    for (key, paths) in paths(data) {
        if paths.pair().is_some() {
            return Err(origins.refusal(key, "found a pair of paths, expected one: the task has no source and target"));
        }
    }
    let given = [
        ("data.max_source_length", data.max_source_length.is_some()),
        ("data.max_target_length", data.max_target_length.is_some()),
        ("data.length_ratio", data.length_ratio.is_some()),
        ("data.persona", data.persona),
        ("data.history_turns", data.history_turns != 0),
        ("tokenizer.joint", !experiment.tokenizer.joint),
    ];
    refuse_given(&given, "the task has no source and target; leave it out", origins)
}

/// The keys of a task with a source and a target: pairs of paths or a dataset, and bounds within `model.max_length`.
fn check_pair_keys(experiment: &Experiment, origins: &Provenance) -> Result<()> {
    let data = &experiment.data;
    let given = [
        ("data.path", data.path.is_some()),
        ("data.split", data.split.is_some()),
        ("data.field", data.field.is_some()),
        ("data.rows", data.rows != RowKind::default()),
    ];
    refuse_given(&given, "the task has a source and a target; expected data.dataset or pairs of paths", origins)?;
    for (key, paths) in paths(data) {
        if paths.pair().is_none() {
            let what = "found one path, expected a pair [\"SOURCE\", \"TARGET\"]: the task has a source and a target";
            return Err(origins.refusal(key, what));
        }
    }
    let longest = experiment.model.max_length;
    let bounds =
        [("data.max_source_length", data.max_source_length), ("data.max_target_length", data.max_target_length)];
    for (key, bound) in bounds {
        if let Some(bound) = bound.filter(|bound| *bound as u128 > longest as u128) {
            let what = format!("found {bound}, expected at most model.max_length = {longest}");
            return Err(origins.refusal_of(&[key, "model.max_length"], what));
        }
    }
    match data.length_ratio {
        Some(ratio) if ratio <= 1.0 => {
            Err(origins.refusal("data.length_ratio", format!("found {ratio}, expected more than 1")))
        }
        _ => Ok(()),
    }
}

/// The paths of the splits that are given.
fn paths(data: &DataOptions) -> impl Iterator<Item = (&'static str, &Paths)> {
    let paths = [("data.train", &data.train), ("data.validation", &data.validation), ("data.test", &data.test)];
    paths.into_iter().filter_map(|(key, paths)| Some((key, paths.as_ref()?)))
}

/// Refuses the first of these keys that is given.
fn refuse_given(keys: &[(&str, bool)], why: &str, origins: &Provenance) -> Result<()> {
    match keys.iter().find(|(_, given)| *given) {
        Some((key, _)) => Err(origins.refusal(key, why)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::load::tests::LEAST;

    fn experiment(data: &str) -> Experiment {
        toml::from_str(&LEAST.replace("dataset = \"rust-sources\"\n", data)).unwrap()
    }

    fn refused(check: impl Fn(&Experiment, &Provenance) -> Result<()>, data: &str) -> Option<String> {
        check(&experiment(data), &Provenance::of_command("test")).err().map(|error| error.to_string())
    }

    #[test]
    fn keys_of_pairs_are_not_for_texts() {
        for (data, key) in [
            ("train = ['a', 'b']\n", "data.train: found a pair of paths"),
            ("train = 'a'\ntest = ['a', 'b']\n", "data.test: found a pair of paths"),
            ("train = 'a'\nmax_source_length = 5\n", "data.max_source_length: the task has no source"),
            ("train = 'a'\nmax_target_length = 5\n", "data.max_target_length"),
            ("train = 'a'\nlength_ratio = 2.0\n", "data.length_ratio"),
            ("train = 'a'\npersona = true\n", "data.persona"),
            ("train = 'a'\nhistory_turns = 1\n", "data.history_turns"),
            ("train = 'a'\n[tokenizer]\njoint = false\n", "tokenizer.joint"),
        ] {
            let message = refused(check, data).unwrap();
            assert!(message.contains(key), "{message}");
        }
        let resolved = "train = 'a'\npersona = false\nhistory_turns = 0\nlong_records = 'skip'\n";
        assert_eq!(refused(check, resolved), None);
    }

    #[test]
    fn keys_of_texts_are_not_for_pairs() {
        for (data, key) in [
            ("path = 'a'\nsplit = [0.5, 0.5]\n", "data.path"),
            ("dataset = 'a'\nfield = 'source'\n", "data.field"),
            ("dataset = 'a'\nrows = 'records'\n", "data.rows"),
            ("train = 'a'\n", "data.train: found one path, expected a pair"),
            ("train = ['a', 'b']\nvalidation = 'a'\n", "data.validation: found one path"),
            ("dataset = 'a'\nmax_source_length = 257\n", "expected at most model.max_length = 256"),
            ("dataset = 'a'\nlength_ratio = 1.0\n", "data.length_ratio: found 1, expected more than 1"),
        ] {
            let message = refused(check_pair_keys, data).unwrap();
            assert!(message.contains(key), "{message}");
        }
        for data in ["dataset = 'a'\nmax_source_length = 256\nlength_ratio = 1.5\n", "train = ['a', 'b']\n"] {
            assert_eq!(refused(check_pair_keys, data), None);
        }
    }
}
