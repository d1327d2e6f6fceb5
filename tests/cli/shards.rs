//! Several calls over one folder at once, and calls that are killed: each cell is done once, and ends as if nothing had
//! happened.

use crate::place::Place;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SWEEP: &str = r#"base = "tiny.toml"
seeds = [1, 2]
[grid]
"attention.kind" = ["vanilla", "random", "dense"]
"#;

/// A folder with a sweep of six cells, each of which takes a second or so.
fn place(steps: u32) -> Place {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    let experiment = place.read("tiny.toml");
    place.write(
        "tiny.toml",
        experiment.replace("steps = 6", &format!("steps = {steps}")).replace("_every = 3", "_every = 20"),
    );
    place
}

/// Starts `synth`; what it says goes into NAME.err.
fn start(place: &Place, name: &str, arguments: &str) -> Child {
    let file = |ending: &str| fs::File::create(place.path(&format!("{name}.{ending}"))).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.args(arguments.split_whitespace()).current_dir(place.path("")).stdin(Stdio::null());
    command.env("OMP_NUM_THREADS", "1").env("CUDA_VISIBLE_DEVICES", "").stdout(file("out")).stderr(file("err"));
    command.spawn().unwrap()
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The numbers of the processes that a process has started.
fn children(child: &Child) -> Vec<String> {
    let path = format!("/proc/{0}/task/{0}/children", child.id());
    fs::read_to_string(path).unwrap_or_default().split_whitespace().map(str::to_string).collect()
}

fn kill(process: &str) {
    let _ = Command::new("kill").args(["-KILL", process]).stderr(Stdio::null()).status();
}

/// How often the ledger says of each run that a process of it ended as done.
fn done(place: &Place) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in place.read("results/sweep/cells.jsonl").lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        if record["status"] == "done" {
            *counts.entry(record["run"].as_str().unwrap().to_string()).or_default() += 1;
        }
    }
    counts
}

/// Every cell was trained to its end by one process, and no step of it is there twice.
fn check_each_once(place: &Place) {
    let counts = done(place);
    assert_eq!(counts.len(), 6, "{counts:?}");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    for run in counts.keys() {
        let rows = place.read(&format!("results/sweep/{run}/metrics.csv"));
        let mut steps: Vec<&str> =
            rows.lines().filter(|row| row.contains(",train,")).map(|row| row.split(',').next().unwrap()).collect();
        let all = steps.len();
        steps.dedup();
        assert_eq!(all, steps.len(), "{run}");
    }
}

