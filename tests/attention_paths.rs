//! Every path of `attend` against the materialised one, forward and backward, and all against finite
//! differences.

use synth::attention::attend::{self, attend_by, choose};
use synth::attention::{Mask, Path, Scores};
use synth::parameters::{Init, Parameters};
use tch::{Device, Kind, Tensor};

fn normal(seed: u64, shape: &[i64]) -> Tensor {
    let mut parameters = Parameters::new(seed, Device::Cpu, Kind::Double);
    parameters.root().tensor("x", shape, Init::Normal(1.0)).detach().set_requires_grad(true)
}

/// Leaves that scores and values are made of.
struct Case {
    q: Option<Tensor>,
    k: Option<Tensor>,
    bias: Option<Tensor>,
    v: Tensor,
    mask: Mask,
    name: &'static str,
}

impl Case {
    fn scores(&self, kind: Kind) -> Scores {
        let part = |tensor: &Option<Tensor>| tensor.as_ref().map(|tensor| tensor.to_kind(kind));
        Scores { q: part(&self.q), k: part(&self.k), bias: part(&self.bias) }
    }

    fn leaves(&self) -> Vec<&Tensor> {
        [&self.q, &self.k, &self.bias].into_iter().flatten().chain([&self.v]).collect()
    }

    fn applies(&self, path: Path, kind: Kind, dropout: f64) -> bool {
        attend::applies(path, &self.scores(kind), &self.v.to_kind(kind), &self.mask, dropout)
    }

    /// Output, and the gradients of all leaves for a fixed gradient of the output.
    fn run(&self, path: Path, kind: Kind, dropout: f64) -> Vec<Tensor> {
        let scores = self.scores(kind);
        let y = attend_by(path, &scores, &self.v.to_kind(kind), &self.mask, dropout).unwrap();
        let upstream = normal(99, &y.size()).detach().to_kind(kind);
        (&y * upstream).sum(kind).backward();
        let mut results = vec![y.detach().to_kind(Kind::Double)];
        for leaf in self.leaves() {
            let mut leaf = leaf.shallow_clone();
            results.push(leaf.grad().copy());
            leaf.zero_grad();
        }
        results
    }
}

fn cases() -> Vec<Case> {
    let padded = |causal| Mask { causal, key_lengths: Some(Tensor::from_slice(&[3i64, 7, 0])) };
    let mut list = Vec::new();
    for (name, causal) in [("full", false), ("causal", true)] {
        let mask = || Mask { causal, key_lengths: None };
        list.push(product_case(name, mask(), 4, 4));
        // Widths that no kernel takes as they are: padded with zeros.
        list.push(product_case(name, mask(), 3, 5));
        list.push(product_case(name, mask(), 12, 4));
        list.push(table_case(name, mask()));
    }
    list.push(product_case("padded", padded(false), 4, 4));
    list.push(product_case("padded and causal", padded(true), 4, 4));
    list.push(table_case("padded", padded(false)));
    list.push(table_case("padded and causal", padded(true)));
    list
}

fn product_case(name: &'static str, mask: Mask, width: i64, value_width: i64) -> Case {
    let [q, k] = [1, 2].map(|seed| Some(normal(seed, &[3, 2, 7, width])));
    Case { q, k, bias: None, v: normal(3, &[3, 2, 7, value_width]), mask, name }
}

fn table_case(name: &'static str, mask: Mask) -> Case {
    Case { q: None, k: None, bias: Some(normal(4, &[1, 2, 7, 7])), v: normal(5, &[3, 2, 7, 4]), mask, name }
}

/// Largest difference; of outputs and values' gradients only where a real position stands, for what a padded
/// query gives under a causal mask is not defined.
fn difference(case: &Case, a: &[Tensor], b: &[Tensor]) -> f64 {
    let skip = case.mask.causal && case.mask.key_lengths.is_some();
    let pairs = a.iter().zip(b).enumerate();
    let worst = pairs.map(|(i, (a, b))| if skip && i > 0 { 0.0 } else { masked(case, a, b, i == 0) });
    worst.fold(0.0, f64::max)
}

