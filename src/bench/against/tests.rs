use super::*;
use crate::bench::cell::Cell;
use crate::bench::record::{Figures, Shape};
use crate::bench::timing::Timing;
use crate::train::options::{Precision, TrainOptions};
use serde_json::{Value, json};
use std::path::Path;

/// A file with these rows, one JSON object a line.
fn file(rows: &[Value]) -> anyhow::Result<Others> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peer.jsonl");
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    Ok(Others { lines: read(&path)?, path })
}

/// A line as the peer prints it, of the default model on a card.
fn peer(run: &str, attention: &str, step_ms: f64) -> Value {
    json!({"peer": run, "torch": "2.11.0+cu130", "device": "CARD", "model": "decoder", "attention": attention,
        "form": "best", "seq_len": 256, "batch": 32, "d_model": 512, "heads": 8, "d_ff": 2048, "layers": 6,
        "vocab": 32000, "dropout": 0.1, "attention_dropout": 0.1, "precision": "bf16", "tokens_per_s": 1,
        "step_ms": step_ms, "spread": 0.01, "peak_gib": 12.0, "params": 35418112, "warmup_s": 1.0})
}

/// The same as it is stored.
fn stored(run: &str, attention: &str, step_ms: f64) -> Value {
    let mut line = peer(run, attention, step_ms);
    line["driver"] = "580.1".into();
    line
}

/// The record of a cell of that shape here.
fn record(attention: &str, step_ms: f64) -> Record {
    let cell = Cell {
        measured: Measured::Train,
        batch: 32,
        vocabulary: 32000,
        new: 1,
        model: Default::default(),
        attention: crate::attention::options::AttentionOptions { kind: attention.parse().ok(), ..Default::default() },
        optimizer: Default::default(),
        train: TrainOptions { precision: Precision::Bf16, ..Default::default() },
        set: Vec::new(),
        eager: false,
        timing: Timing { warmup: 0, repeats: 1, seconds: 0.0 },
    };
    let figures = Figures {
        step_ms: Some(step_ms),
        peak_gib: Some(8.0),
        params: Some(cell.size().total as u64),
        ..Default::default()
    };
    let facts = Facts {
        device: "CARD".into(),
        driver: Some("580.1".into()),
        libtorch: "2.11.0".into(),
        synth: "0.1.0".into(),
        ..Default::default()
    };
    Record::new(&cell, (Status::Done, None), figures, None, &facts)
}

fn pairs(record: &Record, rows: &[Value], control: Option<&[Value]>) -> Vec<Pair> {
    let control = control.map(|rows| file(rows).unwrap());
    compare(std::slice::from_ref(record), &[file(rows).unwrap()], control.as_ref()).pairs
}

#[test]
fn kind_and_shape_join_and_the_ratio_is_how_much_faster_it_is_here() {
    let rows = [
        peer("torch.compile", "vanilla", 40.0),
        peer("torch.compile", "dense", 50.0),
        peer("torch.eager", "vanilla", 80.0),
    ];
    let found = pairs(&record("vanilla", 20.0), &rows, None);
    let told: Vec<_> = found.iter().map(|pair| (pair.peer.as_str(), pair.ratio, pair.memory_ratio)).collect();
    let expected = [("torch.compile best", Some(2.0), Some(1.5)), ("torch.eager best", Some(4.0), Some(1.5))];
    assert_eq!(told, expected);
    assert!(found.iter().all(|pair| pair.standing == Standing { counts: true, remark: None }), "{found:?}");
}

