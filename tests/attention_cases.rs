//! Outputs and gradients of independent float64 programs, by every path, in float64 and float32: the cases that
//! `tests/golden/attention.py` wrote beside itself, and those of `$SYNTH_TEST_DATA/attention-cases`.

#[path = "../examples/attention_case/mod.rs"]
mod attention_case;

use attention_case::{Arrays, Case};
use std::path::{Path as FilePath, PathBuf};
use synth::attention::Path;
use tch::{Device, Kind, Tensor};

#[test]
fn layers_equal_the_committed_numbers() {
    let folder = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/attention");
    check_every_path(&folder, [48, 21, 13]);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn layers_equal_the_independent_program() {
    let Some(folder) = std::env::var_os("SYNTH_TEST_DATA") else {
        return eprintln!("skipped: SYNTH_TEST_DATA is not set");
    };
    let folder = PathBuf::from(folder).join("attention-cases");
    if !folder.join("index.json").exists() {
        return eprintln!("skipped: {} has no index.json", folder.display());
    }
    check_every_path(&folder, [126, 52, 30]);
}

/// Checks all cases; `least` are the numbers of cases in all, on the fused and on the shared path, so that none falls
/// out unnoticed.
fn check_every_path(folder: &FilePath, least: [usize; 3]) {
    let cases = attention_case::read(folder).unwrap();
    let [all, fused, shared] = least;
    let paths = [
        (None, all),
        (Some(Path::Materialised), all),
        (Some(Path::Blockwise), all),
        (Some(Path::Fused), fused),
        (Some(Path::Shared), shared),
    ];
    for (number, tolerance) in [(Kind::Double, 1e-9), (Kind::Float, 1e-5)] {
        for (path, least) in paths {
            let compared = cases.iter().filter(|case| agrees(case, path, number, tolerance)).count();
            assert!(compared >= least, "{path:?} in {number:?}: only {compared} cases were compared");
        }
    }
}

/// Whether the path computes the case, as expected within `tolerance`.
fn agrees(case: &Case, path: Option<Path>, number: Kind, tolerance: f64) -> bool {
    let Some(found) = case.run(path, number, Device::Cpu).unwrap() else { return false };
    let differences = differences(case, &found, tolerance);
    assert!(differences.is_empty(), "{}, {path:?} in {number:?}: {}", case.name(), differences.join(", "));
    true
}

/// What differs by more than `tolerance`: the largest absolute difference over max(1, the largest expected value).
fn differences(case: &Case, found: &Arrays, tolerance: f64) -> Vec<String> {
    let arrays = case.arrays().unwrap();
    let real = arrays["compare"].unsqueeze(-1);
    let mut list = Vec::new();
    for (name, expected) in &arrays {
        let trained = name.strip_prefix("gradient.").is_some_and(|name| !case.frozen().contains(&name));
        if name != "output" && !trained {
            continue;
        }
        let Some(found) = found.get(name) else {
            list.push(format!("{name} is missing"));
            continue;
        };
        assert_eq!(found.size(), expected.size(), "{}: {name}", case.name());
        let gap = found.to_kind(Kind::Double) - expected;
        let gap = if name == "output" { gap * &real } else { gap };
        let gap = largest(&gap) / largest(expected).max(1.0);
        if gap.is_nan() || gap > tolerance {
            list.push(format!("{name} differs by {gap:.2e}"));
        }
    }
    list
}

fn largest(x: &Tensor) -> f64 {
    if x.numel() == 0 { 0.0 } else { x.abs().max().double_value(&[]) }
}
