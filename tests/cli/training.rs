//! `synth train`: the run folder, what is printed, repeating and going on.

use crate::place::{Metrics, Place, RUN};
use std::fs;

const COLUMNS: &str = "step,epoch,tokens,split,loss,perplexity,lr,grad_norm,tokens_per_second,step_ms,\
                       peak_memory_mib,elapsed_s,bits_per_byte,accuracy,objective";

fn weights(place: &Place, run: &str) -> Vec<u8> {
    fs::read(place.path(run).join("checkpoints/step-6/model.safetensors")).unwrap()
}

#[test]
fn the_run_folder_holds_what_the_formats_say() {
    let place = Place::with_run();
    let expected = [
        ".synth-run",
        "checkpoints/best",
        "checkpoints/last",
        "checkpoints/step-6/model.safetensors",
        "checkpoints/step-6/optimizer.safetensors",
        "checkpoints/step-6/state.json",
        "config.toml",
        "environment.json",
        "metrics.csv",
        "metrics.jsonl",
        "summary.json",
        "tokenizer.json",
    ];
    assert_eq!(place.names(RUN), expected);
    assert_eq!(place.read(&format!("{RUN}/checkpoints/last")), "step-6\n");
    let metrics = place.read(&format!("{RUN}/metrics.csv"));
    assert_eq!(metrics.lines().next(), Some(COLUMNS));
    let rows = metrics.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
    let rows: Vec<(String, String)> = rows.map(|row| (row[0].to_string(), row[3].to_string())).collect();
    let expected = [("2", "train"), ("3", "validation"), ("4", "train"), ("6", "train"), ("6", "validation")];
    assert_eq!(rows, expected.map(|(step, split)| (step.to_string(), split.to_string())));
    let runs = place.read("results/tiny/runs.csv");
    assert!(runs.starts_with(
        "run,kind,seed,status,reason,step,parameters,loss,perplexity,tokens_per_second,peak_memory_mib,elapsed_s,\
         accuracy,bits_per_byte\nvanilla-s1,vanilla,1,done,,6,7600,"
    ));
}

