//! `synth ablate`: cells, table, rows, what is not done twice, and cells that fail.

use crate::place::{Finished, Place};

const SWEEP: &str = r#"base = "tiny.toml"
seeds = [1, 2]
[grid]
"attention.kind" = ["vanilla", "random"]
"#;

const RUNS: [&str; 4] = ["vanilla-s1", "vanilla-s2", "random-s1", "random-s2"];

fn place() -> Place {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    place
}

/// `(run, status)` of each row of the table that `ablate` prints.
fn table(finished: &Finished) -> Vec<(String, String)> {
    let rows = finished.stdout.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    rows.map(cells).map(|cells| (cells[0].clone(), cells.last().unwrap().clone())).collect()
}

/// `(run, status, reason)` of each row of `runs.csv`.
fn rows(place: &Place) -> Vec<(String, String, String)> {
    let mut reader = csv::Reader::from_path(place.path("results/sweep/runs.csv")).unwrap();
    reader.records().map(Result::unwrap).map(|row| (row[0].into(), row[3].into(), row[4].into())).collect()
}

#[test]
fn two_kinds_and_two_seeds() {
    let place = place();
    let finished = place.succeeds("ablate sweep.toml");
    assert_eq!(table(&finished), RUNS.map(|run| (run.to_string(), "done".to_string())));
    assert!(finished.stdout.contains("rows in results/sweep/runs.csv"), "{}", finished.stdout);
    let mut expected = RUNS.map(|run| (run.to_string(), "done".to_string(), String::new())).to_vec();
    expected.sort();
    assert_eq!(rows(&place), expected);
    for run in RUNS {
        assert!(place.path(&format!("results/sweep/{run}/summary.json")).exists());
    }

    let weights = |place: &Place| {
        let mut files = place.files();
        // The ledger notes every process.
        files.retain(|path, _| !path.ends_with("cells.jsonl"));
        files
    };
    let before = weights(&place);
    let again = place.succeeds("ablate sweep.toml --json");
    assert_eq!(again.stderr.matches("nothing to do").count(), 4, "{}", again.stderr);
    assert!(weights(&place) == before, "a second call changed files");
    let object = again.json();
    let runs: Vec<&str> = object["runs"].as_array().unwrap().iter().map(|row| row["run"].as_str().unwrap()).collect();
    assert_eq!((runs.as_slice(), &object["sweep"]), (RUNS.as_slice(), &"sweep".into()));
}

#[test]
fn a_dry_run_writes_nothing() {
    let place = place();
    let before = place.files();
    let finished = place.succeeds("ablate sweep.toml --dry-run");
    assert!(RUNS.iter().all(|run| finished.stdout.contains(run)), "{}", finished.stdout);
    let object = place.succeeds("ablate sweep.toml --dry-run --json").json();
    assert_eq!(object["cells"].as_array().unwrap().len(), 4);
    assert_eq!(object["cells"][0]["parameters"].as_u64(), Some(7600));
    assert!(place.files() == before, "files changed");
}

#[test]
fn a_failing_cell_is_a_row_and_the_others_run() {
    let place = Place::new();
    place.write("empty.txt", "");
    place.write(
        "sweep.toml",
        "base = \"tiny.toml\"\nretries = 1\n[[cell]]\nname = \"bad\"\nset = { \"data.path\" = \"empty.txt\" }\n\
         [[cell]]\nname = \"good\"\n",
    );
    let finished = place.synth("ablate sweep.toml");
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("empty.txt is empty").count(), 2, "{}", finished.stderr);
    assert!(finished.stderr.contains("error: 1 of 2 cells did not end well"), "{}", finished.stderr);
    let expected = [("bad-s1", "failed: exit code 1"), ("good-s1", "done")];
    assert_eq!(table(&finished), expected.map(|(run, status)| (run.to_string(), status.to_string())));
    let expected = [("bad-s1", "failed", "exit code 1"), ("good-s1", "done", "")];
    assert_eq!(rows(&place), expected.map(|(run, status, why)| (run.into(), status.into(), why.into())));
}

#[test]
fn finished_cells_do_not_hide_that_other_settings_were_asked_for() {
    let place = Place::new();
    place.write("sweep.toml", "base = \"tiny.toml\"\nseeds = [1, 2]\n");
    assert_eq!(place.succeeds("ablate sweep.toml --quiet").stderr, "");
    let finished = place.synth("ablate sweep.toml --set optimizer.lr=0.1");
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert_eq!(finished.stderr.matches("optimizer.lr was 0.001 and is now 0.1").count(), 2, "{}", finished.stderr);
    assert_eq!(table(&finished).len(), 2);
    assert!(table(&finished).iter().all(|(_, status)| status.starts_with("failed")), "{}", finished.stdout);
}

#[test]
fn sweeps_that_are_none() {
    let place = place();
    for (text, expected) in [
        ("seeds = [1]\n", "base: missing, expected base = \"EXPERIMENT.toml\""),
        ("base = \"missing.toml\"\nseeds = [1]\n", "missing.toml: no such file"),
        ("base = \"tiny.toml\"\nseeds = [1, 1]\n", "two cells make the run vanilla-s1"),
        ("base = \"tiny.toml\"\n[grid]\nmodel.haeds = [1]\n", "model.haeds: unknown key"),
        ("base = \"tiny.toml\"\n[grid]\nmodel.heads = [2, 3]\n", "3 does not divide model.d_model = 16"),
    ] {
        place.write("wrong.toml", text);
        place.fails("ablate wrong.toml", 2, &[expected]);
    }
    place.fails("ablate sweep.toml --set attention.kind=random", 2, &["attention.kind is a key of the sweep's grid"]);
}

#[test]
fn a_place_that_cannot_be_shows_before_the_first_cell() {
    let place = place();
    place.write("results/sweep", "a file");
    place.fails("ablate sweep.toml", 2, &["results/sweep", "a file is in the way"]);
}
