//! Ctrl-C while outputs are written: in training, in `synth eval` and in `synth generate`.

use super::{RUN, place, reversed, sources, with_run};
use crate::place::{Metrics, Place};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Pairs whose outputs take a second or more.
const MANY: usize = 400;

fn spawn(place: &Place, arguments: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.args(arguments.split_whitespace()).current_dir(place.path("")).env("OMP_NUM_THREADS", "1");
    command.env_remove("SYNTH_DATA").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").arg("-INT").arg(child.id().to_string()).status().unwrap().success());
}

/// The exit code, stdout and stderr of what was interrupted.
fn end(child: Child) -> (Option<i32>, String, String) {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the process takes SIGINT itself.
fn listens(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 0b10 != 0
}

fn write_many(place: &Place) {
    let source = sources(MANY, 61);
    place.write("validation.tgt", reversed(&source));
    place.write("validation.src", source);
}

/// The rows without what a clock or the memory says.
fn rows(place: &Place, run: &str) -> Vec<Vec<String>> {
    let columns = ["step", "epoch", "tokens", "split", "loss", "lr", "grad_norm", "accuracy", "bleu", "chrf"];
    let metrics = Metrics::of(place, run);
    metrics.rows().map(|row| columns.iter().map(|column| row.cell(column).to_string()).collect()).collect()
}

#[test]
fn training_that_is_stopped_in_an_evaluation_goes_on_to_the_same_bytes() {
    let place = place(48);
    write_many(&place);
    let sets = "--set model.dropout=0.1 --set train.log_every=3 --set train.samples=2 --set decode.beam=2";
    let train = |run: &str| format!("train pairs.toml --resume --run {run} {sets}");
    place.succeeds(&train("straight"));
    let child = spawn(&place, &train("stopped"));
    let log = place.path("results/pairs/stopped/metrics.csv");
    // Behind the row of step 3 comes the evaluation.
    wait_until("step 3", || fs::read_to_string(&log).is_ok_and(|text| text.contains("\n3,")));
    std::thread::sleep(Duration::from_millis(50));
    interrupt(&child);
    let (code, _, stderr) = end(child);
    assert_eq!(code, Some(130), "{stderr}");
    assert!(stderr.contains("stopped by SIGINT") && stderr.contains("--resume"), "{stderr}");
    assert_eq!(Metrics::of(&place, "results/pairs/stopped").of_split("validation").count(), 0, "it was measured");
    assert_eq!(place.read("results/pairs/stopped/checkpoints/last"), "step-3\n");
    place.succeeds(&train("stopped"));
    assert_eq!(rows(&place, "results/pairs/stopped"), rows(&place, "results/pairs/straight"));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let read = |run: &str| fs::read(place.path(&format!("results/pairs/{run}/checkpoints/step-6/{file}"))).unwrap();
        assert!(read("stopped") == read("straight"), "{file}");
    }
    let samples = |run: &str| {
        let events = place.read(&format!("results/pairs/{run}/metrics.jsonl"));
        events.lines().filter(|line| line.contains("\"event\":\"sample\"")).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(samples("stopped"), samples("straight"));
}

#[test]
fn an_evaluation_that_is_stopped_leaves_what_was_there() {
    let place = with_run();
    place.succeeds(&format!("eval {RUN} --quiet"));
    write_many(&place);
    let before = place.files();
    let child = spawn(&place, &format!("eval {RUN} --quiet"));
    wait_until("eval listens", || listens(&child));
    std::thread::sleep(Duration::from_millis(150));
    interrupt(&child);
    let (code, stdout, stderr) = end(child);
    assert_eq!((code, stdout.as_str()), (Some(130), ""), "{stderr}");
    let told = "stopped by SIGINT: the evaluation is given up, nothing was written";
    assert!(stderr.trim_end().ends_with(told), "{stderr}");
    let tokens = |path: &std::path::Path| path.components().any(|part| part.as_os_str() == ".tokens");
    let changed =
        |(path, bytes): (&std::path::PathBuf, &Vec<u8>)| (before.get(path) != Some(bytes)).then(|| path.clone());
    let changed: Vec<_> = place.files().iter().filter_map(changed).filter(|path| !tokens(path)).collect();
    assert!(changed.is_empty(), "{changed:?}");
}

#[test]
fn generation_that_is_stopped_tells_how_far_it_came() {
    let place = with_run();
    place.write("many.src", sources(20_000, 71));
    let mut child = spawn(&place, &format!("generate {RUN} many.src --greedy --max-tokens 2 --quiet"));
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    assert!(stdout.read_line(&mut String::new()).unwrap() > 0);
    interrupt(&child);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let printed = 1 + rest.lines().count();
    let (code, _, stderr) = end(child);
    assert_eq!(code, Some(130), "{stderr}");
    assert_eq!(stderr, format!("stopped by SIGINT: printed the outputs for {printed} of 20000 lines\n"));
    assert!(printed < 20_000);

    let child = spawn(&place, &format!("generate {RUN} many.src --json --quiet"));
    wait_until("generate listens", || listens(&child));
    std::thread::sleep(Duration::from_millis(50));
    interrupt(&child);
    let (code, stdout, stderr) = end(child);
    assert_eq!((code, stdout.as_str()), (Some(130), ""), "{stderr}");
    assert_eq!(stderr, "stopped by SIGINT: printed the outputs for 0 of 20000 lines\n");
}

#[test]
fn generation_ends_with_its_reader() {
    let place = with_run();
    place.write("many.src", sources(20_000, 71));
    let mut child = spawn(&place, &format!("generate {RUN} many.src --greedy --max-tokens 2"));
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    assert!(stdout.read_line(&mut String::new()).unwrap() > 0);
    drop(stdout);
    let (code, _, stderr) = end(child);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}
