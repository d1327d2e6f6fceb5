use super::*;
use crate::attention::Kind;
use crate::experiment::load;
use crate::experiment::load::tests::LEAST;
use std::fs;
use tempfile::TempDir;

/// A folder with the least experiment as `base.toml` and `text` as `s.toml`.
fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("base.toml"), LEAST).unwrap();
    fs::write(folder.path().join("s.toml"), text).unwrap();
    folder
}

fn plan_in(folder: &TempDir, sets: &[&str]) -> Result<Plan, String> {
    let sets: Vec<String> = sets.iter().map(|text| (*text).to_owned()).collect();
    plan(&folder.path().join("s.toml"), &sets).map_err(|error| {
        assert_eq!(crate::exit::code(&error), 2, "{error}");
        let message = error.to_string();
        assert!(!message.contains('\n'), "{message}");
        message.replace(&format!("{}/", folder.path().display()), "")
    })
}

fn planned(text: &str, sets: &[&str]) -> Plan {
    plan_in(&folder(&format!("base = \"base.toml\"\n{text}")), sets).unwrap()
}

fn error(text: &str, sets: &[&str]) -> String {
    plan_in(&folder(&format!("base = \"base.toml\"\n{text}")), sets).unwrap_err()
}

fn runs(plan: &Plan) -> Vec<&str> {
    plan.cells.iter().map(|cell| cell.run.as_str()).collect()
}

#[test]
fn a_grid_is_crossed_in_the_order_of_the_file() {
    let plan = planned(
        "[grid]\nmodel.layers = [1, 2]\n\"attention.kind\" = [\"vanilla\", \"random\"]\nmodel.dropout = [0.0]\n",
        &[],
    );
    assert_eq!((plan.name.as_str(), plan.retries), ("s", 0));
    assert!(plan.base.is_absolute() && plan.base.ends_with("base.toml"));
    assert_eq!(runs(&plan), ["1_vanilla_0.0-s1", "1_random_0.0-s1", "2_vanilla_0.0-s1", "2_random_0.0-s1"]);
    let cell = &plan.cells[3];
    assert_eq!((cell.name.as_str(), cell.seed, cell.experiment.model.layers), ("2_random_0.0", 1, 2));
    assert_eq!(cell.sets, ["model.layers=2", "attention.kind=random", "model.dropout=0.0", "name=s", "seed=1"]);
}

#[test]
fn the_sets_of_a_cell_make_it_from_the_base() {
    let text = "name = \"sweep\"\nseeds = [3, 4]\nretries = 2\n[grid]\noptimizer.betas = [[0.9, 0.98], [0.9, 0.999]]\n\
                [[cell]]\nname = \"small\"\nset = { model = { d_model = 32 }, \"attention.kind\" = \"random\" }\n\
                [[cell]]\nname = \"plain\"\n";
    let folder = folder(&format!("base = \"base.toml\"\n{text}"));
    let plan = plan_in(&folder, &["train.steps=5"]).unwrap();
    assert_eq!(runs(&plan), ["0-s3", "0-s4", "1-s3", "1-s4", "small-s3", "small-s4", "plain-s3", "plain-s4"]);
    assert_eq!(plan.retries, 2);
    for cell in &plan.cells {
        assert_eq!(load(&plan.base, &cell.sets).unwrap().experiment, cell.experiment);
        assert_eq!((cell.experiment.name.as_str(), cell.experiment.train.steps), ("sweep", Some(5)));
    }
    assert_eq!(plan.cells[4].experiment.model.d_model, 32);
}

