//! Tests of the index: its rows, its cells, and many writers at one time.

use super::*;
use crate::runs::environment::tests::environment;
use crate::runs::summary::tests::summary;
use crate::runs::{Mode, RunFolder};
use tempfile::tempdir;

const HEADER: &str =
    "run,kind,seed,status,reason,step,parameters,loss,perplexity,tokens_per_second,peak_memory_mib,elapsed_s\n";

fn run(results: &Path, name: &str) -> RunFolder {
    RunFolder::create(results, "tiny", name, Mode::New).unwrap()
}

#[test]
fn every_run_has_a_row_whatever_became_of_it() {
    let results = tempdir().unwrap();
    summary().write(&run(results.path(), "c").summary()).unwrap();
    let killed = run(results.path(), "b");
    fs::write(killed.config(), "seed = 3\n[attention]\nkind = \"vanilla\"\ndecoder = \"random\"\n").unwrap();
    let begun = run(results.path(), "a");
    environment().write(&begun.environment()).unwrap();
    let broken = run(results.path(), "d");
    fs::write(broken.summary(), "{\"run\": ").unwrap();
    fs::create_dir(results.path().join("tiny/no-run")).unwrap();
    drop(run(results.path(), "e-claimed-only"));

    let experiment = results.path().join("tiny");
    rebuild(&experiment).unwrap();
    let csv = fs::read_to_string(experiment.join("runs.csv")).unwrap();
    let (table, last) = csv.split_at(csv.rfind("\nd,").unwrap() + 1);
    let expected = [
        "a,,9,stopped,no summary: running or killed,,10,,,,,\n",
        "b,random,3,stopped,no summary: running or killed,,,,,,,\n",
        "c,vanilla,1,out-of-memory,,20,10,1.5,,1000,,2.5\n",
    ];
    assert_eq!(table, HEADER.to_owned() + &expected.concat());
    assert!(last.starts_with("d,,,failed,") && last.contains("no summary that synth wrote"), "{last}");

    let json: serde_json::Value = serde_json::from_slice(&fs::read(experiment.join("runs.json")).unwrap()).unwrap();
    assert_eq!(json[2]["parameters"], 10);
    assert_eq!(json[2]["perplexity"], serde_json::Value::Null);
    let keys: Vec<&String> = json[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, COLUMNS);
}

#[test]
fn the_ledger_tells_of_what_left_no_summary_and_nothing_of_what_was_set_aside() {
    let results = tempdir().unwrap();
    let experiment = results.path().join("tiny");
    ledger::begin(&experiment).unwrap();
    for name in ["full-s1", "again-s1", "again-s1.old-1"] {
        fs::write(run(results.path(), name).config(), "seed = 1\n").unwrap();
    }
    let append = |run: &str, status, reason: &str| {
        let (run, reason) = (run.to_owned(), Some(reason.to_owned()));
        ledger::append(&experiment, &CellRecord { run, kind: "random".into(), seed: 1, status, reason }).unwrap();
    };
    append("full-s1", Status::Failed, "No space left on device");
    append("again-s1", Status::Failed, "signal 9");
    append("again-s1", Status::Stopped, ledger::UNDER_WAY);
    append("long-s1", Status::Skipped, "too long");
    let rows = rows(&experiment).unwrap();
    let told: Vec<_> = rows.iter().map(|row| (row.run.as_str(), row.status, row.reason.as_deref().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("again-s1", Status::Stopped, ledger::UNDER_WAY),
            ("full-s1", Status::Failed, "No space left on device"),
            ("long-s1", Status::Skipped, "too long"),
        ]
    );
}

#[test]
fn texts_that_look_like_formulas_get_an_apostrophe_in_csv_only() {
    let results = tempdir().unwrap();
    let mut formula = summary();
    formula.reason = Some("=HYPERLINK(1,2)".into());
    formula.final_metrics.get_mut("validation").unwrap().insert("loss".into(), Some(-1.5));
    formula.write(&run(results.path(), "a").summary()).unwrap();
    let experiment = results.path().join("tiny");
    rebuild(&experiment).unwrap();
    let csv = fs::read_to_string(experiment.join("runs.csv")).unwrap();
    assert!(csv.contains("\"'=HYPERLINK(1,2)\"") && csv.contains(",-1.5,"), "{csv}");
    assert!(fs::read_to_string(experiment.join("runs.json")).unwrap().contains("\"=HYPERLINK(1,2)\""));
}

#[test]
fn many_writers_lose_no_row() {
    let results = tempdir().unwrap();
    let experiment = results.path().join("tiny");
    std::thread::scope(|scope| {
        for index in 0..8 {
            let (results, experiment) = (results.path(), &experiment);
            scope.spawn(move || {
                for part in ["a", "b"] {
                    let folder = run(results, &format!("{part}{index}"));
                    summary().write(&folder.summary()).unwrap();
                    rebuild(experiment).unwrap();
                    let csv = fs::read_to_string(experiment.join("runs.csv")).unwrap();
                    assert!(csv.starts_with(HEADER) && csv.ends_with('\n'), "torn: {csv}");
                    assert!(csv.contains(&format!("\n{part}{index},vanilla")), "lost: {csv}");
                }
            });
        }
    });
    let csv = fs::read_to_string(experiment.join("runs.csv")).unwrap();
    assert_eq!(csv.lines().count(), 17);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let message = rebuild(Path::new("/none/tiny")).unwrap_err().to_string();
    assert!(message.starts_with("cannot lock /none/tiny/.runs.lock: No such file"), "{message}");
}
