//! `synth train`: columns, the best, samples and TensorBoard of tasks with a source and a target.

use super::{RUN, place, reversed, sources};
use crate::events;
use crate::place::{Metrics, Place};
use serde_json::Value;

const TRANSLATION: &[&str] = &["bleu", "chrf"];
const SUMMARIZATION: &[&str] = &["rouge1", "rouge2", "rougeL", "rougeLsum"];
const DIALOGUE: &[&str] = &["bleu1", "bleu", "rougeL", "meteor_exact_stem", "cider_d", "distinct1", "distinct2"];

fn summary(place: &Place, run: &str) -> Value {
    serde_json::from_str(&place.read(&format!("{run}/summary.json"))).unwrap()
}

#[test]
fn validation_rows_hold_the_metrics_of_the_task() {
    let place = place(48);
    for (kind, names) in [("translation", TRANSLATION), ("summarization", SUMMARIZATION), ("dialogue", DIALOGUE)] {
        let finished = place.succeeds(&format!("train pairs.toml --run {kind} --set task.kind={kind}"));
        let run = format!("results/pairs/{kind}");
        let header = place.read(&format!("{run}/metrics.csv")).lines().next().unwrap().to_string();
        let expected = format!(",elapsed_s,accuracy,{},objective", names.join(","));
        assert!(header.ends_with(&expected), "{header}");
        let metrics = Metrics::of(&place, &run);
        for row in metrics.of_split("validation") {
            let figures = names.iter().map(|name| row.number(name));
            assert!(figures.chain([row.number("accuracy")]).all(|figure| figure >= 0.0), "{kind}");
        }
        assert_eq!(metrics.of_split("validation").count(), 2);
        for row in metrics.of_split("train") {
            assert!(names.iter().chain(&["accuracy"]).all(|name| row.cell(name).is_empty()), "{kind}");
        }
        let told = finished.stderr.lines().find(|line| line.contains("step 6: validation loss")).unwrap();
        assert!(names.iter().all(|name| told.contains(&format!(", {name} "))), "{told}");
        let last = &summary(&place, &run)["final"]["validation"];
        assert!(names.iter().all(|name| last[name].is_f64()), "{last}");
    }
    assert_eq!(place.read("results/pairs/runs.csv").matches(",done,").count(), 3);
}

#[test]
fn tokens_are_those_of_both_sides() {
    let place = place(48);
    place.succeeds("train pairs.toml --quiet --set train.epochs=1");
    // Each byte of both sides once, and an end in the place of each line's.
    let last = Metrics::of(&place, RUN).of_split("train").last().map(|row| (row.number("epoch"), row.number("tokens")));
    assert_eq!(last, Some((1.0, (2 * place.read("train.src").len()) as f64)));
}

#[test]
fn evaluations_may_leave_out_what_takes_outputs() {
    let place = place(48);
    place.succeeds("train pairs.toml --quiet --set train.eval_generate=false");
    let metrics = Metrics::of(&place, RUN);
    for row in metrics.of_split("validation") {
        assert!(row.number("loss") > 0.0 && row.number("accuracy") >= 0.0);
        assert!(TRANSLATION.iter().all(|name| row.cell(name).is_empty()));
    }
    let record = place.succeeds(&format!("eval {RUN} --json")).json();
    assert!(record["metrics"]["bleu"].is_f64(), "{record}");
    let expected = ["train.eval_generate=false", "expected with train.eval_generate = true only"];
    let best = "--set train.best.metric=bleu --set train.eval_generate=false";
    place.fails(&format!("train pairs.toml --run x {best}"), 2, &expected[1..]);
    place.succeeds("train pairs.toml --run y --set train.best.metric=accuracy --set train.eval_generate=false");
}

#[test]
fn outputs_draw_nothing_from_training() {
    let place = place(48);
    let weights = |run: &str, more: &str| {
        place.succeeds(&format!("train pairs.toml --quiet --run {run} --set model.dropout=0.3 {more}"));
        std::fs::read(place.path(&format!("results/pairs/{run}/checkpoints/step-6/model.safetensors"))).unwrap()
    };
    let plain = weights("plain", "--set train.eval_generate=false");
    assert!(plain == weights("measured", "--set train.samples=3 --set train.eval_every=1"));
}

#[test]
fn the_best_may_be_the_highest_bleu() {
    let place = place(2000);
    let sets = "--set train.steps=200 --set train.best.metric=bleu --set train.best.mode=max";
    place.succeeds(&format!("train pairs.toml --quiet {} {sets} --set train.eval_every=40", super::LEARNS));
    let metrics = Metrics::of(&place, RUN);
    let measured = metrics.of_split("validation").map(|row| (row.number("step") as u64, row.number("bleu")));
    // Of equal ones the first.
    let best = measured.collect::<Vec<_>>().into_iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert!(best.1 > 0.0);
    assert_eq!(place.read(&format!("{RUN}/checkpoints/best")), format!("step-{}\n", best.0));
    let expected = serde_json::json!({ "metric": "bleu", "step": best.0, "value": best.1 });
    assert_eq!(summary(&place, RUN)["best"], expected);
    // What is measured later, of the checkpoint that is taken by default, is what was measured then.
    let record = place.succeeds(&format!("eval {RUN} --json --quiet")).json();
    assert_eq!((record["step"].as_u64(), record["metrics"]["bleu"].as_f64()), (Some(best.0), Some(best.1)));
}