#[test]
fn stdout_holds_the_result_and_stderr_the_rest() {
    let place = Place::new();
    let finished = place.succeeds("train tiny.toml");
    assert_eq!(finished.stdout.lines().count(), 1);
    assert!(finished.stdout.starts_with(&format!("{RUN}: done at step 6, validation loss ")), "{}", finished.stdout);
    assert!(finished.stderr.contains("step 3: validation loss"), "{}", finished.stderr);
    let quiet = place.succeeds("train tiny.toml --quiet --run quiet");
    assert_eq!((quiet.stdout.lines().count(), quiet.stderr.as_str()), (1, ""));
    let object = place.succeeds("train tiny.toml --run json --json").json();
    assert_eq!((&object["status"], &object["step"]), (&"done".into(), &6.into()));
    assert!(object["run"].as_str().unwrap().ends_with("results/tiny/json"));
    assert!(object["final"]["validation"]["loss"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_printed_configuration_is_an_experiment() {
    let place = Place::new();
    let printed = place.succeeds("train tiny.toml --print-config").stdout;
    assert!(!place.path("results").exists());
    place.write("elsewhere/printed.toml", &printed);
    assert_eq!(place.succeeds("train elsewhere/printed.toml --print-config").stdout, printed);
    place.succeeds("train elsewhere/printed.toml");
    assert_eq!(place.read(&format!("{RUN}/config.toml")), printed);
}

#[test]
fn later_settings_win() {
    let place = Place::new();
    let printed = |arguments: &str| place.succeeds(&format!("train tiny.toml --print-config {arguments}")).stdout;
    let text = printed("--set train.steps=5 --set train.steps=4 --set attention.kind=random");
    assert!(text.contains("\nsteps = 4\n") && text.contains("kind = \"random\""), "{text}");
    assert!(printed("--seed 7").contains("\nseed = 7\n"));
    assert!(printed("--deterministic").contains("\ndeterministic = true\n"));
}

#[test]
fn paths_are_relative_to_their_file_and_settings_to_the_current_folder() {
    let place = Place::new();
    place.write("deep/base.toml", crate::place::EXPERIMENT);
    place.write("over.toml", "base = \"deep/base.toml\"\n");
    place.fails("train over.toml", 2, &["data.path: no such file: ", "deep/text.txt"]);
    place.succeeds("train over.toml --set data.path=text.txt");
}

#[test]
fn a_config_repeats_its_run() {
    let place = Place::with_run();
    place.succeeds(&format!("train {RUN}/config.toml --run again"));
    assert_eq!(weights(&place, RUN), weights(&place, "results/tiny/again"));
    place.succeeds(&format!("train {RUN}/config.toml --run other --seed 2"));
    assert_ne!(weights(&place, RUN), weights(&place, "results/tiny/other"));
}

#[test]
fn a_finished_run_goes_on_with_more_steps_only() {
    let place = Place::with_run();
    let before = place.files();
    let finished = place.succeeds("train tiny.toml --resume");
    assert!(finished.stderr.contains("is done at step 6: nothing to do"), "{}", finished.stderr);
    assert!(finished.stdout.contains("done at step 6"), "{}", finished.stdout);
    assert!(place.files() == before, "files changed");
    let finished = place.succeeds("train tiny.toml --resume --set train.steps=9");
    assert!(finished.stderr.contains("going on from step-6"), "{}", finished.stderr);
    assert!(finished.stdout.contains("done at step 9"), "{}", finished.stdout);
    assert_eq!(place.read(&format!("{RUN}/checkpoints/last")), "step-9\n");
    // Without a run to go on with, it starts.
    place.succeeds("train tiny.toml --resume --run fresh");
}

#[test]
fn the_best_is_the_best_of_what_was_asked_for() {
    let place = Place::new();
    let sets = "--set train.eval_every=1 --set train.checkpoint_every=0 --set optimizer.lr=0.02";
    place.succeeds(&format!("train tiny.toml {sets} --set train.best.metric=accuracy --set train.best.mode=max"));
    let rows = Metrics::of(&place, RUN);
    let measured: Vec<(u64, f64)> =
        rows.of_split("validation").map(|row| (row.number("step") as u64, row.number("accuracy"))).collect();
    // Of equal ones the first.
    let best = measured.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_eq!(place.read(&format!("{RUN}/checkpoints/best")), format!("step-{}\n", best.0));
    let summary: serde_json::Value = serde_json::from_str(&place.read(&format!("{RUN}/summary.json"))).unwrap();
    assert_eq!((&summary["best"]["metric"], summary["best"]["value"].as_f64()), (&"accuracy".into(), Some(best.1)));
    for metric in ["bleu", "objective", "lr", "\"\""] {
        let expected = ["train.best.metric", metric, "expected loss, perplexity, bits_per_byte, accuracy"];
        place.fails(&format!("train tiny.toml --run x --set train.best.metric={metric}"), 2, &expected);
    }
}

#[test]
fn patience_best_mean_and_first_hold_together() {
    let place = Place::new();
    // The loss only falls, so that the first evaluation is the one with the highest.
    let sets =
        "--set train.eval_every=1 --set train.checkpoint_every=1 --set train.best.mode=max --set train.patience=3";
    let finished =
        place.succeeds(&format!("train tiny.toml {sets} --set train.save_initial=true --set train.average=2"));
    assert!(finished.stdout.contains("done at step 4"), "{}", finished.stdout);
    assert_eq!(place.read(&format!("{RUN}/checkpoints/best")), "step-1\n");
    let names = place.names(&format!("{RUN}/checkpoints"));
    let models: Vec<&String> = names.iter().filter(|name| name.ends_with("model.safetensors")).collect();
    assert_eq!(models, [0, 1, 3, 4].map(|step| format!("step-{step}/model.safetensors")).each_ref());
}

#[test]
fn memory_that_runs_out_is_told_and_recorded() {
    let place = Place::new();
    let finished = place.synth("train tiny.toml --set train.batch_size=1000000000000");
    assert_eq!(finished.code, Some(1));
    assert!(finished.error_line().contains("memory ran out: lower train.batch_size"), "{}", finished.stderr);
    assert!(place.read("results/tiny/runs.csv").contains("\nvanilla-s1,vanilla,1,out-of-memory,"));
}
