//! `synth ablate` over tasks with a source and a target.

use super::place;
use crate::sweeps::{rows, table};

const SWEEP: &str = r#"base = "pairs.toml"
[grid]
"attention.kind" = ["vanilla", "random", "dense"]
"#;

const RUNS: [&str; 3] = ["vanilla-s1", "random-s1", "dense-s1"];

#[test]
fn kinds_of_attention_are_rows_and_cells_that_ended_are_not_trained_again() {
    let place = place(48);
    place.write("sweep.toml", SWEEP);
    let finished = place.succeeds("ablate sweep.toml");
    assert_eq!(table(&finished), RUNS.map(|run| (run.to_string(), "done".to_string())));
    assert_eq!(rows(&place.path("results/sweep/runs.csv")).len(), 3);
    for run in RUNS {
        let run = format!("results/sweep/{run}");
        let summary: serde_json::Value = serde_json::from_str(&place.read(&format!("{run}/summary.json"))).unwrap();
        assert!(summary["final"]["validation"]["bleu"].is_f64(), "{summary}");
        assert_eq!(place.succeeds_on("ant\n", &format!("generate {run} --quiet")).stdout.lines().count(), 1);
    }
    let again = place.succeeds("ablate sweep.toml");
    assert_eq!(again.stderr.matches("nothing to do").count(), 3, "{}", again.stderr);
}

#[test]
fn a_dry_run_times_a_step_of_each_cell() {
    let place = place(48);
    let more = "[[cell]]\nname = \"apart\"\nset = { \"tokenizer.joint\" = false }\n";
    place.write("sweep.toml", format!("{SWEEP}{more}"));
    let object = place.succeeds("ablate sweep.toml --dry-run --json").json();
    let cells = object["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 4);
    for cell in cells {
        assert!(cell["step_ms"].as_f64().is_some_and(|time| time > 0.0), "{cell}");
        assert!(cell["flops_per_step"].as_f64().is_some_and(|flops| flops > 0.0), "{cell}");
    }
    assert!(!place.path("results").exists());
    let parameters = |index: usize| cells[index]["parameters"].as_u64().unwrap();
    place.succeeds("train pairs.toml --quiet");
    let summary = place.read(&format!("{}/summary.json", super::RUN));
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["parameters"]["total"].as_u64(), Some(parameters(0)));
    // Bytes, their beginning and their end once more.
    assert_eq!(parameters(3) - parameters(0), 258 * 16);
    let table = place.succeeds("ablate sweep.toml --dry-run --no-timing").stdout;
    assert!(RUNS.iter().chain(&["apart-s1"]).all(|run| table.contains(run)), "{table}");
}