#[test]
fn paths_are_relative_to_the_sweep() {
    let folder = folder(
        "base = \"base.toml\"\n[[cell]]\nname = \"a\"\nset = { \"model.layers\" = 1 }\n[grid]\n\"data.train\" = [\"x.txt\"]\n",
    );
    fs::write(folder.path().join("base.toml"), LEAST.replace("dataset = \"rust-sources\"", "train = \"t.txt\""))
        .unwrap();
    let plan = plan_in(&folder, &[]).unwrap();
    let root = folder.path().canonicalize().unwrap();
    assert_eq!(runs(&plan), ["x.txt-s1", "a-s1"]);
    assert_eq!(plan.cells[0].experiment.data.train, Some(root.join("x.txt").into()));
    assert_eq!(plan.cells[0].sets[0], format!("data.train={}", root.join("x.txt").display()));
}

#[test]
fn the_command_line_wins_over_cells() {
    let text = "seeds = [1, 2]\n[[cell]]\nname = \"a\"\nset = { \"train.steps\" = 50 }\n";
    let plan = planned(text, &["train.steps=5", "seed=8", "seed=9", "name=other"]);
    assert_eq!((runs(&plan), plan.name.as_str()), (vec!["a-s9"], "other"));
    assert_eq!(plan.cells[0].experiment.train.steps, Some(5));
    assert_eq!(
        error("[grid]\nmodel.layers = [1]\n", &["model={layers=2}"]),
        "--set model={layers=2}: model.layers is a key of the sweep's grid, expected another key; change the list in [grid]"
    );
    assert_eq!(error(text, &["seed=x"]), "--set seed=x: found \"x\", expected an integer of 0 or more");
}

#[test]
fn seeds_alone_are_a_sweep_of_the_base() {
    assert_eq!(runs(&planned("seeds = [1, 2]\n", &["attention.kind=random"])), ["random-s1", "random-s2"]);
}

#[test]
fn an_error_in_a_cell_names_its_line_and_the_cell() {
    assert_eq!(
        error("[grid]\nattention.kind = [\"vanilla\",\n\"denes\"]\n", &[]),
        format!(
            "s.toml:4: attention.kind: found \"denes\"; did you mean \"dense\"? expected {} (in the cell denes)",
            Kind::names()
        )
    );
    assert_eq!(
        error("[[cell]]\nname = \"x\"\nset = { model.heads = 5 }\n", &[]),
        "s.toml:4: model.heads: 5 does not divide model.d_model = 64; change one of them or give model.head_width (in \
         the cell x)"
    );
}

#[test]
fn a_sweep_that_cannot_be_meant_is_refused() {
    let cases = [
        ("seeds = []\n", "s.toml:2: seeds: found [], expected a list of at least one"),
        ("seeds = [-1]\n", "s.toml:2: seeds[0]: found -1, expected an integer of 0 or more"),
        ("seeds = [1, 1]\n", "s.toml: two cells make the run vanilla-s1; expected each cell and seed once"),
        ("[grid]\nmodel.layers = 1\n", "s.toml:3: grid.model.layers: found 1, expected a list of at least one"),
        (
            "[grid]\nseed = [1]\n",
            "s.toml:3: grid.seed: is set by the sweep itself; expected name, base and seeds at its top",
        ),
        (
            "[grid]\nmodel.layers = [1]\n\"model.layers\" = [2]\n",
            "s.toml:4: grid.\"model.layers\": stands twice in the grid, expected once",
        ),
        ("[[cell]]\nname = \"a b\"\n", "s.toml:3: cell[0].name: found \"a b\", expected [A-Za-z0-9][A-Za-z0-9._+-]*"),
        (
            "[[cell]]\nname = \"a\"\nset = { model.heads = 1, \"model.heads\" = 2 }\n",
            "s.toml:4: cell[0].set.\"model.heads\": stands twice in the cell, expected once",
        ),
        (
            "[[cell]]\n",
            "s.toml:2: cell[0]: name is missing, expected [[cell]] with name = \"…\" and set = { \"a.b\" = c }",
        ),
        (
            "seeds = [1]\ntrain.steps = 5\n",
            "s.toml:3: train: unknown key in a sweep; an experiment's key goes into base, [grid] or a cell's set, expected \
             name, base, grid, cell, seeds, retries, match_parameters",
        ),
        (
            "seeds = [1]\nname = \"reference\"\n",
            "s.toml:3: name: found \"reference\", expected a name for the sweep, [A-Za-z0-9][A-Za-z0-9._+-]*, other than \
             reference",
        ),
        ("", "s.toml: found no grid, cell or seeds, expected a sweep; run an experiment with synth train"),
    ];
    for (text, message) in cases {
        assert_eq!(error(text, &[]), message);
    }
    let ten = "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]";
    let keys = ["model.layers", "model.d_ff", "model.max_length", "train.steps", "train.keep"];
    let grid: String = keys.iter().map(|key| format!("{key} = {ten}\n")).collect();
    assert_eq!(
        error(&format!("[grid]\n{grid}"), &[]),
        "s.toml:2: grid: makes more than 10000 cells; shorten its lists"
    );
}

