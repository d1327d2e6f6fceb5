//! The contract of every kind of attention, over options, masks, heads, lengths and paths.
//!
//! `attention_layers::TESTED` is the list of what is tested: a new kind is one more line there.

#[path = "../attention_layers/mod.rs"]
mod attention_layers;
mod conditions;
mod counts;
mod dropout;
mod factors;
mod heads;
mod lengths;
mod masks;
mod mixtures;
mod storage;

use attention_layers::{Layer, TESTED};
use synth::attention::Kind;

/// Every tested layer with 1, 2 and 8 heads.
fn each_layer(mut check: impl FnMut(&Layer)) {
    for &tested in TESTED {
        for heads in [1, 2, 8] {
            check(&Layer::new(tested, heads));
        }
    }
}

#[test]
fn every_part_is_tested_alone_and_in_a_mixture() {
    let kinds: Vec<Kind> = TESTED.iter().map(|(kind, _)| kind.parse().unwrap()).collect();
    for pure in Kind::pure() {
        let part = pure.parts().next().unwrap();
        assert!(kinds.contains(&pure), "{pure}");
        assert!(kinds.iter().any(|kind| kind.is_mixture() && kind.has(part)), "{pure}");
    }
    // The mixtures of the paper's tables.
    for paper in ["random+vanilla", "dense+vanilla", "random+dense", "factorized-random+vanilla"] {
        assert!(kinds.contains(&paper.parse().unwrap()), "{paper}");
    }
}