#[test]
fn samples_show_source_output_and_reference() {
    let place = place(48);
    let board = "--set train.samples=3 --set train.tensorboard=true";
    let finished = place.succeeds(&format!("train pairs.toml {board}"));
    let events = place.read(&format!("{RUN}/metrics.jsonl"));
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let samples: Vec<Value> = events.filter(|event| event["event"] == "sample").collect();
    assert_eq!(samples.len(), 6);
    let source = place.read("validation.src");
    for (sample, row) in samples.iter().zip([0, 4, 8].into_iter().cycle()) {
        let line = source.lines().nth(row).unwrap();
        assert_eq!((&sample["row"], &sample["prompt"]), (&row.into(), &line.into()));
        assert_eq!(sample["reference"].as_str(), Some(reversed(line).trim_end()));
        let said = format!("{:?} becomes {:?}; the reference is", line, sample["continuation"].as_str().unwrap());
        assert!(finished.stderr.contains(&said), "{said} in {}", finished.stderr);
    }
    // The best outputs of a search as `synth generate` makes it.
    let outputs = place.succeeds_on(&source, &format!("generate {RUN} --checkpoint last --json --quiet")).json();
    for sample in &samples[3..] {
        let row = sample["row"].as_u64().unwrap() as usize;
        assert_eq!(outputs["lines"][row]["outputs"][0]["text"], sample["continuation"]);
    }
    let files: Vec<_> = events::files(&place, RUN).into_iter().flatten().collect();
    let scalars: Vec<(&str, u64)> =
        files.iter().flat_map(|event| event.scalars.iter().map(|(tag, _)| (tag.as_str(), event.step))).collect();
    for tag in ["validation/accuracy", "validation/bleu", "validation/chrf"] {
        let steps: Vec<u64> = scalars.iter().filter(|(name, _)| *name == tag).map(|(_, step)| *step).collect();
        assert_eq!(steps, [3, 6], "{tag}");
    }
    let reference = reversed(source.lines().next().unwrap());
    let texts = files.iter().flat_map(|event| &event.texts).filter(|(tag, _)| tag == "samples/0");
    assert_eq!(texts.filter(|(_, text)| text.contains(reference.trim_end())).count(), 2);
}

#[test]
fn long_and_unequal_pairs_are_cut_or_left_out_and_told() {
    let place = place(0);
    let long = "ant bee cat dog elk fox gnu hen";
    // Fine; a source, and a target, that is too long; unequal sides; no target; no source.
    place.write("train.src", format!("ant bee\n{long}\nant\nant bee cat dog\ngnu\n\n"));
    place.write("train.tgt", format!("bee ant\nant\n{long}\na\n\nhen\n"));
    place.write("validation.src", format!("{long}\n{}", sources(11, 5)));
    let warnings = |kind: &str, more: &str| {
        let finished = place.succeeds(&format!("train pairs.toml --overwrite --set task.kind={kind} {more}"));
        finished.stderr.lines().filter(|line| line.contains("split")).map(str::to_string).collect::<Vec<_>>().join("\n")
    };
    let told = warnings("translation", "--set data.length_ratio=3");
    assert!(
        told.contains("2 too long")
            && told.contains("2 of too different lengths")
            && told.contains("1 without a target"),
        "{told}"
    );
    assert!(told.contains("validation"), "{told}");
    let cut = warnings("summarization", "");
    assert!(!cut.contains("too long") && cut.contains("cut"), "{cut}");
    let skipped = warnings("summarization", "--set data.long_records=skip");
    assert!(skipped.contains("2 too long"), "{skipped}");
}

#[test]
fn vocabularies_of_their_own_and_shared_ones() {
    let place = place(48);
    let names = |run: &str, more: &str| {
        place.succeeds(&format!("train pairs.toml --quiet --run {run} {more}"));
        let bytes = std::fs::read(place.path(&format!("results/pairs/{run}/checkpoints/step-6/model.safetensors")));
        let bytes = bytes.unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..header]).unwrap();
        let embeddings = header.as_object().unwrap().keys().filter(|name| name.contains("embedding"));
        embeddings.cloned().collect::<Vec<_>>()
    };
    let own = ["decoder.embedding.weight", "encoder.embedding.weight"];
    assert_eq!(names("joint", ""), ["embedding.weight"]);
    assert_eq!(names("apart", "--set model.share_embeddings=false"), own);
    let word = "--set tokenizer.kind=word --set tokenizer.min_frequency=1";
    assert_eq!(names("own", &format!("{word} --set tokenizer.joint=false")), own);
    place.succeeds("eval results/pairs/own");
    assert_eq!(place.succeeds_on("ant\ngnu bee\n", "generate results/pairs/own").stdout.lines().count(), 2);
}

#[test]
fn every_precision_rule_and_size_of_batches() {
    let place = place(48);
    for (run, more) in [
        ("bf16", "--set train.precision=bf16 --set model.residual_stream=bfloat16"),
        ("fp64", "--set train.precision=fp64 --set attention.kind=random+vanilla --set attention.cross=dense"),
        ("tokens", "--set train.batch_tokens=48 --set train.accumulate=2 --set train.label_smoothing=0.1"),
        ("epochs", "--set train.epochs=2 --set train.recompute=true --set model.positions=relative"),
        ("average", "--set train.average=2 --set train.keep=2 --set optimizer.kind=adafactor"),
        ("layers", "--set model.encoder_layers=2 --set model.decoder_layers=1 --set train.ema=0.5"),
    ] {
        let finished = place.succeeds(&format!("train pairs.toml --quiet --run {run} {more}"));
        assert!(finished.stdout.contains(&format!("results/pairs/{run}: done at step ")), "{}", finished.stdout);
        let record = place.succeeds(&format!("eval results/pairs/{run} --split test --json --quiet")).json();
        assert_eq!(record["generation"]["outputs"], 12, "{run}: {record}");
        assert_eq!(record.get("averaged").is_some(), run == "average", "{record}");
    }
}
