//! Processes that are killed, that work at the same time, and disks that are full: nothing half-made has a name.

use crate::place::Place;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Lines that take some time to import.
fn large(place: &Place) {
    let lines: String =
        (0..200_000).map(|number| format!("{{\"text\": \"line number {number} of many\"}}\n")).collect();
    place.write("large/train.jsonl", lines.repeat(10));
}

#[test]
fn what_a_killed_process_leaves_is_removed_by_the_next() {
    let place = Place::with(&[("small.txt", "a\n")]);
    large(&place);
    let mut child = place.process(&["data", "import", "large", "large"]).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    let written = |place: &Place| {
        let folders = place.names();
        let size =
            |name: &String| fs::metadata(place.path("data").join(name).join("set/train.jsonl")).map(|file| file.len());
        folders.iter().any(|name| size(name).is_ok_and(|bytes| bytes > 0))
    };
    while !written(&place) {
        assert!(start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    // Another process leaves the living one's place alone.
    place.succeeds(&["import", "beside", "small.txt"]);
    assert!(child.try_wait().unwrap().is_some() || place.names().len() == 2, "{:?}", place.names());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.json(&["list"])["prepared"].as_array().unwrap().len(), 1);
    place.succeeds(&["import", "small", "small.txt"]);
    assert_eq!(place.names(), ["beside", "small"]);
    let card = place.json(&["import", "large", "large"]);
    assert_eq!(Place::counts(&card), [("train".to_string(), 2_000_000)]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn a_full_disk_is_said_and_leaves_nothing() {
    let place = Place::new();
    large(&place);
    let allowed = |flags: &&str| {
        let trial = "mkdir -p trial && mount -t tmpfs -o size=1m tmpfs trial";
        let output = Command::new("unshare").args([flags, "sh", "-c", trial]).current_dir(place.path("")).output();
        output.is_ok_and(|output| output.status.success())
    };
    let Some(flags) = ["-Urm", "-m"].into_iter().find(allowed) else {
        return eprintln!("skipped: no mounts allowed here");
    };
    let script = "mkdir data && mount -t tmpfs -o size=4m tmpfs data
        $SYNTH data import large large >out 2>err || echo $? >code
        ls -A data >left
        mount -o remount,ro data
        $SYNTH data import large large >out 2>err2 || echo $? >code2";
    let mut command = Command::new("unshare");
    command.args([flags, "sh", "-euc", script]).current_dir(place.path("")).env("SYNTH", env!("CARGO_BIN_EXE_synth"));
    let output = command.env_remove("SYNTH_DATA").env("CUDA_VISIBLE_DEVICES", "").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((place.read("code").trim(), place.read("left").as_str()), ("1", ""));
    let error = place.read("err");
    assert!(
        error.contains("cannot write") && error.contains("train.jsonl") && error.contains("No space left"),
        "{error}"
    );
    assert_eq!(place.read("code2").trim(), "1");
    assert!(place.read("err2").contains("Read-only file system"), "{}", place.read("err2"));
}
