//! `train.tensorboard`: event files that say what `metrics.csv` says.

use crate::events::{self, Event};
use crate::place::{Metrics, Place, RUN};
use std::time::{SystemTime, UNIX_EPOCH};

const BOARD: &str = "--set train.tensorboard=true --set train.samples=1 --set train.sample_tokens=4";

/// What TensorBoard shows of these files: points of a file end where a later file's session starts.
fn shown(files: &[Vec<Event>]) -> Vec<(String, u64, f32)> {
    let mut points: Vec<(String, u64, f32)> = Vec::new();
    for event in files.iter().flatten() {
        if event.session == Some(1) {
            points.retain(|(_, step, _)| *step < event.step);
        }
        points.extend(event.scalars.iter().map(|(tag, value)| (tag.clone(), event.step, *value)));
    }
    points
}

/// The points that the rows of a run stand for.
fn expected(place: &Place, run: &str) -> Vec<(String, u64, f32)> {
    let mut points = Vec::new();
    for row in Metrics::of(place, run).rows() {
        let split = row.cell("split");
        let mut add = |tag: String, column: &str| {
            if !row.cell(column).is_empty() {
                points.push((tag, row.number("step") as u64, row.number(column) as f32));
            }
        };
        for column in ["loss", "perplexity", "bits_per_byte", "accuracy", "objective"] {
            add(format!("{split}/{column}"), column);
        }
        for column in ["lr", "grad_norm"] {
            add(column.into(), column);
        }
        for column in ["tokens_per_second", "step_ms", "peak_memory_mib"] {
            add(format!("performance/{column}"), column);
        }
    }
    points
}

fn texts(files: &[Vec<Event>]) -> Vec<(u64, &str, &str)> {
    let all = files.iter().flatten();
    all.flat_map(|event| event.texts.iter().map(|(tag, text)| (event.step, tag.as_str(), text.as_str()))).collect()
}

fn sorted(mut points: Vec<(String, u64, f32)>) -> Vec<(String, u64, f32)> {
    points.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    points
}

/// A text as Markdown that shows it as it is.
fn verbatim(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_row_is_a_point_and_texts_are_there() {
    let place = Place::new();
    place.succeeds(&format!("train tiny.toml {BOARD} --set train.label_smoothing=0.1"));
    let files = events::files(&place, RUN);
    assert_eq!(files.len(), 1);
    assert_eq!((files[0][0].file_version.as_deref(), files[0][0].step), (Some("brain.Event:2"), 0));
    let points = sorted(shown(&files));
    assert_eq!(points, sorted(expected(&place, RUN)));
    assert!(points.iter().any(|(tag, ..)| tag == "train/objective"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(files[0].iter().all(|event| (now - event.wall_time).abs() < 600.0));
    let starts: Vec<_> = files[0].iter().filter_map(|event| Some((event.step, event.session?))).collect();
    assert_eq!(starts, [(0, 1)]);
    let texts = texts(&files);
    let config = place.read(&format!("{RUN}/config.toml"));
    assert_eq!(texts[0], (0, "config", verbatim(&config).as_str()));
    let events = place.read(&format!("{RUN}/metrics.jsonl"));
    let samples = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let samples = samples.filter(|event| event["event"] == "sample").map(|event| {
        let part = |key: &str| verbatim(event[key].as_str().unwrap());
        (event["step"].as_u64().unwrap(), format!("{}\n\n**went on:**\n\n{}", part("prompt"), part("continuation")))
    });
    let samples: Vec<(u64, String)> = samples.collect();
    assert_eq!(samples.len(), 2);
    let found: Vec<_> = texts[1..].iter().map(|(step, tag, text)| (*tag, *step, text.to_string())).collect();
    assert_eq!(found, samples.into_iter().map(|(step, text)| ("samples/0", step, text)).collect::<Vec<_>>());
}

#[test]
fn a_resumed_run_shows_no_point_twice() {
    let place = Place::new();
    let sets = format!("{BOARD} --set train.log_every=1");
    place.succeeds(&format!("train tiny.toml {sets}"));
    // As after a kill past the checkpoint of step 3.
    place.succeeds(&format!("train tiny.toml --run cut {sets} --set train.steps=3"));
    for name in ["checkpoints/step-3", "checkpoints/last", "checkpoints/best"] {
        let _ = std::fs::remove_dir_all(place.path(&format!("{RUN}/checkpoints/step-6")));
        place.copy(&format!("results/tiny/cut/{name}"), &format!("{RUN}/{name}"));
    }
    std::fs::remove_file(place.path(&format!("{RUN}/summary.json"))).unwrap();
    let finished = place.succeeds(&format!("train tiny.toml --resume {sets}"));
    assert!(finished.stderr.contains("going on from step-3"), "{}", finished.stderr);
    let files = events::files(&place, RUN);
    assert_eq!(files.len(), 2);
    let starts: Vec<_> = files[1].iter().filter_map(|event| Some((event.step, event.session?))).collect();
    assert_eq!(starts, [(4, 1)], "what is past step 3 is void");
    assert_eq!(sorted(shown(&files)), sorted(expected(&place, RUN)));
    // Begun anew, the files of the run before are gone.
    place.succeeds(&format!("train tiny.toml --overwrite {sets}"));
    assert_eq!(events::files(&place, RUN).len(), 1);
}

#[test]
fn a_loss_that_is_not_finite_is_shown() {
    let place = Place::new();
    let wild = "--set optimizer.lr=1e30 --set optimizer.clip_norm=0 --set train.log_every=1";
    assert_eq!(place.synth(&format!("train tiny.toml {wild} --set train.tensorboard=true")).code, Some(3));
    let points = shown(&events::files(&place, RUN));
    assert!(points.iter().any(|(tag, _, value)| tag == "train/loss" && !value.is_finite()), "{points:?}");
}

#[test]
fn nothing_is_written_unasked_and_training_stays_the_same() {
    let place = Place::with_run();
    assert!(!place.path(RUN).join("tensorboard").exists());
    place.succeeds("train tiny.toml --run shown --set train.tensorboard=true");
    let weights = |run: &str| std::fs::read(place.path(run).join("checkpoints/step-6/model.safetensors")).unwrap();
    assert!(weights(RUN) == weights("results/tiny/shown"));
    // A run may be shown from some step on.
    place.succeeds("train tiny.toml --resume --set train.steps=9 --set train.tensorboard=true");
    let steps: Vec<u64> = shown(&events::files(&place, RUN)).into_iter().map(|(_, step, _)| step).collect();
    assert!(!steps.is_empty() && steps.iter().all(|step| *step > 6), "{steps:?}");
    place.fails("train tiny.toml --run x --set train.tensorboard=3", 2, &["tensorboard", "expected true or false"]);
}
