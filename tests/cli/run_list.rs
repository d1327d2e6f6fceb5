//! `synth runs`: the runs of all experiments, filtered and sorted.

use crate::place::Place;

fn place() -> Place {
    let place = Place::new();
    let sweep = "base = \"tiny.toml\"\n[grid]\n\"attention.kind\" = [\"vanilla\", \"random+vanilla\"]\n\
                 [[cell]]\nname = \"long\"\nset = { \"attention.kind\" = \"factorized-dense\", \
                 \"attention.factorized-dense.factors\" = [2, 2] }\n";
    place.write("sweep.toml", sweep);
    place.succeeds("ablate sweep.toml --quiet");
    place.succeeds("train tiny.toml --quiet --seed 7");
    place.write("results/reference/table.csv", "a,b\n");
    place
}

fn runs(place: &Place, arguments: &str) -> Vec<String> {
    let object = place.succeeds(&format!("runs --json {arguments}")).json();
    let runs = object["runs"].as_array().unwrap().iter();
    runs.map(|run| format!("{}/{}", run["experiment"].as_str().unwrap(), run["run"].as_str().unwrap())).collect()
}

#[test]
fn runs_are_listed_filtered_and_sorted() {
    let place = place();
    let all = ["sweep/long-s1", "sweep/random+vanilla-s1", "sweep/vanilla-s1", "tiny/vanilla-s7"];
    assert_eq!(runs(&place, ""), all);
    assert_eq!(runs(&place, "results --experiment tiny"), all[3..]);
    assert_eq!(runs(&place, "--status skipped"), all[..1]);
    assert_eq!(runs(&place, "--kind vanilla+random"), all[1..2]);
    assert_eq!(runs(&place, "--kind vanilla --status done"), all[2..]);
    let parameters = runs(&place, "--sort parameters");
    assert_eq!((parameters[2].as_str(), parameters[3].as_str()), (all[1], all[0]), "what is not known comes last");
    let table = place.succeeds("runs").stdout;
    assert!(table.contains("| tiny ") && table.contains("skipped: "), "{table}");
    let csv = place.succeeds("runs --csv --experiment tiny").stdout;
    assert!(
        csv.starts_with("experiment,run,kind,seed,status,reason,")
            && csv.lines().nth(1).unwrap().starts_with("tiny,vanilla-s7,vanilla,7,done,,6,"),
        "{csv}"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let place = place();
    place.fails("runs nowhere", 2, &["nowhere", "expected the folder of all results"]);
    place.fails("runs --experiment other", 2, &["--experiment other", "has no runs of that name"]);
    assert_eq!(place.synth("runs --status over").code, Some(2));
}
