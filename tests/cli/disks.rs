//! Disks that are full or read-only, mounted in a namespace of the test's own.

use crate::place::{EXPERIMENT, Finished, Place, RUN};
use std::process::Command;

/// Runs a shell script as root of its own mounts, in the place's folder; it finds `synth` as `$SYNTH`.
/// `None`, said on stderr, where this machine allows no mounts.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub fn with_mounts(place: &Place, script: &str) -> Option<()> {
    let allowed = |flags: &&str| {
        let trial = "mkdir -p trial && mount -t tmpfs -o size=1m tmpfs trial";
        let output = Command::new("unshare").args([flags, "sh", "-c", trial]).current_dir(place.path("")).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(flags) = ["-Urm", "-m"].into_iter().find(allowed) else {
        eprintln!("skipped: no mounts allowed here, neither in a user's own namespace nor as root");
        return None;
    };
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-euc", script]).current_dir(place.path(""));
    command.env("SYNTH", env!("CARGO_BIN_EXE_synth")).env("OMP_NUM_THREADS", "1").env("CUDA_VISIBLE_DEVICES", "");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(())
}

/// What `$SYNTH … >NAME.out 2>NAME.err || echo $? >NAME.code` left.
pub fn finished(place: &Place, name: &str) -> Finished {
    Finished {
        code: Some(place.read(&format!("{name}.code")).trim().parse().unwrap()),
        stdout: place.read(&format!("{name}.out")),
        stderr: place.read(&format!("{name}.err")),
    }
}

/// No file of a folder is half-written: none is set aside, all lines of the tables are whole.
fn check_whole(place: &Place, run: &str) {
    for name in place.names(run) {
        assert!(!name.contains(".unfinished") && !name.ends_with(".part"), "{name}");
    }
    let commas = |line: &str| line.matches(',').count();
    let metrics = place.read(&format!("{run}/metrics.csv"));
    let columns = metrics.lines().next().map(commas);
    assert!(metrics.ends_with('\n') && metrics.lines().all(|line| Some(commas(line)) == columns), "{metrics}");
    let events = place.read(&format!("{run}/metrics.jsonl"));
    assert!(events.ends_with('\n'), "{events}");
    for line in events.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn a_disk_that_fills_with_checkpoints() {
    let place = Place::new();
    let more = EXPERIMENT.replace("d_model = 16", "d_model = 32").replace("steps = 6", "steps = 90\nkeep = 99");
    place.write("tiny.toml", more);
    let script = "
        mkdir results kept && mount -t tmpfs -o size=1m tmpfs results
        $SYNTH train tiny.toml >train.out 2>train.err || echo $? >train.code
        cp -a results/. kept
        mount -o remount,size=8m results
        $SYNTH eval results/tiny/vanilla-s1 --json >eval.out 2>eval.err
        $SYNTH -q train tiny.toml --resume >resume.out 2>resume.err
        cp results/tiny/vanilla-s1/checkpoints/last resumed";
    if with_mounts(&place, script).is_none() {
        return;
    }
    let train = finished(&place, "train");
    assert_eq!(train.code, Some(1));
    let line = train.error_line();
    assert!(line.contains("cannot save the checkpoint of step") && line.contains("No space left on device"), "{line}");
    assert_eq!(line.matches("No space left").count(), 1, "{line}");
    let kept = RUN.replace("results", "kept");
    check_whole(&place, &kept);
    let last = place.read(&format!("{kept}/checkpoints/last"));
    let evaluated: serde_json::Value = serde_json::from_str(&place.read("eval.out")).unwrap();
    assert_eq!(evaluated["checkpoint"], last.trim());
    assert_eq!((place.read("resume.err").as_str(), place.read("resumed").as_str()), ("", "step-90\n"));
}

#[test]
fn a_disk_that_fills_with_rows() {
    let place = Place::new();
    let more = EXPERIMENT.replace("steps = 6", "steps = 900").replace("log_every = 2", "log_every = 1");
    place.write(
        "tiny.toml",
        more.replace("eval_every = 3\ncheckpoint_every = 3", "eval_every = 0\ncheckpoint_every = 0"),
    );
    let script = "
        mkdir results kept && mount -t tmpfs -o size=80k tmpfs results
        $SYNTH train tiny.toml >train.out 2>train.err || echo $? >train.code
        cp -a results/. kept";
    if with_mounts(&place, script).is_none() {
        return;
    }
    let train = finished(&place, "train");
    assert_eq!(train.code, Some(1), "{}", train.stderr);
    let line = train.error_line();
    assert!(line.contains("cannot write") && line.contains("metrics.") && line.contains("No space left"), "{line}");
    check_whole(&place, &RUN.replace("results", "kept"));
}

#[test]
fn a_disk_without_any_room() {
    let place = Place::new();
    let script = "
        mkdir results && mount -t tmpfs -o size=8k tmpfs results && head -c 8192 /dev/zero >results/filler || true
        $SYNTH train tiny.toml >train.out 2>train.err || echo $? >train.code";
    if with_mounts(&place, script).is_none() {
        return;
    }
    let train = finished(&place, "train");
    assert_eq!(train.code, Some(1), "{}", train.stderr);
    assert!(train.error_line().contains("No space left on device"), "{}", train.stderr);
}

#[test]
fn a_read_only_mount() {
    let place = Place::with_run();
    place.write("sweep.toml", "base = \"tiny.toml\"\nseeds = [1, 2]\n");
    let script = "
        mount --bind results results && mount -o remount,bind,ro results
        $SYNTH train tiny.toml --run new >train.out 2>train.err || echo $? >train.code
        $SYNTH train tiny.toml --resume --set train.steps=9 >resume.out 2>resume.err || echo $? >resume.code
        $SYNTH train tiny.toml --overwrite >over.out 2>over.err || echo $? >over.code
        $SYNTH eval results/tiny/vanilla-s1 >eval.out 2>eval.err || echo $? >eval.code
        $SYNTH ablate sweep.toml >ablate.out 2>ablate.err || echo $? >ablate.code";
    let before = place.names("results");
    if with_mounts(&place, script).is_none() {
        return;
    }
    for name in ["train", "resume", "over", "eval", "ablate"] {
        let finished = finished(&place, name);
        assert_eq!(finished.code, Some(1), "{name}: {}", finished.stderr);
        let line = finished.error_line();
        assert!(line.contains("cannot") && line.contains("results/") && line.contains("Read-only"), "{name}: {line}");
    }
    assert_eq!(place.names("results"), before);
}