/// Loss, perplexity and steps of every run, and its last weights.
fn figures(place: &Place) -> BTreeMap<String, (Vec<String>, Vec<u8>)> {
    let mut reader = csv::Reader::from_path(place.path("results/sweep/runs.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap);
    let figures = |row: csv::StringRecord| {
        let columns = [1, 2, 3, 4, 5, 6, 7, 8].map(|column| row[column].to_string());
        let folder = format!("results/sweep/{}/checkpoints", &row[0]);
        let last = place.read(&format!("{folder}/last"));
        let weights = fs::read(place.path(&format!("{folder}/{}/model.safetensors", last.trim()))).unwrap();
        (row[0].to_string(), (columns.to_vec(), weights))
    };
    rows.map(figures).collect()
}

#[test]
fn two_shards_at_once_of_which_one_is_killed() {
    let place = place(300);
    let mut first = start(&place, "first", "ablate sweep.toml --shard 1/2");
    let mut second = start(&place, "second", "ablate sweep.toml --shard 2/2");
    wait_until("the second shard trains", || place.path("results/sweep/vanilla-s2/checkpoints/last").exists());
    second.kill().unwrap();
    second.wait().unwrap();
    assert!(first.wait().unwrap().success(), "{}", place.read("first.err"));
    assert!(
        place.read("first.err").contains("shard 2/2 has died: its cells are done here"),
        "{}",
        place.read("first.err")
    );
    check_each_once(&place);
    // Started again it finds all done.
    let again = place.succeeds("ablate sweep.toml --shard 2/2");
    assert_eq!(again.stderr.matches("done, nothing to do").count(), 3, "{}", again.stderr);
    check_each_once(&place);
}

#[test]
fn a_shard_leaves_the_others_cells_alone() {
    let place = place(6);
    place.succeeds("ablate sweep.toml --shard 2/3");
    assert_eq!(done(&place).into_keys().collect::<Vec<_>>(), ["dense-s1", "vanilla-s2"]);
}

#[test]
fn two_whole_calls_at_once_do_each_cell_once() {
    let place = place(60);
    let mut calls = ["first", "second"].map(|name| start(&place, name, "ablate sweep.toml --json"));
    for call in &mut calls {
        assert!(call.wait().unwrap().success(), "{} {}", place.read("first.err"), place.read("second.err"));
    }
    check_each_once(&place);
    for name in ["first.out", "second.out"] {
        let object: Value = serde_json::from_str(&place.read(name)).unwrap();
        let runs = object["runs"].as_array().unwrap();
        assert!(runs.len() == 6 && runs.iter().all(|run| run["status"] == "done"), "{object}");
    }
}

#[test]
fn a_failure_elsewhere_is_not_repeated_here() {
    let place = place(40);
    place.write("empty.txt", "");
    let bad = "[[cell]]\nname = \"bad\"\nset = { \"data.path\" = \"empty.txt\" }\n";
    place.write("sweep.toml", format!("base = \"tiny.toml\"\n{bad}[[cell]]\nname = \"good\"\n"));
    let mut calls = ["first", "second"].map(|name| start(&place, name, "ablate sweep.toml"));
    for call in &mut calls {
        assert_eq!(call.wait().unwrap().code(), Some(1));
    }
    let ledger = place.read("results/sweep/cells.jsonl");
    assert_eq!(ledger.matches("\"failed\"").count(), 1, "{ledger}");
    for name in ["first.err", "second.err"] {
        assert!(place.read(name).contains("bad-s1: failed: exit code 1: "), "{}", place.read(name));
    }
}

#[test]
fn killed_at_ten_moments_a_sweep_ends_as_one_that_never_was() {
    let straight = place(120);
    straight.succeeds("ablate sweep.toml --jobs 2");
    let killed = place(120);
    for kill_number in 0..10_u64 {
        let mut sweep = start(&killed, "killed", "ablate sweep.toml --jobs 2");
        let moment = (kill_number + 1).wrapping_mul(6364136223846793005) >> 33;
        std::thread::sleep(Duration::from_millis(150 + moment % 450));
        // Every other time the machine goes down: cells die at once instead of saving.
        let cells = if kill_number % 2 == 0 { children(&sweep) } else { Vec::new() };
        sweep.kill().unwrap();
        cells.iter().for_each(|cell| kill(cell));
        sweep.wait().unwrap();
    }
    let last = killed.succeeds("ablate sweep.toml --jobs 2");
    assert!(last.stdout.contains("rows in results/sweep/runs.csv"), "{}", last.stdout);
    let (expected, found) = (figures(&straight), figures(&killed));
    assert_eq!(expected.len(), 6);
    for (run, (columns, weights)) in &expected {
        assert_eq!(columns, &found[run].0, "{run}");
        assert!(weights == &found[run].1, "{run}: other weights");
    }
    assert!(killed.names("results/sweep").iter().all(|name| !name.contains(".old-")));
}

#[test]
fn the_end_of_the_time_and_a_signal_save_every_cell() {
    let place = place(4000);
    let begun = Instant::now();
    let finished = place.synth("ablate sweep.toml --jobs 2 --time-limit 2s");
    assert_eq!(finished.code, Some(1), "{}", finished.stderr);
    assert!(begun.elapsed() < Duration::from_secs(30));
    let line = finished.error_line();
    assert!(line.contains("stopped by --time-limit 2s, all is saved: 6 of 6 cells are left"), "{line}");
    let saved = |run: &str| place.path(&format!("results/sweep/{run}/checkpoints/last")).exists();
    assert!(saved("vanilla-s1") && saved("vanilla-s2"));
    let summary = place.read("results/sweep/vanilla-s1/summary.json");
    let told = summary.contains("\"stopped\"") && summary.contains("the sweep's --time-limit is over");
    assert!(told, "saving came to its end: {summary}");
    let rows = crate::sweeps::rows(&place.path("results/sweep/runs.csv"));
    assert_eq!(rows.len(), 6);
    assert!(rows.iter().all(|row| row.1 == "stopped"), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.2 == "not begun").count(), 4, "{rows:?}");

    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let before = place.read("results/sweep/vanilla-s1/checkpoints/last");
        let mut sweep = start(&place, "sweep", "ablate sweep.toml --jobs 2");
        wait_until("both cells go on", || place.read("sweep.err").matches("going on from").count() == 2);
        std::thread::sleep(Duration::from_millis(300));
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &sweep.id().to_string()]).status().unwrap().success()
        );
        assert_eq!(sweep.wait().unwrap().code(), Some(code), "{}", place.read("sweep.err"));
        let last = place.read("sweep.err").lines().last().unwrap().to_string();
        assert_eq!(last, format!("stopped by SIG{signal}; the same command goes on"));
        assert_ne!(place.read("results/sweep/vanilla-s1/checkpoints/last"), before);
    }
}