fn masked(case: &Case, a: &Tensor, b: &Tensor, output: bool) -> f64 {
    let gap = (a - b).abs();
    let gap = match (&case.mask.key_lengths, output && case.mask.causal) {
        (Some(lengths), true) => {
            let real = Tensor::arange(7, (Kind::Int64, Device::Cpu)).less_tensor(&lengths.view([-1, 1]));
            gap * real.view([3, 1, 7, 1])
        }
        _ => gap,
    };
    gap.max().double_value(&[])
}

#[test]
fn every_path_agrees_with_the_materialised_one() {
    let mut compared = [0; 3];
    for kind in [Kind::Double, Kind::Float, Kind::BFloat16] {
        let tolerance = match kind {
            Kind::Double => 1e-12,
            Kind::Float => 1e-5,
            _ => 0.1,
        };
        for case in cases() {
            let reference = case.run(Path::Materialised, kind, 0.0);
            for (i, path) in Path::ALL.into_iter().enumerate() {
                if case.applies(path, kind, 0.0) {
                    let found = case.run(path, kind, 0.0);
                    let worst = difference(&case, &reference, &found);
                    assert!(worst < tolerance, "{path}, {}, {kind:?}: {worst:e}", case.name);
                    compared[i] += 1;
                }
            }
        }
    }
    // 3 kinds of numbers × 3 tables that need no padding mask, 8 products, 12 cases: none fell out unnoticed.
    assert_eq!(compared, [9, 24, 36], "shared, fused, materialised");
}

#[test]
fn shared_weights_drop_alike_on_both_paths() {
    let case = table_case("causal", Mask::causal());
    tch::manual_seed(5);
    let reference = case.run(Path::Materialised, Kind::Double, 0.5);
    tch::manual_seed(5);
    let found = case.run(Path::Shared, Kind::Double, 0.5);
    assert!(difference(&case, &reference, &found) < 1e-12);
    tch::manual_seed(6);
    assert!(difference(&case, &reference, &case.run(Path::Shared, Kind::Double, 0.5)) > 1e-3);
}

#[test]
fn gradients_equal_finite_differences() {
    const STEP: f64 = 1e-6;
    for case in cases() {
        for path in Path::ALL.into_iter().filter(|&path| case.applies(path, Kind::Double, 0.0)) {
            let gradients = case.run(path, Kind::Double, 0.0);
            let upstream = normal(99, &gradients[0].size()).detach();
            let value = || {
                let y = attend_by(path, &case.scores(Kind::Double), &case.v, &case.mask, 0.0).unwrap();
                (y * &upstream).sum(Kind::Double).double_value(&[])
            };
            let _no_grad = tch::no_grad_guard();
            for (leaf, gradient) in case.leaves().into_iter().zip(&gradients[1..]) {
                let (flat, gradient) = (leaf.view([-1]), gradient.view([-1]));
                // Every seventh entry: enough to meet every head, row and column.
                for i in (0..flat.size()[0]).step_by(7) {
                    let mut at = flat.get(i);
                    at += STEP;
                    let above = value();
                    at -= 2.0 * STEP;
                    let below = value();
                    at += STEP;
                    let numeric = (above - below) / (2.0 * STEP);
                    let found = gradient.double_value(&[i]);
                    assert!((numeric - found).abs() < 1e-7, "{path}, {}: {numeric} and {found}", case.name);
                }
            }
        }
    }
}

#[test]
fn the_choice_is_the_cheapest_that_applies() {
    for case in cases() {
        let chosen = choose(&case.scores(Kind::Float), &case.v.to_kind(Kind::Float), &case.mask, 0.0);
        let cheapest = Path::ALL.into_iter().find(|&path| case.applies(path, Kind::Float, 0.0));
        assert_eq!(Some(chosen), cheapest, "{}", case.name);
        // The CPU's stock kernel has no dropout.
        let with_dropout = choose(&case.scores(Kind::Float), &case.v.to_kind(Kind::Float), &case.mask, 0.1);
        assert_ne!(with_dropout, Path::Fused, "{}", case.name);
    }
    // A trained bias makes the stock operation fall to its path of N² memory: never taken for fused.
    let biased = Case { bias: Some(normal(6, &[1, 2, 7, 7])), ..product_case("bias", Mask::default(), 4, 4) };
    assert_eq!(choose(&biased.scores(Kind::Float), &biased.v, &biased.mask, 0.0), Path::Materialised);
}
