use super::*;
use crate::attention::Kind;
use std::fs;

/// The least that is an experiment.
pub(crate) const LEAST: &str = "\
name = \"least\"
[task]
kind = \"language-modeling\"
[data]
dataset = \"rust-sources\"
[model]
heads = 4
d_model = 64
[train]
steps = 10
";

/// The least experiment with `--set`s.
pub(crate) fn experiment(sets: &[&str]) -> Experiment {
    read(LEAST, sets).unwrap()
}

/// Loads `text` as a file `x.toml`; an error is told with that name.
pub(crate) fn read(text: &str, sets: &[&str]) -> Result<Experiment, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.toml"), text).unwrap();
    read_in(folder.path(), sets).map(|loaded| loaded.experiment)
}

fn read_in(folder: &Path, sets: &[&str]) -> Result<Loaded, String> {
    let sets: Vec<String> = sets.iter().map(|text| (*text).to_owned()).collect();
    load(&folder.join("x.toml"), &sets).map_err(|error| {
        assert_eq!(crate::exit::code(&error), 2, "{error}");
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        message.replace(&format!("{}/", folder.display()), "")
    })
}

fn error(text: &str, sets: &[&str]) -> String {
    read(text, sets).unwrap_err()
}

#[test]
fn defaults_are_filled_in() {
    let experiment = experiment(&[]);
    assert_eq!((experiment.seed, experiment.model.d_model, experiment.model.layers), (1, 64, 6));
    assert_eq!(experiment.train.steps, Some(10));
}

#[test]
fn unknown_keys_name_line_key_and_what_was_expected() {
    let text = LEAST.replace("heads = 4", "haeds = 4");
    assert_eq!(
        error(&text, &[]),
        "x.toml:7: model.haeds: unknown key; did you mean \"heads\"? expected architecture, layers, \
         encoder_layers, decoder_layers, d_model, heads, head_width, d_ff, dropout, activation_dropout, max_length, norm, norm_position, activation, bias, init, positions, \
         relative_buckets, relative_distance, tie_embeddings, share_embeddings, \
         residual_stream"
    );
    assert_eq!(
        error(&format!("colour = 1\n{LEAST}"), &[]),
        "x.toml:1: colour: unknown key, expected name, seed, task, data, tokenizer, model, attention, optimizer, train, decode"
    );
    assert_eq!(
        error(&format!("{LEAST}best = {{ metrics = \"loss\" }}\n"), &[]),
        "x.toml:11: train.best.metrics: unknown key; did you mean \"metric\"? expected metric, mode"
    );
    assert!(error(&format!("\"model.heads\" = 4\n{LEAST}"), &[]).starts_with("x.toml:1: \"model.heads\": unknown key"));
    assert_eq!(
        error(LEAST, &["tokenizer.knid=byte"]),
        "--set tokenizer.knid=byte: unknown key; did you mean \"kind\"? expected kind, vocab_size, sample_bytes, min_frequency, joint"
    );
}

#[test]
fn wrong_types_name_line_and_both_types() {
    let cases = [
        ("heads = 4", "heads = \"four\"", "x.toml:7: model.heads: found string \"four\", expected an integer"),
        ("heads = 4", "heads = 4.0", "x.toml:7: model.heads: found number 4.0, expected an integer"),
        (
            "steps = 10",
            "steps = -1",
            "x.toml:10: train.steps: found integer -1, expected an integer from 0 to 9223372036854775807",
        ),
        ("heads = 4", "dropout = true", "x.toml:7: model.dropout: found boolean true, expected a number"),
        ("heads = 4", "tie_embeddings = 1", "x.toml:7: model.tie_embeddings: found integer 1, expected true or false"),
        ("name = \"least\"", "name = 5", "x.toml:1: name: found integer 5, expected a text in quotes"),
        (
            "dataset = \"rust-sources\"",
            "train = 5",
            "x.toml:5: data.train: found integer 5, expected a path in quotes or a pair [\"SOURCE\", \"TARGET\"]",
        ),
        (
            "dataset = \"rust-sources\"",
            "train = [\"a\"]",
            "x.toml:5: data.train: found a list of 1, expected a path in quotes or a pair [\"SOURCE\", \"TARGET\"]",
        ),
        ("[model]\nheads = 4", "[model.heads]", "x.toml:6: model.heads: found map, expected an integer"),
    ];
    for (from, to, message) in cases {
        assert_eq!(error(&LEAST.replace(from, to), &[]), message);
    }
    let text = format!("{LEAST}[optimizer]\nbetas = [\n0.9,\n\"x\"]\n");
    assert_eq!(error(&text, &[]), "x.toml:14: optimizer.betas[1]: found string \"x\", expected a number");
    let text = format!("{LEAST}[optimizer]\nbetas = [0.9]\n");
    assert_eq!(error(&text, &[]), "x.toml:12: optimizer.betas: invalid length 1, expected an array of length 2");
    let model_of_a_number = LEAST.replace("[model]\nheads = 4\nd_model = 64\n", "").replace("name", "model = 5\nname");
    assert!(error(&model_of_a_number, &[]).starts_with("x.toml:1: model: found integer 5, expected"));
}

