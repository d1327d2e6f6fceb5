//! `train.label_smoothing`, `train.z_loss`: what is minimised, beside the loss that is reported.

use crate::place::{Metrics, Place, RUN};

const SETS: &str = "--set train.label_smoothing=0.1 --set train.z_loss=0.01";

#[test]
fn train_rows_tell_the_objective_beside_the_plain_loss() {
    let place = Place::new();
    place.succeeds(&format!("train tiny.toml {SETS} --set train.log_every=1"));
    let rows = Metrics::of(&place, RUN);
    for row in rows.of_split("train") {
        let (loss, objective) = (row.number("loss"), row.number("objective"));
        // As good as untrained: every logit is near 0, and log Σ exp(logits) near that of the vocabulary.
        let guess = 256f64.ln();
        let expected = 0.9 * loss + 0.1 * guess + 0.01 * guess * guess;
        assert!((objective - expected).abs() < 0.03, "{objective}, expected {expected}");
        assert!((row.number("perplexity") - loss.exp()).abs() < 1e-9 * loss.exp());
    }
    assert!(rows.of_split("validation").all(|row| row.cell("objective").is_empty()));
    assert!(!place.read(&format!("{RUN}/summary.json")).contains("objective"));
}

#[test]
fn without_either_the_column_is_empty_and_nothing_changes() {
    let place = Place::with_run();
    assert!(Metrics::of(&place, RUN).rows().all(|row| row.cell("objective").is_empty()));
    assert!(!place.read(&format!("{RUN}/checkpoints/step-6/state.json")).contains("objective"));
    // One that weighs next to nothing takes the other path to as good as the same figures.
    place.succeeds("train tiny.toml --run other --set train.z_loss=1e-12");
    let [plain, other] = [RUN, "results/tiny/other"].map(|run| Metrics::of(&place, run));
    for (plain, other) in plain.rows().zip(other.rows()) {
        let (plain, other) = (plain.number("loss"), other.number("loss"));
        assert!((plain - other).abs() < 1e-4, "{plain} and {other}");
    }
}

#[test]
fn a_resumed_run_goes_on_with_its_sums() {
    let place = Place::new();
    let sets = format!("{SETS} --set optimizer.schedule.kind=constant --set train.log_every=4");
    place.succeeds(&format!("train tiny.toml --run straight {sets}"));
    // Stopped within a row: its sums come from the checkpoint.
    place.succeeds(&format!("train tiny.toml --run cut --set train.max_minutes=0 {sets}"));
    assert_eq!(place.read("results/tiny/cut/checkpoints/last"), "step-1\n");
    assert!(place.read("results/tiny/cut/checkpoints/step-1/state.json").contains("\"objective\": ["));
    place.succeeds(&format!("train tiny.toml --run cut --resume {sets}"));
    let [straight, cut] = ["straight", "cut"].map(|run| Metrics::of(&place, &format!("results/tiny/{run}")));
    for column in ["step", "loss", "objective", "grad_norm"] {
        let cells = |metrics: &Metrics| metrics.rows().map(|row| row.cell(column).to_string()).collect::<Vec<_>>();
        assert_eq!(cells(&straight), cells(&cut), "{column}");
    }
}

#[test]
fn what_is_minimised_has_to_be_finite() {
    let place = Place::new();
    // Above all that float32 holds, while the loss itself stays what it is.
    let finished = place.synth("train tiny.toml --set train.z_loss=1e300");
    assert_eq!(finished.code, Some(3));
    let line = finished.error_line();
    assert!(line.contains("step 1 is not finite (loss 5.") && line.contains("objective inf"), "{line}");
    let rows = Metrics::of(&place, RUN);
    let row = rows.rows().next().unwrap();
    assert_eq!((row.cell("objective"), row.number("loss").is_finite()), ("inf", true));
}

#[test]
fn values_that_are_none() {
    let place = Place::new();
    for set in ["label_smoothing=1", "label_smoothing=-0.1", "z_loss=-1", "z_loss=inf", "label_smoothing=some"] {
        let (key, value) = set.split_once('=').unwrap();
        place.fails(&format!("train tiny.toml --set train.{set}"), 2, &[key, value, "expected"]);
    }
    place.fails("train tiny.toml --set train.label_smooth=0.1", 2, &["unknown key", "label_smoothing"]);
}
