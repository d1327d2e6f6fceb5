//! A sweep of twelve cells to which everything happens: one diverges, one is too long for its kind, one is killed and one
//! finds its disk full.

use crate::disks::{finished, with_mounts};
use crate::place::{Finished, Place};
use crate::sweeps::{rows, table};
use std::process::Command;

const SWEEP: &str = r#"base = "tiny.toml"
[grid]
"attention.kind" = ["vanilla", "random", "dense", "fixed-random"]
"model.layers" = [1, 2]
[[cell]]
name = "wild"
set = { "optimizer.lr" = 1e30, "optimizer.clip_norm" = 0.0, "train.steps" = 60 }
[[cell]]
name = "long"
set = { "attention.kind" = "factorized-dense", "attention.factorized-dense.factors" = [2, 4] }
[[cell]]
name = "killed"
set = { "train.steps" = 1500, "train.eval_every" = 0, "train.checkpoint_every" = 100 }
[[cell]]
name = "full"
"#;

/// Runs the sweep, kills one cell's process from outside, and starts the sweep again where the disk has room.
const SCRIPT: &str = r#"
    $SYNTH ablate sweep.toml --jobs 2 >first.out 2>first.err & sweep=$!
    while ! test -e results/sweep/killed-s1/checkpoints/last; do sleep 0.02; done
    kill -9 $(sed -n 's/.* killed-s1: begun on cpu, process //p' first.err)
    wait $sweep || echo $? >first.code
    cp results/sweep/runs.csv first.csv
    cp results/sweep/killed-s1/checkpoints/last last
    ROOM
    $SYNTH ablate sweep.toml --jobs 2 >second.out 2>second.err || echo $? >second.code
"#;

/// The runs that a call began.
fn begun(finished: &Finished) -> Vec<String> {
    let lines = finished.stderr.lines().filter(|line| line.contains(": begun on cpu, process "));
    let mut runs: Vec<String> =
        lines.map(|line| line.trim_start_matches(" INFO ").split(':').next().unwrap().to_string()).collect();
    runs.sort();
    runs
}

fn status(rows: &[(String, String, String)], run: &str) -> (String, String) {
    let row = rows.iter().find(|row| row.0 == run).unwrap_or_else(|| panic!("{run} has no row in {rows:?}"));
    (row.1.clone(), row.2.clone())
}

#[test]
fn four_cells_are_spoiled_and_named_and_a_second_start_repeats_two() {
    let place = Place::new();
    place.write("sweep.toml", SWEEP);
    let mount = "mkdir -p results/sweep/full-s1 && mount -t tmpfs -o size=64k tmpfs results/sweep/full-s1";
    let script = SCRIPT.replace("ROOM", "mount -o remount,size=8m results/sweep/full-s1");
    let full = with_mounts(&place, &format!("{mount}\n{script}")).is_some();
    if !full {
        let mut command = Command::new("sh");
        command.args(["-euc", &SCRIPT.replace("ROOM", "")]).current_dir(place.path(""));
        command.env("SYNTH", env!("CARGO_BIN_EXE_synth")).env("OMP_NUM_THREADS", "1").env("CUDA_VISIBLE_DEVICES", "");
        assert!(command.status().unwrap().success());
    }

    let first = finished(&place, "first");
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    let spoiled = if full { 3 } else { 2 };
    assert!(first.stderr.contains(&format!("error: {spoiled} of 12 cells did not end well")), "{}", first.stderr);
    let rows_of = |path: &str| rows(&place.path(path));
    let after = rows_of("first.csv");
    assert_eq!(after.len(), 12, "{after:?}");
    let done = after.iter().filter(|row| row.1 == "done").count();
    assert_eq!(done, if full { 8 } else { 9 }, "{after:?}");
    assert_eq!(status(&after, "wild-s1").0, "diverged");
    let (long, why) = status(&after, "long-s1");
    assert!(long == "skipped" && why.contains("2 · 4 is less than model.max_length = 16"), "{long}: {why}");
    assert_eq!(status(&after, "killed-s1"), ("failed".into(), "signal 9".into()));
    if full {
        let (failed, why) = status(&after, "full-s1");
        assert!(failed == "failed" && why.contains("No space left on device"), "{failed}: {why}");
    }
    assert!(table(&first).iter().any(|(run, status)| run == "killed-s1" && status == "failed: signal 9"));

    let second = finished(&place, "second");
    let expected: &[&str] = if full { &["full-s1", "killed-s1"] } else { &["killed-s1"] };
    assert_eq!(begun(&second), expected, "{}", second.stderr);
    assert!(second.stderr.contains(&format!("going on from {}", place.read("last").trim())), "{}", second.stderr);
    // A cell that diverged is none that ended well: the code is 1 still.
    assert_eq!(second.code, Some(1));
    assert!(second.error_line().contains("1 of 12 cells did not end well"), "{}", second.stderr);
}
