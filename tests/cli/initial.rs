//! `train.init_from`: a run that begins with another's weights; `--checkpoint average:N`, `train.average`.

use crate::place::{Place, RUN};
use safetensors::SafeTensors;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

/// The float32 tensors of a checkpoint.
fn weights(place: &Place, checkpoint: &str) -> BTreeMap<String, Vec<f32>> {
    let bytes = fs::read(place.path(checkpoint).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |data: &[u8]| data.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    file.tensors().into_iter().map(|(name, view)| (name, numbers(view.data()))).collect()
}

fn init_from(place: &Place, run: &str) -> Value {
    let text = place.read(&format!("results/tiny/{run}/environment.json"));
    serde_json::from_str::<Value>(&text).unwrap()["init_from"].clone()
}

fn lists(value: &Value) -> [Vec<&str>; 3] {
    ["loaded", "missing", "left_over"]
        .map(|key| value[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect())
}

#[test]
fn a_run_begins_with_anothers_weights() {
    let place = Place::with_run();
    let more = "--seed 2 --set train.save_initial=true --set train.init_from=";
    let finished = place.succeeds(&format!("train tiny.toml --run next {more}{RUN}"));
    assert!(finished.stderr.contains("beginning with 16 of 16 tensors from step-6 of "), "{}", finished.stderr);
    assert!(!finished.stderr.contains("WARN"), "{}", finished.stderr);
    let own = format!("{RUN}/checkpoints/step-6");
    assert_eq!(weights(&place, "results/tiny/next/checkpoints/step-0"), weights(&place, &own));
    let told = init_from(&place, "next");
    assert_eq!(told["checkpoint"], "step-6");
    assert!(told["path"].as_str().unwrap().ends_with(RUN));
    let sha256 = std::process::Command::new("sha256sum").arg(place.path(&own).join("model.safetensors")).output();
    assert!(String::from_utf8(sha256.unwrap().stdout).unwrap().starts_with(told["sha256"].as_str().unwrap()));
    let [loaded, missing, left_over] = lists(&told);
    assert_eq!((loaded.len(), missing.len(), left_over.len(), &told["shapes"]), (16, 0, 0, &json!({})));
    // The optimizer begins anew, and so does the count of updates.
    assert!(finished.stdout.contains("done at step 6"), "{}", finished.stdout);
    assert!(init_from(&place, "vanilla-s1").is_null());
}

#[test]
fn what_does_not_fit_is_told_and_starts_as_ever() {
    let place = Place::with_run();
    let sets = "--set attention.kind=random --set model.d_ff=32 --set train.save_initial=true";
    place.succeeds(&format!("train tiny.toml --run plain {sets}"));
    let finished = place.succeeds(&format!("train tiny.toml --run next {sets} --set train.init_from={RUN}:last"));
    let layer = "decoder.layers.0";
    for expected in [
        format!("1 tensors it lacks, which start as ever: {layer}.attention.random.r"),
        format!("2 tensors it has and the model lacks: {layer}.attention.key.weight, {layer}.attention.query.weight"),
        format!("3 tensors have other shapes, and start as ever: {layer}.feed_forward.input.bias [64], here [32], "),
    ] {
        let line = finished.stderr.lines().find(|line| line.contains(&expected));
        assert!(line.is_some_and(|line| line.contains("WARN")), "{expected} in {}", finished.stderr);
    }
    let told = init_from(&place, "next");
    let [loaded, missing, left_over] = lists(&told);
    assert_eq!(missing, ["decoder.layers.0.attention.random.r"]);
    assert_eq!(left_over, ["decoder.layers.0.attention.key.weight", "decoder.layers.0.attention.query.weight"]);
    let expected = json!({"found": [16, 64], "expected": [16, 32]});
    assert_eq!(told["shapes"]["decoder.layers.0.feed_forward.output.weight"], expected);
    let [source, plain, next] =
        [format!("{RUN}/checkpoints/step-6"), step_0("plain"), step_0("next")].map(|at| weights(&place, &at));
    for (name, found) in &next {
        let expected = if loaded.contains(&name.as_str()) { &source[name] } else { &plain[name] };
        assert!(found == expected, "{name}");
    }
}

fn step_0(run: &str) -> String {
    format!("results/tiny/{run}/checkpoints/step-0")
}

#[test]
fn paths_are_relative_to_their_file_and_kinds_may_differ() {
    let place = Place::with_run();
    place.write(
        "deep/next.toml",
        "base = \"../tiny.toml\"\n[train]\ninit_from = \"../results/tiny/vanilla-s1:step-6\"\n",
    );
    let sets = "--set train.precision=fp64 --set train.save_initial=true --set tokenizer.kind=char";
    let finished = place.succeeds(&format!("train deep/next.toml --run next {sets}"));
    // Another vocabulary: the embedding does not fit, and is told; and so would be one that does.
    assert!(finished.stderr.contains("embedding.weight [256, 16], here ["), "{}", finished.stderr);
    assert!(finished.stderr.contains("that run has another tokenizer"), "{}", finished.stderr);
    assert!(place.read("results/tiny/next/config.toml").contains("/results/tiny/vanilla-s1:step-6\""));
    let bytes = fs::read(place.path(&step_0("next")).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let name = "decoder.layers.0.attention.value.weight";
    let wide =
        file.tensor(name).unwrap().data().chunks_exact(8).map(|eight| f64::from_le_bytes(eight.try_into().unwrap()));
    let narrow = weights(&place, &format!("{RUN}/checkpoints/step-6"));
    assert!(wide.eq(narrow[name].iter().map(|number| f64::from(*number))));
}

#[test]
fn a_resumed_run_needs_the_other_no_more() {
    let place = Place::with_run();
    let from = format!("--set train.init_from={RUN}");
    place.succeeds(&format!("train tiny.toml --run next {from}"));
    let before = init_from(&place, "next");
    place.copy(RUN, "kept");
    fs::remove_dir_all(place.path(RUN)).unwrap();
    let finished = place.succeeds(&format!("train tiny.toml --run next --resume --set train.steps=9 {from}"));
    assert!(finished.stdout.contains("done at step 9"), "{}", finished.stdout);
    assert_eq!(init_from(&place, "next"), before);
    for (set, now) in [("", "not given"), ("--set train.init_from=kept", "/kept\"")] {
        let expected = ["train.init_from was \"", now];
        place.fails(&format!("train tiny.toml --run next --resume --set train.steps=12 {set}"), 2, &expected);
    }
}

#[test]
fn a_run_may_begin_with_the_weights_that_it_writes_over() {
    let place = Place::with_run();
    let before = weights(&place, &format!("{RUN}/checkpoints/step-6"));
    place.succeeds(&format!(
        "train tiny.toml --overwrite --set train.save_initial=true --set train.init_from={RUN}:best"
    ));
    assert_eq!(weights(&place, &step_0("vanilla-s1")), before);
}

#[test]
fn runs_and_checkpoints_that_there_are_not() {
    let place = Place::with_run();
    place.write("empty/config.toml", place.read("tiny.toml"));
    let cases: [(&str, &[&str]); 8] = [
        ("nowhere", &["/nowhere does not exist", "results/<experiment>/<run>"]),
        ("results/tiny", &["results/tiny is no run folder, config.toml is missing"]),
        ("tiny.toml", &["tiny.toml is no folder"]),
        ("results/tiny/vanilla-s1:step-7", &["no checkpoint step-7", "there are: step-6"]),
        ("results/tiny/vanilla-s1:average:2", &["the mean of 2 checkpoints", "there are: step-6"]),
        (
            "results/tiny/vanilla-s1:newest",
            &["vanilla-s1:newest does not exist", "after a colon may follow best, last or"],
        ),
        ("empty:best", &["there is no such checkpoint in ", "/empty/checkpoints yet"]),
        ("\"\"", &["does not exist"]),
    ];
    for (from, expected) in cases {
        let expected = [&["train.init_from"], expected].concat();
        place.fails(&format!("train tiny.toml --run next --set train.init_from={from}"), 2, &expected);
    }
    place.fails(
        "train tiny.toml --run next --set train.init_from=3",
        2,
        &["train.init_from", "expected a text in quotes"],
    );
    let other = "--set model.d_model=8 --set model.d_ff=12 --set model.max_length=8 --set tokenizer.kind=char";
    let expected = ["no tensor of step-6 of ", "fits this model by name and shape"];
    place.fails(&format!("train tiny.toml --run next {other} --set train.init_from={RUN}"), 2, &expected);
    let file = format!("{RUN}/checkpoints/step-6/model.safetensors");
    place.write(&file, "half a file");
    place.fails(
        &format!("train tiny.toml --run next --set train.init_from={RUN}"),
        1,
        &["model.safetensors is damaged"],
    );
}

/// A run with the checkpoints of steps 2, 4 and 6, and their means over the newest of them, in float64, rounded once.
fn with_checkpoints(sets: &str) -> Place {
    let place = Place::new();
    place.succeeds(&format!("train tiny.toml --set train.checkpoint_every=2 --set train.eval_every=0 {sets}"));
    place
}

fn mean(place: &Place, steps: &[u64]) -> BTreeMap<String, Vec<f32>> {
    let all: Vec<_> = steps.iter().map(|step| weights(place, &format!("{RUN}/checkpoints/step-{step}"))).collect();
    let of = |name: &str, i: usize| all.iter().map(|one| f64::from(one[name][i])).sum::<f64>() / steps.len() as f64;
    all[0].iter().map(|(name, one)| (name.clone(), (0..one.len()).map(|i| of(name, i) as f32).collect())).collect()
}

#[test]
fn the_mean_of_the_newest_is_used_as_a_checkpoint() {
    let place = with_checkpoints("--set train.keep=3");
    // What begins with it holds it.
    let sets = format!("--set train.save_initial=true --set train.init_from={RUN}:average:2");
    place.succeeds(&format!("train tiny.toml --run next {sets}"));
    assert_eq!(weights(&place, &step_0("next")), mean(&place, &[4, 6]));
    assert_eq!(init_from(&place, "next")["checkpoint"], "average:2");
    let printed = place.succeeds(&format!("eval {RUN} --checkpoint average:2 --json")).json();
    assert_eq!((&printed["checkpoint"], &printed["step"]), (&"average:2".into(), &6.into()));
    assert_eq!(printed["averaged"], json!(["step-4", "step-6"]));
    let same = place.succeeds("eval results/tiny/next --checkpoint step-0 --json").json();
    assert_eq!(printed["loss"], same["loss"]);
    let last = place.succeeds(&format!("eval {RUN} --checkpoint average:1 --json")).json();
    assert_eq!(last["loss"], place.succeeds(&format!("eval {RUN} --checkpoint last --json")).json()["loss"]);
    assert_ne!(last["loss"], printed["loss"]);
    let generate = "--greedy --max-tokens 20 --json";
    let spoken = |run: &str| place.succeeds_on("line", &format!("generate {run} {generate}")).json();
    let averaged = spoken(&format!("{RUN} --checkpoint average:2"));
    assert_eq!(averaged["checkpoint"], "average:2");
    assert_eq!(averaged["generations"], spoken("results/tiny/next --checkpoint step-0")["generations"]);
}

#[test]
fn more_than_there_are_and_names_that_are_none() {
    let place = with_checkpoints("--set train.keep=3");
    let expected = ["--checkpoint average:4", "the mean of 4 checkpoints", "there are: step-2, step-4, step-6"];
    for command in ["eval", "generate"] {
        place.fails_on("line", &format!("{command} {RUN} --checkpoint average:4"), 2, &expected);
        for name in ["average", "average:0", "average:x", "average:-1"] {
            let expected = [name, "expected best, last or a name such as step-100 or average:3"];
            place.fails_on("line", &format!("{command} {RUN} --checkpoint {name}"), 2, &expected);
        }
    }
    place.fails("train tiny.toml --run x --set train.average=-1", 2, &["train.average=-1", "expected an integer"]);
}

#[test]
fn a_run_may_ask_for_its_mean() {
    // Beside the mean's, the best and the first stay: means, the best and what is kept do not get in each other's way.
    let place = with_checkpoints("--set train.average=2 --set train.save_initial=true --set train.steps=8");
    let folders = fs::read_dir(place.path(RUN).join("checkpoints")).unwrap();
    let names = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("step-")).collect();
    names.sort();
    assert_eq!(names, ["step-0", "step-6", "step-8"]);
    let printed = place.succeeds(&format!("eval {RUN} --json")).json();
    assert_eq!((&printed["checkpoint"], &printed["averaged"]), (&"average:2".into(), &json!(["step-6", "step-8"])));
    let spoken = place.succeeds_on("line", &format!("generate {RUN} --json --max-tokens 3")).json();
    assert_eq!(spoken["checkpoint"], "average:2");
    let best = place.succeeds(&format!("eval {RUN} --json --checkpoint best")).json();
    assert_eq!(best["checkpoint"], "step-8");
    // A resumed run may keep more; too few are told with what to do.
    place.succeeds("train tiny.toml --resume --set train.checkpoint_every=2 --set train.eval_every=0 --set train.save_initial=true --set train.steps=10 --set train.average=9");
    let expected = ["train.average = 9", "--checkpoint chooses another", "there are: step-0, step-6, step-8, step-10"];
    place.fails(&format!("eval {RUN}"), 2, &expected);
}