#[test]
fn the_order_of_a_mixtures_parts_is_free_and_every_other_difference_parts() {
    let mut rows = vec![peer("torch.compile", "vanilla+random", 1.0)];
    for (field, value) in [
        ("model", json!("encoder-decoder")),
        ("task", json!("decode")),
        ("attention", json!("random")),
        ("seq_len", json!(255)),
        ("batch", json!(31)),
        ("d_model", json!(511)),
        ("heads", json!(4)),
        ("d_ff", json!(1)),
        ("layers", json!(5)),
        ("vocab", json!(31999)),
        ("dropout", json!(0.2)),
        ("attention_dropout", json!(0.0)),
        ("precision", json!("fp32")),
    ] {
        rows.push(rows[0].clone());
        rows.last_mut().unwrap()[field] = value;
    }
    let here = record("random+vanilla", 1.0);
    rows[0]["params"] = here.figures.params.into();
    assert_eq!(pairs(&here, &rows, None).len(), 1);
    let failed = Record { status: Status::OutOfMemory, ..here };
    assert!(pairs(&failed, &rows, None).is_empty());
}

#[test]
fn another_number_of_parameters_is_refused_with_both() {
    let mut row = peer("torch.compile", "vanilla", 40.0);
    row["params"] = 35418111.into();
    let found = pairs(&record("vanilla", 20.0), &[row], None);
    assert_eq!((found[0].ratio, found[0].memory_ratio), (None, None));
    let refused = found[0].refused.as_deref().unwrap();
    assert!(refused.contains("35418111 parameters there, 35418112 here"), "{refused}");
}

#[test]
fn rows_of_a_saved_benchmark_join_too() {
    let mut there = record("vanilla", 30.0);
    there.facts.driver = Some("575.9".into());
    there.facts.commit = Some("0123456789abcdef".into());
    there.figures.run = Some("eager".into());
    let rows = serde_json::to_value([there]).unwrap();
    for saved in [rows.clone(), json!({ "start_time": "", "cells": rows }), rows[0].clone()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("saved.json");
        std::fs::write(&path, serde_json::to_string_pretty(&saved).unwrap()).unwrap();
        let others = Others { lines: read(&path).unwrap(), path };
        let found = compare(&[record("vanilla", 20.0)], &[others], None).pairs;
        assert_eq!((found[0].ratio, found[0].peer.as_str()), (Some(1.5), "synth 0.1.0 012345678 eager"));
        let remark = found[0].standing.remark.as_deref();
        assert_eq!((found[0].standing.counts, remark), (true, Some("driver 575.9 there, 580.1 here")));
    }
}

#[test]
fn decoding_joins_by_what_is_kept_and_generated() {
    let line = json!({"peer": "torch.capture", "task": "decode", "torch": "2.11.0", "attention": "vanilla", "batch": 32,
        "device": "CARD", "cache": 256, "new": 64, "d_model": 512, "heads": 8, "d_ff": 2048, "layers": 6,
        "vocab": 32000, "precision": "bf16", "step_ms": 0.5, "tokens_per_s": 1, "spread": 0.0, "warmup_s": 0.0});
    let mut here = record("vanilla", 0.25);
    let shape = Shape { task: Measured::Decode, new: Some(64), dropout: 0.0, attention_dropout: 0.0, ..here.shape };
    here.shape = shape;
    let found = pairs(&here, std::slice::from_ref(&line), None);
    assert_eq!((found[0].ratio, found[0].memory_ratio, &found[0].refused), (Some(2.0), None, &None));
    here.shape.new = Some(65);
    assert!(pairs(&here, &[line], None).is_empty());
}