#[test]
fn unknown_values_name_what_was_expected() {
    let kinds = Kind::names();
    let text = format!("{LEAST}[attention]\nkind = \"rondom\"\n");
    assert_eq!(
        error(&text, &[]),
        format!("x.toml:12: attention.kind: found \"rondom\"; did you mean \"random\"? expected {kinds}")
    );
    assert_eq!(
        error(LEAST, &["attention.kind=a\nb"]),
        format!("--set attention.kind=a\\nb: found \"a\\nb\", expected {kinds}")
    );
    assert_eq!(
        error(LEAST, &["attention.kind=fnet"]),
        format!("--set attention.kind=fnet: attention.kind = \"fnet\" is not built yet; built: {kinds}")
    );
    assert_eq!(
        error(&LEAST.replace("[task]\nkind", "[task]\nkinds"), &[]).split(';').next().unwrap(),
        "x.toml:3: task.kinds: unknown key"
    );
}

#[test]
fn missing_keys_are_named_with_all_that_are_required() {
    let required = "missing; required are name, task.kind, [data] and train.steps or train.epochs";
    assert_eq!(error("", &[]), format!("x.toml: name: {required}"));
    assert_eq!(
        error(&LEAST.replace("kind = \"language-modeling\"\n", ""), &[]),
        format!("x.toml:2: task.kind: {required}")
    );
    assert_eq!(error(&LEAST.replace("[train]\nsteps = 10\n", ""), &[]), format!("x.toml: train: {required}"));
}

#[test]
fn values_out_of_range_are_refused() {
    assert_eq!(
        error(&LEAST.replace("heads = 4", "heads = 0"), &[]),
        "x.toml:7: model.heads: found 0, expected at least 1"
    );
    assert_eq!(error(LEAST, &["model.dropout=1.5"]), "--set model.dropout=1.5: found 1.5, expected at most 0.99");
    assert_eq!(
        error(LEAST, &["optimizer.betas=[0.9, 1.0]"]),
        "--set optimizer.betas=[0.9, 1.0]: optimizer.betas[1]: found 1.0, expected at most 0.9999999"
    );
    assert_eq!(error(LEAST, &["optimizer.lr=nan"]), "--set optimizer.lr=nan: found nan, expected finite numbers");
    assert_eq!(error(LEAST, &["model.head_width=0"]), "--set model.head_width=0: found 0, expected at least 1");
}

#[test]
fn sets_go_over_the_file_in_order() {
    let loaded = experiment(&["model.heads=2", "model={heads=8, layers=3}", "model.layers=1", "name=other"]);
    assert_eq!((loaded.model.heads, loaded.model.layers, loaded.model.d_model), (8, 1, 64));
    assert_eq!(loaded.name, "other");
    // A table over a value: what is wrong is the --set, not the line it replaced.
    assert_eq!(
        error(LEAST, &["model.heads.x=1"]),
        "--set model.heads.x=1: model.heads: found map, expected an integer"
    );
    assert_eq!(
        error(LEAST, &["model={heads=\"x\"}"]),
        "--set model={heads=\"x\"}: model.heads: found string \"x\", expected an integer"
    );
}

