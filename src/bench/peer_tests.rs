//! Models are the peers' models: what the peer programs printed on the CPU (tests/bench/peer.sh), against our counts.

use crate::attention::Kind;
use crate::attention::options::AttentionOptions;
use crate::model::Decoder;
use crate::model::options::ModelOptions;
use crate::model::size::decoder_size;
use crate::parameters::Parameters;
use serde_json::Value;
use std::collections::BTreeSet;

const LINES: &str = include_str!("../../tests/bench/peer.jsonl");

#[test]
fn every_kind_of_the_peer_has_its_parameters() {
    let (mut kinds, mut shapes) = (BTreeSet::new(), BTreeSet::new());
    for line in LINES.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        // Decoding prints none.
        let Some(params) = line["params"].as_u64() else { continue };
        let size = |name: &str| line[name].as_i64().unwrap();
        let model = ModelOptions {
            layers: size("layers"),
            d_model: size("d_model"),
            heads: size("heads"),
            d_ff: Some(size("d_ff")),
            max_length: size("seq_len"),
            ..Default::default()
        };
        let kind: Kind = line["attention"].as_str().unwrap().parse().unwrap();
        let attention = AttentionOptions { kind: Some(kind), ..Default::default() };
        assert_eq!(decoder_size(&model, &attention, size("vocab") as u64).total, u128::from(params), "{line}");
        if model.d_model < 100 {
            let mut parameters = Parameters::new(1, tch::Device::Cpu, tch::Kind::Float);
            Decoder::new(&mut parameters, &model, &attention, size("vocab"));
            assert_eq!(parameters.counts().total, params, "{line}");
        }
        kinds.insert(kind.to_string());
        shapes.insert((model.d_model, model.max_length));
    }
    assert_eq!((kinds.len(), shapes.len()), (10, 3));
}
