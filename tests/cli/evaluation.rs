//! `synth eval`: what it measures, on which data, and what it refuses.

use crate::place::{Place, RUN, text};

/// The last validation row of the run, as `(step, loss, bits per byte)`.
fn last_validation(place: &Place) -> (u64, f64, f64) {
    let mut reader = csv::Reader::from_path(place.path(RUN).join("metrics.csv")).unwrap();
    let rows = reader.records().map(Result::unwrap);
    let row = rows.filter(|row| &row[3] == "validation").last().unwrap();
    (row[0].parse().unwrap(), row[4].parse().unwrap(), row[12].parse().unwrap())
}

#[test]
fn the_figures_are_those_of_the_run() {
    let place = Place::with_run();
    for command in ["eval", "evaluate"] {
        let finished = place.succeeds(&format!("{command} {RUN} --json --quiet"));
        assert_eq!(finished.stderr, "");
        let printed = finished.json();
        let (step, loss, bits_per_byte) = last_validation(&place);
        assert_eq!((printed["step"].as_u64(), printed["loss"].as_f64()), (Some(step), Some(loss)));
        assert_eq!(printed["bits_per_byte"].as_f64(), Some(bits_per_byte));
        assert_eq!((&printed["checkpoint"], &printed["split"]), (&"step-6".into(), &"validation".into()));
        assert!(printed["run"].as_str().unwrap().ends_with(RUN));

        let mut written: serde_json::Value =
            serde_json::from_str(&place.read(&format!("{RUN}/eval/validation.json"))).unwrap();
        assert_eq!(written["run"], "vanilla-s1");
        written["run"] = printed["run"].clone();
        assert_eq!(written, printed);
    }
}

#[test]
fn each_split_has_its_files() {
    let place = Place::with_run();
    let test = place.succeeds(&format!("eval {RUN} --split test"));
    assert!(test.stdout.contains("step-6 on test") && test.stdout.contains("perplexity"), "{}", test.stdout);
    place.succeeds(&format!("eval {RUN} --checkpoint last"));
    let expected = ["test.json", "test.predictions.txt", "validation.json", "validation.predictions.txt"];
    assert_eq!(place.names(&format!("{RUN}/eval")), expected);
    let record: serde_json::Value = serde_json::from_str(&place.read(&format!("{RUN}/eval/test.json"))).unwrap();
    let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    let expected = [
        "run",
        "checkpoint",
        "step",
        "weights",
        "split",
        "tokens",
        "loss",
        "perplexity",
        "word_perplexity",
        "bits_per_byte",
        "metrics",
        "signature",
    ];
    assert_eq!(keys, expected);
    assert!(!place.read(&format!("{RUN}/eval/test.predictions.txt")).is_empty());
}

#[test]
fn an_average_of_the_weights_is_used_where_there_is_one() {
    let place = Place::with_run();
    place.succeeds("train tiny.toml --run averaged --set train.ema=0.5");
    let run = "results/tiny/averaged";
    let eval = |more: &str| place.succeeds(&format!("eval {run} --json {more}")).json();
    let (ema, trained) = (eval(""), eval("--weights trained"));
    assert_eq!((&ema["weights"], &trained["weights"]), (&"ema".into(), &"trained".into()));
    assert_eq!(eval("--weights ema"), ema);
    assert_eq!(place.read(&format!("{run}/eval/validation.json")).matches("\"ema\"").count(), 1);
    // Training measures the average, and goes on from the weights: they are those of a run without.
    let rows = place.read(&format!("{run}/metrics.csv"));
    let newest = rows.lines().rfind(|row| row.contains(",validation,")).unwrap();
    let loss = |eval: &serde_json::Value| eval["loss"].as_f64().unwrap();
    assert_eq!(newest.split(',').nth(4).unwrap().parse::<f64>().unwrap(), loss(&ema));
    let plain = place.succeeds(&format!("eval {RUN} --json --checkpoint step-6")).json();
    assert_eq!((loss(&trained), &plain["weights"]), (loss(&plain), &"trained".into()));
    assert_ne!(loss(&ema), loss(&trained));
    for file in ["model.safetensors", "optimizer.safetensors"] {
        let read = |run: &str| std::fs::read(place.path(run).join("checkpoints/step-6").join(file)).unwrap();
        assert!(read(run) == read(RUN), "{file}");
    }
    // What is generated says so as well.
    let generated = |run: &str, more: &str| {
        place.succeeds_on("a", &format!("generate {run} --json --max-tokens 2 {more}")).json()["weights"].clone()
    };
    assert_eq!((generated(run, ""), generated(run, "--weights trained")), ("ema".into(), "trained".into()));
    for command in ["eval", "generate"] {
        let expected = ["--weights ema", "no average of its weights", "train.ema"];
        place.fails(&format!("{command} {RUN} --weights ema"), 2, &expected);
    }
}

#[test]
fn other_data_are_measured_and_told_apart() {
    let place = Place::with_run();
    let own = place.succeeds(&format!("eval {RUN} --split test --json")).json();
    place.write("other.txt", text(30));
    let other = place.succeeds(&format!("eval {RUN} --split test --set data.test=other.txt --json")).json();
    // Every byte but the first is predicted.
    assert_eq!(other["tokens"].as_u64(), Some(text(30).len() as u64 - 1));
    assert_ne!(own["signature"], other["signature"]);
    let sets = "--set data.path=other.txt --set data.split=[0.5,0.5]";
    place.succeeds(&format!("eval {RUN} {sets}"));
    place.fails(&format!("eval {RUN} --split test {sets}"), 2, &["no test split", "--set data.test=FILE"]);
    place.fails(&format!("eval {RUN} --set data.test=missing.txt"), 2, &["missing.txt"]);
}

#[test]
fn a_changed_text_is_told() {
    let place = Place::with_run();
    place.write("text.txt", text(61));
    let finished = place.succeeds(&format!("eval {RUN}"));
    assert!(finished.stderr.contains("the validation text changed since the run began"), "{}", finished.stderr);
}

#[test]
fn what_cannot_be_measured() {
    let place = Place::with_run();
    place.fails(&format!("eval {RUN} --split test --set data.split=[0.9,0.1]"), 2, &["no test split"]);
    place.fails(&format!("eval {RUN} --split dev"), 2, &["'dev'"]);
    place.fails(&format!("eval {RUN} --checkpoint step-999"), 2, &["step-999", "there are: step-6"]);
    for name in ["newest", "step-06", "../step-6"] {
        place.fails(&format!("eval {RUN} --checkpoint {name}"), 2, &[name, "expected best, last or a name such as"]);
    }
    place.fails(&format!("eval {RUN} --set train.steps=9"), 2, &["takes other data only", "data.validation"]);
    place.fails("eval results/tiny/nothing", 2, &["results/tiny/nothing does not exist", "results/<experiment>/<run>"]);
    place.fails("eval results/tiny", 2, &["results/tiny is no run folder, config.toml is missing"]);
    place.fails("eval tiny.toml", 2, &["tiny.toml is no folder"]);
}