#[test]
fn the_base_is_an_experiment() {
    let absent = plan_in(&folder("seeds = [1]\n"), &[]).unwrap_err();
    assert_eq!(absent, "s.toml: base: missing, expected base = \"EXPERIMENT.toml\"");
    let missing = plan_in(&folder("base = \"none.toml\"\nseeds = [1]\n"), &[]).unwrap_err();
    assert!(missing.starts_with("s.toml:1: base: ") && missing.contains("none.toml: no such file"), "{missing}");
    let itself = plan_in(&folder("base = \"s.toml\"\nseeds = [1]\n"), &[]).unwrap_err();
    assert!(
        itself.ends_with("s.toml:2: seeds: this is a sweep, expected an experiment; run it with synth ablate"),
        "{itself}"
    );
}

#[test]
fn a_cell_that_cannot_be_is_skipped_and_named() {
    let text = "[grid]\n\"attention.kind\" = [\"vanilla\", \"factorized-dense\"]\nmodel.max_length = [8, 32]\n";
    let plan = planned(text, &["attention.factorized-dense.factors=[4, 4]"]);
    let skipped: Vec<_> =
        plan.cells.iter().filter_map(|cell| Some((cell.run.as_str(), cell.skip.as_deref()?))).collect();
    let [(run, reason)] = skipped[..] else { panic!("{skipped:?}") };
    assert_eq!(run, "factorized-dense_32-s1");
    assert!(reason.contains("4 · 4 is less than model.max_length = 32"), "{reason}");
}

#[test]
fn a_sweep_without_any_cell_that_can_be_is_refused() {
    let sets = ["attention.kind=factorized-dense", "attention.factorized-dense.factors=[2, 2]"];
    let message = error("seeds = [1, 2]\n", &sets);
    assert!(message.contains("2 · 2 is less than model.max_length = 256"), "{message}");
}

#[test]
fn each_cell_gets_a_baseline_of_its_size() {
    let text = "match_parameters = \"vanilla-control\"\nseeds = [1, 2]\n\
                [grid]\n\"attention.kind\" = [\"vanilla\", \"random\"]\n";
    let plan = planned(text, &["model.dropout=0.0"]);
    let expected =
        ["vanilla", "random", "vanilla-control-random"].map(|cell| [1, 2].map(|seed| format!("{cell}-s{seed}")));
    assert_eq!(runs(&plan), expected.as_flattened());
    let cell = &plan.cells[4];
    let control = cell.control.as_ref().unwrap();
    assert_eq!(
        (control.of.as_str(), cell.experiment.model.d_ff, control.share.abs() < 0.01),
        ("random", Some(control.d_ff), true)
    );
    assert_eq!((cell.experiment.kind().as_str(), cell.experiment.model.dropout), ("vanilla", 0.0));
    assert!(plan.cells[..4].iter().all(|cell| cell.control.is_none()));
    assert_eq!(
        error("match_parameters = \"dense\"\nseeds = [1]\n", &[]),
        "s.toml:2: match_parameters: found \"dense\", expected \"vanilla-control\""
    );
}
