//! `synth ablate`: cells, table, rows, what is not done twice, and cells that fail.

use crate::place::{Finished, Place};
use std::path::Path;

const SWEEP: &str = r#"base = "tiny.toml"
seeds = [1, 2]
[grid]
"attention.kind" = ["vanilla", "random"]
"#;

const INDEX: &str = "results/sweep/runs.csv";

const RUNS: [&str; 4] = ["vanilla-s1", "vanilla-s2", "random-s1", "random-s2"];

fn place() -> Place {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    place
}

/// `(run, status)` of each row of the table that `ablate` prints.
pub fn table(finished: &Finished) -> Vec<(String, String)> {
    let rows = finished.stdout.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect::<Vec<_>>();
    rows.map(cells).map(|cells| (cells[0].clone(), cells.last().unwrap().clone())).collect()
}

/// `(run, status, reason)` of each row of `runs.csv`.
pub fn rows(path: &Path) -> Vec<(String, String, String)> {
    let mut reader = csv::Reader::from_path(path).unwrap();
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
    assert_eq!(rows(&place.path(INDEX)), expected);
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
    let finished = place.succeeds("ablate sweep.toml --dry-run --no-timing");
    assert!(RUNS.iter().all(|run| finished.stdout.contains(run)), "{}", finished.stdout);
    let object = place.succeeds("ablate sweep.toml --dry-run --no-timing --json").json();
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
    let [(bad, status), (good, done)] = &table(&finished)[..] else { panic!("{}", finished.stdout) };
    assert_eq!((bad.as_str(), good.as_str(), done.as_str()), ("bad-s1", "good-s1", "done"));
    assert!(status.starts_with("failed: exit code 1: ") && status.contains("empty.txt is empty"), "{status}");
    let [bad, good] = &rows(&place.path(INDEX))[..] else { panic!("two rows were expected") };
    assert_eq!((bad.1.as_str(), format!("failed: {}", bad.2)), ("failed", status.clone()));
    assert_eq!(good, &("good-s1".into(), "done".into(), String::new()));
}

#[test]
fn another_configuration_has_a_place_of_its_own() {
    let place = Place::new();
    place.write("sweep.toml", "base = \"tiny.toml\"\nseeds = [1, 2]\n");
    assert_eq!(place.succeeds("ablate sweep.toml --quiet").stderr, "");
    let before = place.read("results/sweep/vanilla-s1/metrics.csv");
    let finished = place.succeeds("ablate sweep.toml --set optimizer.lr=0.1");
    assert_eq!(finished.stderr.matches("optimizer.lr was 0.001 and is now 0.1").count(), 2, "{}", finished.stderr);
    assert!(finished.stderr.contains("results/sweep/vanilla-s1.old-1"), "{}", finished.stderr);
    assert_eq!(table(&finished), ["vanilla-s1", "vanilla-s2"].map(|run| (run.to_string(), "done".to_string())));
    assert_eq!(place.read("results/sweep/vanilla-s1.old-1/metrics.csv"), before);
    assert!(place.read("results/sweep/vanilla-s1/config.toml").contains("lr = 0.1"));
    assert_eq!(rows(&place.path(INDEX)).len(), 2, "what was set aside has no row");
    // A damaged configuration is another one, too; what may change is none.
    place.write("results/sweep/vanilla-s2/config.toml", "name = ");
    place.succeeds("ablate sweep.toml --set optimizer.lr=0.1 --set train.log_every=1");
    let old = ["vanilla-s1.old-1", "vanilla-s2.old-1", "vanilla-s2.old-2"];
    let kept = |name: &str| place.path(&format!("results/sweep/{name}")).exists();
    assert!(old.iter().all(|name| kept(name)) && !kept("vanilla-s1.old-2"));
    // More steps are asked for: the cells go on.
    let more = place.succeeds("ablate sweep.toml --set optimizer.lr=0.1 --set train.steps=9");
    assert_eq!(more.stderr.matches("going on from step-6").count(), 2, "{}", more.stderr);
}

#[test]
fn cells_share_the_cores_and_keep_their_threads() {
    let place = place();
    let run = |arguments: &str| {
        let output = place.command(arguments).env_remove("OMP_NUM_THREADS").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let threads = |run: &str| {
        let text = place.read(&format!("results/sweep/{run}/environment.json"));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["threads"].as_u64().unwrap()
    };
    run("ablate sweep.toml --jobs 1000");
    assert_eq!(RUNS.map(threads), [1; 4]);
    run("ablate sweep.toml --set train.steps=8");
    assert_eq!(RUNS.map(threads), [1; 4], "what was begun with one thread goes on with one");
}

#[test]
fn json_tells_what_it_took() {
    let place = place();
    let object = place.succeeds("ablate sweep.toml --json --jobs 2 --devices cpu").json();
    let number = |key: &str| object[key].as_f64().unwrap_or_else(|| panic!("{key} in {object}"));
    assert!(number("total_s") > 0.0 && number("device_hours") > 0.0 && number("cell_hours") >= number("device_hours"));
    assert!(number("utilisation") > 0.2 && number("utilisation") <= 1.0, "{object}");
    assert_eq!((&object["devices"][0]["device"], &object["devices"][0]["processes"]), (&"cpu".into(), &4.into()));
    place.fails("ablate sweep.toml --devices cpu,cpu", 2, &["--devices cpu", "twice"]);
    place.fails("ablate sweep.toml --devices cpu --device cpu", 2, &["cannot be used with"]);
    for arguments in ["--shard 3/2", "--time-limit 9", "--jobs 0", "--no-timing"] {
        assert_eq!(place.synth(&format!("ablate sweep.toml {arguments}")).code, Some(2), "{arguments}");
    }
}

#[test]
fn a_dry_run_times_a_step_of_each_cell() {
    let place = place();
    let sweep = SWEEP.replace("\"random\"", "\"random\", \"factorized-dense\"");
    place.write("sweep.toml", format!("match_parameters = \"vanilla-control\"\n{sweep}"));
    let arguments = "ablate sweep.toml --dry-run --set attention.factorized-dense.factors=[2,2]";
    let object = place.succeeds(&format!("{arguments} --json")).json();
    let cells = object["cells"].as_array().unwrap();
    let runs: Vec<&str> = cells.iter().map(|cell| cell["run"].as_str().unwrap()).collect();
    let kinds = ["vanilla", "random", "vanilla-control-random", "factorized-dense"];
    assert_eq!(runs, kinds.map(|kind| [1, 2].map(|seed| format!("{kind}-s{seed}"))).as_flattened());
    for cell in cells {
        let timed = cell["step_ms"].as_f64().is_some_and(|ms| ms > 0.0);
        assert_eq!(timed, cell["skip"].is_null(), "{cell}");
        assert_eq!(cell["flops"].as_f64().unwrap(), 6.0 * cell["flops_per_step"].as_f64().unwrap());
    }
    assert_eq!(cells[2]["parameters"].as_f64().map(|count| count * 0.01 > 1.0), Some(true));
    let [random, control] = [2, 4].map(|index: usize| cells[index]["parameters"].as_f64().unwrap());
    assert!((control / random - 1.0).abs() < 0.01, "{random} {control}");
    let table = place.succeeds(arguments).stdout;
    assert!(table.contains("vanilla-control-random: d_ff ") && table.contains(" against random"), "{table}");
    assert!(table.contains("skipped: ") && table.contains("about "), "{table}");
    assert!(!place.path("results").exists());
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