#[test]
fn stored_figures_count_beside_a_control_that_agrees() {
    let rows = [stored("torch.compile", "vanilla", 40.0), stored("torch.compile", "dense", 60.0)];
    let here = record("dense", 30.0);
    let rows = rows.map(|mut row| {
        row["params"] = Value::Null;
        row
    });
    let standing = |control: Option<&[Value]>| pairs(&here, &rows, control)[0].standing.clone();
    let told = |standing: &Standing| standing.remark.clone().unwrap();

    let without = standing(None);
    assert!(!without.counts && told(&without) == "the figures were not taken in this run");
    let agreeing = standing(Some(&[peer("torch.compile", "vanilla", 41.9)]));
    assert!(agreeing.counts, "{agreeing:?}");
    assert_eq!(told(&agreeing), "control cell 40 ms stored, 41.9 ms now, +4.7%, within 5%");
    let slower = standing(Some(&[peer("torch.compile", "vanilla", 42.2)]));
    assert!(!slower.counts && told(&slower).contains("+5.5%, more than 5%: not comparable"), "{slower:?}");
    let faster = standing(Some(&[peer("torch.compile", "vanilla", 37.8), peer("torch.compile", "vanilla", 40.0)]));
    assert!(!faster.counts && told(&faster).contains("-5.5%"), "{faster:?}");
    // No control: not compiled, not vanilla, not run now, not of that shape, not on this card.
    let mut shorter = peer("torch.compile", "vanilla", 40.0);
    shorter["seq_len"] = 128.into();
    let mut elsewhere = peer("torch.compile", "vanilla", 40.0);
    elsewhere["device"] = "OTHER".into();
    for row in [
        peer("torch.eager", "vanilla", 40.0),
        peer("torch.compile", "dense", 60.0),
        rows[0].clone(),
        shorter,
        elsewhere,
    ] {
        let none = standing(Some(std::slice::from_ref(&row)));
        assert!(!none.counts && told(&none).contains("the control has no compiled vanilla cell"), "{row}: {none:?}");
    }
}

#[test]
fn stored_figures_of_another_card_never_count_and_differences_are_said() {
    let mut rows = [stored("torch.compile", "vanilla", 40.0)];
    (rows[0]["device"], rows[0]["driver"], rows[0]["torch"]) = ("OTHER".into(), "1.2".into(), "2.9.1+cu128".into());
    let control = [peer("torch.compile", "vanilla", 40.0)];
    let standing = pairs(&record("vanilla", 20.0), &rows, Some(&control))[0].standing.clone();
    assert!(!standing.counts);
    let remark = standing.remark.unwrap();
    for part in
        ["within 5%", "card OTHER there, CARD here", "driver 1.2 there, 580.1 here", "torch 2.9.1 there, 2.11.0 here"]
    {
        assert!(remark.contains(part), "{part}: {remark}");
    }
}

#[test]
fn lines_without_figures_are_listed() {
    let error = json!({"peer": "torch.compile", "attention": "dense", "form": "best", "seq_len": 8192, "batch": 64,
        "error": "OutOfMemoryError: CUDA out of memory"});
    let mut failed = serde_json::to_value(record("random", 1.0)).unwrap();
    (failed["status"], failed["reason"], failed["step_ms"]) = ("failed".into(), "signal 9".into(), Value::Null);
    let found = compare(&[record("vanilla", 1.0)], &[file(&[error, failed]).unwrap()], None);
    assert!(found.pairs.is_empty());
    let told: Vec<_> = found.without_figures.iter().map(|line| (line.what.as_str(), line.reason.as_str())).collect();
    let expected = [
        ("torch.compile best dense 64x8192", "OutOfMemoryError: CUDA out of memory"),
        ("synth 0.1.0 random 32x256", "failed: signal 9"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_no_measurement_is_named() {
    let mut broken = peer("torch.compile", "vanilla", 40.0);
    broken.as_object_mut().unwrap().remove("heads");
    let error = format!("{:#}", file(&[peer("torch.compile", "vanilla", 1.0), broken]).unwrap_err());
    assert!(error.contains("peer.jsonl, line 2: no heads"), "{error}");
    let error = format!("{:#}", file(&[peer("torch.compile", "vanilla", 0.0)]).unwrap_err());
    assert!(error.contains("row 1: step_ms is 0"), "{error}");
    assert!(format!("{:#}", file(&[]).unwrap_err()).contains("holds no measurements"));
    let error = read(Path::new("/nowhere/x.json")).unwrap_err();
    assert_eq!(crate::exit::code(&error), 2, "{error}");
}