#[test]
fn a_base_lies_below_and_keeps_its_own_lines_and_paths() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir(root.join("sub")).unwrap();
    let base = LEAST.replace("dataset = \"rust-sources\"", "train = \"a/*.txt\"\nvalidation = \"b.txt\"");
    fs::write(root.join("sub/base.toml"), base).unwrap();
    fs::write(root.join("x.toml"), "base = \"sub/base.toml\"\n[data]\nvalidation = \"../c.txt\"\n[model]\nheads = 8\n")
        .unwrap();
    let Loaded { experiment, table } = read_in(&root, &[]).unwrap();
    assert_eq!((experiment.model.heads, experiment.model.d_model), (8, 64));
    assert_eq!(experiment.data.train, Some(root.join("sub/a/*.txt").into()));
    assert_eq!(experiment.data.validation, Some(root.parent().unwrap().join("c.txt").into()));
    assert!(!table.contains_key("base"));
    let message = read_in(&root, &["model.heads=7"]).unwrap_err();
    assert_eq!(
        message,
        "--set model.heads=7: 7 does not divide model.d_model = 64; change one of them or give model.head_width"
    );
    fs::write(root.join("x.toml"), "base = \"sub/base.toml\"\n[model]\nnorm = \"x\"\n").unwrap();
    assert_eq!(read_in(&root, &[]).unwrap_err(), "x.toml:3: model.norm: found \"x\", expected layer, rms");
    fs::write(root.join("sub/base.toml"), LEAST.replace("heads", "head")).unwrap();
    assert!(read_in(&root, &["model.norm=layer"]).unwrap_err().starts_with("sub/base.toml:7: model.head: unknown key"));
}

#[test]
fn bases_that_do_not_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("x.toml", "\nbase = \"y.toml\"\n");
    assert_eq!(read_in(folder.path(), &[]).unwrap_err(), "x.toml:2: base: y.toml: no such file; expected a TOML file");
    write("y.toml", "base = \"./x.toml\"\n");
    assert_eq!(
        read_in(folder.path(), &[]).unwrap_err(),
        "y.toml:1: base: ./x.toml leads back to itself; expected a chain of bases that ends"
    );
    write("y.toml", "base = 5\n");
    assert_eq!(read_in(folder.path(), &[]).unwrap_err(), "y.toml:1: base: found 5, expected \"FILE.toml\"");
    write("x.toml", "base = \"1.toml\"\n");
    (1..9).for_each(|i| write(&format!("{i}.toml"), &format!("base = \"{}.toml\"\n", i + 1)));
    write("8.toml", LEAST);
    read_in(folder.path(), &[]).unwrap();
    write("8.toml", "base = \"9.toml\"\n");
    write("9.toml", LEAST);
    assert_eq!(read_in(folder.path(), &[]).unwrap_err(), "8.toml:1: base: 9.toml is base number 9; expected at most 8");
}

#[test]
fn a_sweep_is_refused_with_the_command_for_it() {
    assert_eq!(
        error(&format!("seeds = [1]\n{LEAST}"), &[]),
        "x.toml:1: seeds: this is a sweep, expected an experiment; run it with synth ablate"
    );
}

#[test]
fn the_resolved_experiment_reads_back_equal() {
    let folder = tempfile::tempdir().unwrap();
    for sets in [
        &["attention.kind=random", "attention.dropout=0.25", "train.max_minutes=2", "model.head_width=3"][..],
        &["data={path=\"a.txt\", split=[0.8, 0.1, 0.1]}", "train.batch_tokens=4096"][..],
    ] {
        let text =
            if sets[0].starts_with("data") { LEAST.replace("dataset = \"rust-sources\"\n", "") } else { LEAST.into() };
        let first = read(&text, sets).unwrap();
        let written = config_toml(&first).unwrap();
        assert!(written.contains("max_length = 256") && written.contains("[train.best]"), "{written}");
        fs::write(folder.path().join("x.toml"), written).unwrap();
        assert_eq!(read_in(folder.path(), &[]).unwrap().experiment, first);
    }
}

#[test]
fn a_seed_that_toml_cannot_hold_is_refused() {
    let mut experiment = experiment(&[]);
    experiment.seed = u64::MAX;
    let error = config_toml(&experiment).unwrap_err();
    assert_eq!(crate::exit::code(&error), 2);
    assert_eq!(error.to_string(), "seed: found 18446744073709551615, expected at most 9223372036854775807");
}

#[test]
fn keys_of_absurd_depth_are_refused() {
    let deep = vec!["a"; 100_000].join(".");
    assert_eq!(error(&format!("{deep} = 1\n"), &[]), "x.toml: not valid TOML: recursion limit");
    assert!(error(&format!("a = {}", "[".repeat(100_000)), &[]).starts_with("x.toml:1: not valid TOML"));
    assert!(error(LEAST, &[&format!("{deep}=1")]).contains("is no dotted key"));
    assert!(error(LEAST, &[&format!("seed={}", "[".repeat(100_000))]).starts_with("--set seed=["));
}
