//! Lengths at which the blockwise path really cuts: some 4 million scores are one block.

use crate::attention_layers::normal;
use crate::cases::worst;
use synth::attention::attend::attend_by;
use synth::attention::scores::{Factors, Table};
use synth::attention::{Dropout, Mask, Path, Scores};
use synth::kernels::dropout::DropoutKey;
use tch::{Device, Kind, Tensor};

const HEADS: i64 = 2;
const BATCH: i64 = 2;
/// Three blocks, the last a short one.
const LENGTH: i64 = 1700;

fn leaf(name: &str, shape: [i64; 4], scale: f64) -> Tensor {
    (normal(name, &shape) * scale).set_requires_grad(true)
}

#[test]
fn several_blocks_equal_the_whole() {
    let key = DropoutKey::start(1, 2, 3, Device::Cpu);
    let q = leaf("q", [BATCH, HEADS, LENGTH, 4], 1.0);
    let k = leaf("k", [1, HEADS, LENGTH, 4], 1.0);
    let table = leaf("table", [1, HEADS, LENGTH, LENGTH], 0.5);
    let weight = leaf("weight", [1, HEADS, 1, 1], 1.0);
    let (a, b) = (leaf("a", [BATCH, HEADS, LENGTH, 42], 1.0), leaf("b", [BATCH, HEADS, LENGTH, 41], 1.0));
    let v = leaf("v", [BATCH, HEADS, LENGTH, 3], 1.0);
    let leaves = [("q", &q), ("k", &k), ("table", &table), ("weight", &weight), ("a", &a), ("b", &b), ("v", &v)];
    let mask = Mask { causal: true, key_lengths: Some(Tensor::from_slice(&[LENGTH, 1100])) };
    let run = |path, dropout| {
        let scores = Scores {
            scale: None,
            q: Some(q.shallow_clone()),
            k: Some(k.shallow_clone()),
            tables: vec![Table { table: table.shallow_clone(), weight: Some(weight.shallow_clone()) }],
            factors: Some(Factors { a: a.shallow_clone(), b: b.shallow_clone() }),
            from_input: true,
        };
        let y = attend_by(path, &scores, &v, &mask, dropout).unwrap();
        (&y * normal("upstream", &y.size())).sum(Kind::Double).backward();
        let gradient = |(name, leaf): (&'static str, &Tensor)| {
            let mut leaf = leaf.shallow_clone();
            let gradient = leaf.grad().copy();
            leaf.zero_grad();
            (name, gradient)
        };
        std::iter::once(("output", y.detach())).chain(leaves.map(gradient)).collect::<Vec<_>>()
    };
    for dropout in [Dropout::NONE, Dropout::new(0.3, &key, 9)] {
        let (gap, what) = worst(&run(Path::Materialised, dropout), &run(Path::Blockwise, dropout));
        assert!(gap < 1e-12, "dropout {}: {what} differs by {gap:e}", dropout.probability());
    }
}
