//! What an encoder-decoder learns within seconds: to put words in reverse order.

use super::{HELD_OUT, LEARNS, RUN, place, reversed, sources, with_learned};

#[test]
fn words_in_reverse_order() {
    let place = with_learned(300, "");
    let record = place.succeeds(&format!("eval {RUN} --split test --json")).json();
    assert!(record["metrics"]["accuracy"].as_f64().unwrap() > 0.97, "{record}");
    let lines = sources(100, 77);
    let right = |more: &str| {
        let outputs = place.succeeds_on(&lines, &format!("generate {RUN} --quiet {more}")).stdout;
        assert_eq!(outputs.lines().count(), 100);
        outputs.lines().zip(reversed(&lines).lines()).filter(|(found, expected)| found == expected).count()
    };
    let (search, greedy, drawn) = (right(""), right("--greedy"), right("--temperature 1"));
    assert!(search >= 97 && greedy >= 97 && drawn >= 90, "{search}, {greedy}, {drawn} of 100");
}

#[test]
fn a_kind_without_content_still_learns_through_cross_attention() {
    let place = place(2000);
    let sets = "--set train.steps=300 --set attention.kind=random";
    place.succeeds(&format!("train pairs.toml --quiet {LEARNS} {sets}"));
    let record = place.succeeds("eval results/pairs/random-s1 --split test --json").json();
    assert_eq!(record["generation"]["outputs"].as_u64(), Some(HELD_OUT as u64));
    assert!(record["metrics"]["accuracy"].as_f64().unwrap() > 0.9, "{record}");
}
