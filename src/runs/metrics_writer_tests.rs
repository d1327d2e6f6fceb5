//! Tests of the writer: what is appended, and what is cut on resume.

use super::*;
use crate::runs::{Mode, Split, metrics};
use std::fs;
use tempfile::{TempDir, tempdir};

const EXTRA: [&str; 1] = ["bits_per_byte"];

fn folder() -> (TempDir, RunFolder) {
    let results = tempdir().unwrap();
    let folder = RunFolder::create(results.path(), "tiny", "a", Mode::New).unwrap();
    (results, folder)
}

fn row(step: u64, split: Split) -> Row {
    Row { loss: Some(2.5), ..Row::new(step, 0.25, step * 10, split) }
}

/// Train rows at 10, 20, 30, a validation row at 0 and 20, a checkpoint at 20.
fn write_run(folder: &RunFolder) {
    let mut writer = MetricsWriter::open(folder, &EXTRA, None).unwrap();
    writer.event("start", 0, Map::new()).unwrap();
    writer.row(&row(0, Split::Validation)).unwrap();
    for step in [10, 20, 30] {
        writer.row(&row(step, Split::Train)).unwrap();
        if step == 20 {
            writer.row(&row(20, Split::Validation)).unwrap();
            writer.sync().unwrap();
            writer.event("checkpoint", 20, Map::from_iter([("folder".into(), "step-20".into())])).unwrap();
        }
    }
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn steps(folder: &RunFolder) -> Vec<(u64, Split)> {
    metrics::read(&folder.metrics_csv()).unwrap().iter().map(|row| (row.step, row.split)).collect()
}

fn events(folder: &RunFolder) -> Vec<String> {
    let text = fs::read_to_string(folder.metrics_jsonl()).unwrap();
    let event = |line| serde_json::from_str::<Value>(line).unwrap()["event"].as_str().unwrap().to_owned();
    text.lines().map(event).collect()
}

#[test]
fn rows_stand_in_both_files_as_soon_as_they_are_written() {
    let (_results, folder) = folder();
    let mut writer = MetricsWriter::open(&folder, &EXTRA, None).unwrap();
    writer.row(&Row { extra: vec![("bits_per_byte".into(), Some(3.0))], ..row(10, Split::Train) }).unwrap();
    let csv = fs::read_to_string(folder.metrics_csv()).unwrap();
    assert_eq!(
        csv,
        "step,epoch,tokens,split,loss,perplexity,lr,grad_norm,tokens_per_second,step_ms,peak_memory_mib,elapsed_s,\
         bits_per_byte\n10,0.25,100,train,2.5,,,,,,,,3\n"
    );
    assert_eq!(events(&folder), ["train"]);
    let unknown = Row { extra: vec![("bleu".into(), None)], ..row(20, Split::Train) };
    assert!(writer.row(&unknown).unwrap_err().to_string().contains("\"bleu\""));
    assert_eq!(fs::read_to_string(folder.metrics_csv()).unwrap(), csv);
}

#[test]
fn resume_cuts_what_is_past_the_checkpoint_and_keeps_the_rest() {
    let (_results, folder) = folder();
    write_run(&folder);
    let mut writer = MetricsWriter::open(&folder, &EXTRA, Some(20)).unwrap();
    writer.row(&row(25, Split::Train)).unwrap();
    let expected =
        [(0, Split::Validation), (10, Split::Train), (20, Split::Train), (20, Split::Validation), (25, Split::Train)];
    assert_eq!(steps(&folder), expected);
    assert_eq!(events(&folder), ["start", "validation", "train", "train", "validation", "checkpoint", "train"]);

    MetricsWriter::open(&folder, &EXTRA, Some(0)).unwrap();
    assert_eq!(steps(&folder), [(0, Split::Validation)]);
    assert_eq!(events(&folder), ["start", "validation"]);
    MetricsWriter::open(&folder, &EXTRA, None).unwrap();
    assert!(steps(&folder).is_empty() && events(&folder).is_empty());
}

#[test]
fn torn_ends_are_cut() {
    let torn: [(&[u8], &[u8]); 4] = [
        (b"31", b"{\"event\":\"tr"),
        // Whole to the eye, but a digit may be missing.
        (b"3,0.25,300,train,2.5,,,,,,,,", b"{\"event\":\"x\",\"step\":3}"),
        (b"12,0.2\n", b"{\"event\n"),
        (b"\0\0\xff", b"\0\0\xff"),
    ];
    for (csv, jsonl) in torn {
        let (_results, folder) = folder();
        write_run(&folder);
        append(&folder.metrics_csv(), csv);
        append(&folder.metrics_jsonl(), jsonl);
        MetricsWriter::open(&folder, &EXTRA, Some(30)).unwrap();
        assert_eq!(steps(&folder).len(), 5);
        assert_eq!(events(&folder).len(), 7);
    }
}

#[test]
fn a_kill_before_the_header_is_whole_begins_anew() {
    let (_results, folder) = folder();
    for text in [None, Some(""), Some("step,epo")] {
        if let Some(text) = text {
            fs::write(folder.metrics_csv(), text).unwrap();
        }
        MetricsWriter::open(&folder, &EXTRA, Some(5)).unwrap();
        assert!(steps(&folder).is_empty());
    }
}

#[test]
fn another_header_and_a_broken_line_are_errors_that_change_nothing() {
    let (_results, folder) = folder();
    write_run(&folder);
    let before = fs::read_to_string(folder.metrics_csv()).unwrap();
    let message = MetricsWriter::open(&folder, &["bleu"], Some(0)).unwrap_err().to_string();
    assert!(message.contains("has the columns") && message.lines().count() == 1, "{message}");

    append(&folder.metrics_jsonl(), b"not json\n{\"event\":\"end\",\"step\":30}\n");
    let message = MetricsWriter::open(&folder, &EXTRA, Some(0)).unwrap_err().to_string();
    assert!(message.contains("metrics.jsonl, line 8"), "{message}");
    assert_eq!(fs::read_to_string(folder.metrics_csv()).unwrap(), before);
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file() {
    let path = PathBuf::from("/dev/full");
    let file = OpenOptions::new().append(true).open(&path).unwrap();
    let message = Appender { path, file, length: 0 }.line("1,2").unwrap_err().to_string();
    assert!(message.starts_with("cannot write /dev/full: No space left"), "{message}");
}
