//! Outputs of real systems, below `SYNTH_TEST_DATA`.

use crate::place::Place;
use std::path::PathBuf;

/// The folder `metric-golden`; without it a test skips and says so.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn golden() -> Option<PathBuf> {
    let folder = std::env::var_os("SYNTH_TEST_DATA").map(|folder| PathBuf::from(folder).join("metric-golden"));
    let found = folder.filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("skipped: SYNTH_TEST_DATA is not set, or holds no metric-golden");
    }
    found
}

fn check(arguments: &str, expected: &[(&str, f64)], tolerance: f64) {
    let object = Place::new(&[]).json(arguments);
    for (name, expected) in expected {
        let found = object[name].as_f64().unwrap();
        assert!((found - expected).abs() <= tolerance, "{name}: {found}, expected {expected}");
    }
}

#[test]
fn translations_as_sacrebleu() {
    let Some(folder) = golden() else { return };
    let folder = folder.join("wmt17-en-de").display().to_string();
    let files = format!("--hypotheses {folder}/uedin-nmt.4722.en-de.gz --references {folder}/newstest2017.ref.de.gz");
    check(&format!("--metric bleu,chrf {files}"), &[("bleu", 28.3012), ("chrf", 57.7227)], 5e-5);
    check(&format!("--metric bleu --tokenize none {files}"), &[("bleu", 23.3868)], 5e-5);
}

#[test]
fn summaries_as_rouge_score() {
    let Some(folder) = golden() else { return };
    let folder = folder.join("xsum").display().to_string();
    let files = format!(
        "--metric rouge1,rouge2,rougeL,rougeLsum --hypotheses {folder}/lead-test-output.txt.gz \
         --references {folder}/gold-test-sentences.txt.gz"
    );
    let scores = |r1, r2, l| [("rouge1", r1), ("rouge2", r2), ("rougeL", l), ("rougeLsum", l)];
    check(&files, &scores(16.0075, 1.5827, 11.7875), 5e-5);
    check(&format!("{files} --no-stemmer"), &scores(15.2005, 1.4889, 11.3389), 5e-5);
}

#[test]
fn captions_as_nlg_eval() {
    let Some(folder) = golden() else { return };
    let folder = folder.join("nlg-eval").display().to_string();
    let files = format!("--hypotheses {folder}/hyp.txt --references {folder}/ref1.txt --references {folder}/ref2.txt");
    check(&format!("--metric cider-d {files}"), &[("cider-d", 1.242192)], 5e-7);
    check(&format!("--metric bleu --tokenize none --smooth none {files}"), &[("bleu", 20.1143)], 5e-5);
}
