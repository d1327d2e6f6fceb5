//! The paths of attention against the float64 reference on the CPU.

use crate::{gpu, normal};
use synth::attention::attend::{attend_by, choose};
use synth::attention::scores::{Factors, Table, at_least_float};
use synth::attention::{Dropout, Mask, Path as AttentionPath, Scores};
use synth::kernels::dropout::DropoutKey;
use tch::{Device, Kind, Tensor};

/// Relative distance of outputs and gradients from the float64 reference on the CPU. `parts` are the values, and what
/// the scores are made of; masks of a dropout above 0 are the counter hash's on both devices.
fn distance(
    scores: &dyn Fn(&[Tensor]) -> Scores,
    parts: &[Tensor],
    path: AttentionPath,
    kind: Kind,
    (mask, dropout): (&Mask, f64),
) -> f64 {
    let run = |device: Device, kind: Kind, path: AttentionPath| {
        let leaves: Vec<Tensor> =
            parts.iter().map(|part| part.to_device(device).to_kind(kind).detach().set_requires_grad(true)).collect();
        let lengths = mask.key_lengths.as_ref().map(|lengths| lengths.to_device(device));
        let mask = Mask { causal: mask.causal, key_lengths: lengths };
        let key = DropoutKey::start(1, 2, 3, device);
        let dropout = if dropout > 0.0 { Dropout::new(dropout, &key, 4) } else { Dropout::NONE };
        let y = attend_by(path, &scores(&leaves), &leaves[0], &mask, dropout).unwrap();
        let upstream = normal(9, &y.size()).to_device(device).to_kind(kind);
        (&y * upstream).sum(kind).backward();
        let grads = leaves.iter().map(Tensor::grad);
        let all: Vec<Tensor> =
            [y.detach()].into_iter().chain(grads).map(|t| t.to_device(Device::Cpu).to_kind(Kind::Double)).collect();
        all
    };
    let reference = run(Device::Cpu, Kind::Double, AttentionPath::Materialised);
    let found = run(Device::Cuda(0), kind, path);
    let norm = |t: &Tensor| t.norm().double_value(&[]);
    reference.iter().zip(&found).map(|(a, b)| norm(&(a - b)) / norm(a).max(1e-9)).fold(0.0, f64::max)
}

fn product(leaves: &[Tensor]) -> Scores {
    Scores { q: Some(&leaves[1] * 0.3), k: Some(leaves[2].shallow_clone()), ..Scores::default() }
}

fn table(leaves: &[Tensor]) -> Scores {
    // A table is float32 at least, as in training.
    Scores::of_table(at_least_float(&leaves[1]))
}

/// A product with learned keys, a weighted table and two factors, all at once.
fn everything(leaves: &[Tensor]) -> Scores {
    Scores {
        scale: None,
        q: Some(&leaves[1] * 0.3),
        k: Some(leaves[2].shallow_clone()),
        tables: vec![Table { table: at_least_float(&leaves[3]), weight: Some(at_least_float(&leaves[4])) }],
        factors: Some(Factors { a: leaves[5].shallow_clone(), b: leaves[6].shallow_clone() }),
        from_input: true,
    }
}

#[test]
fn gpu_attention_paths_equal_the_float64_reference() {
    let Some(_turn) = gpu() else { return };
    let full = |name: u64, n: i64, w: i64| normal(name, &[3, 4, n, w]);
    let padded = |causal| Mask { causal, key_lengths: Some(Tensor::from_slice(&[17i64, 5, 1])) };
    for n in [17, 64] {
        for w in [12, 64] {
            let qkv = [full(1, n, w), full(2, n, w), full(3, n, w)];
            let vr = [full(4, n, w), normal(5, &[1, 4, n, n])];
            let learned_keys = normal(6, &[1, 4, n, w]);
            let shared_table = [normal(7, &[1, 4, n, n]), normal(8, &[1, 4, 1, 1])];
            let factors = [full(10, n, 8), full(11, n, 8)];
            let all = [&qkv[..2], &[learned_keys], &shared_table[..], &factors[..]].concat_all();
            for (kind, bound) in [(Kind::Double, 1e-11), (Kind::Float, 1e-5), (Kind::BFloat16, 2e-2)] {
                for mask in [Mask::causal(), Mask::default(), padded(false)] {
                    let what = format!("{kind:?} n {n} w {w} {mask:?}");
                    for dropout in [0.0, 0.2] {
                        let shared = distance(&table, &vr, AttentionPath::Shared, kind, (&mask, dropout));
                        let blocks = distance(&everything, &all, AttentionPath::Blockwise, kind, (&mask, dropout));
                        assert!(shared < bound, "shared {what} dropout {dropout}: {shared:e}");
                        assert!(blocks < bound, "blockwise {what} dropout {dropout}: {blocks:e}");
                    }
                    // The stock kernels have no float64; their dropout is not ours.
                    if kind != Kind::Double {
                        let fused = distance(&product, &qkv, AttentionPath::Fused, kind, (&mask, 0.0));
                        assert!(fused < bound, "fused {what}: {fused:e}");
                    }
                }
            }
        }
    }
}

/// Several lists of tensors as one.
trait ConcatAll {
    fn concat_all(self) -> Vec<Tensor>;
}

impl<const N: usize> ConcatAll for [&[Tensor]; N] {
    fn concat_all(self) -> Vec<Tensor> {
        self.into_iter().flatten().map(Tensor::shallow_clone).collect()
    }
}

#[test]
fn gpu_training_with_dropout_takes_the_fused_path() {
    let Some(_turn) = gpu() else { return };
    for kind in [Kind::BFloat16, Kind::Float] {
        let part = || normal(1, &[2, 4, 64, 32]).to_device(Device::Cuda(0)).to_kind(kind).set_requires_grad(true);
        let scores = Scores { q: Some(part()), k: Some(part()), ..Scores::default() };
        let key = DropoutKey::start(1, 2, 3, Device::Cuda(0));
        let chosen = |key| choose(&scores, &part(), &Mask::causal(), Dropout::new(0.1, key, 4));
        assert_eq!(chosen(&key), AttentionPath::Fused, "{kind:?}");
        // What is computed again needs masks that are.
        assert_eq!(chosen(&key.share().drawn_again()), AttentionPath::Blockwise, "{kind:?}");
    }
}
