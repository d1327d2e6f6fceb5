//! Outputs and gradients of an independent float64 program, from `$SYNTH_TEST_DATA/attention-cases`.

use safetensors::SafeTensors;
use serde_json::Value;
use std::path::Path;
use synth::attention::kind::Dimensions;
use synth::attention::options::AttentionOptions;
use synth::attention::{Kind, Mask, Pass, SynthesizedAttention};
use synth::parameters::Parameters;
use tch::{Device, Kind as NumberKind, Tensor};

const PASS: Pass = Pass { training: false, compute: NumberKind::Double };

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn layers_equal_the_independent_program() {
    let Some(folder) = std::env::var_os("SYNTH_TEST_DATA") else {
        return eprintln!("skipped: SYNTH_TEST_DATA is not set");
    };
    let folder = Path::new(&folder).join("attention-cases");
    let Ok(index) = std::fs::read_to_string(folder.join("index.json")) else {
        return eprintln!("skipped: {} has no index.json", folder.display());
    };
    let rows: Vec<Value> = serde_json::from_str(&index).unwrap();
    let mut compared = 0;
    for row in rows.iter().filter(|row| built(row)) {
        let name = row["name"].as_str().unwrap();
        let file = std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap();
        let file = SafeTensors::deserialize(&file).unwrap();
        // Our projections have no biases.
        if file.tensor("parameter.value.bias").is_err() {
            check(row, &file);
            compared += 1;
        }
    }
    // vanilla and random: full, causal, padding, both, cross, empty, one head.
    assert!(compared >= 14, "only {compared} cases were compared");
}

/// Kinds and positions that the layer has: an added bias comes with relative positions.
fn built(row: &Value) -> bool {
    let kind = row["kind"].as_str().unwrap();
    Kind::ALL.iter().any(|built| built.name() == kind) && !row["name"].as_str().unwrap().ends_with("@relative")
}

fn check(row: &Value, file: &SafeTensors<'_>) {
    let name = row["name"].as_str().unwrap();
    let number = |key: &str| row[key].as_i64().unwrap();
    let dimensions = Dimensions {
        d_model: number("d_model"),
        heads: number("heads"),
        head_width: number("head_width"),
        max_length: number("max_length"),
    };
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == row["kind"]).unwrap();
    let mut parameters = Parameters::new(1, Device::Cpu, NumberKind::Double);
    let options = AttentionOptions { kind, ..Default::default() };
    let layer = SynthesizedAttention::new(parameters.root(), kind, &options, dimensions, 0.0, 1.0);
    tch::no_grad(|| {
        for parameter in parameters.iter() {
            let key = parameter.name.strip_suffix(".weight").unwrap_or(&parameter.name);
            let values = read(file, &format!("parameter.{}", parameter.name))
                .or_else(|| read(file, &format!("parameter.{key}")))
                .unwrap_or_else(|| panic!("{name} lacks {}: {:?}", parameter.name, file.names()));
            parameter.tensor.shallow_clone().copy_(&values);
        }
    });
    let x = read(file, "x").unwrap().set_requires_grad(true);
    let memory = read(file, "memory").map(|memory| memory.set_requires_grad(true));
    let mask = Mask { causal: row["causal"].as_bool().unwrap(), key_lengths: read(file, "key_lengths") };
    let y = layer.attend_to(&x, memory.as_ref().unwrap_or(&x), &mask, PASS).unwrap();
    let real = read(file, "compare").unwrap().unsqueeze(-1).to_kind(NumberKind::Double);
    close(name, "output", &(&y * &real), &(read(file, "output").unwrap() * &real));
    // Undefined outputs have no gradient upstream.
    (&y * read(file, "upstream").unwrap()).sum(NumberKind::Double).backward();
    close(name, "gradient.x", &x.grad(), &read(file, "gradient.x").unwrap());
    if let Some(memory) = memory {
        close(name, "gradient.memory", &memory.grad(), &read(file, "gradient.memory").unwrap());
    }
    for parameter in parameters.iter() {
        let key = parameter.name.strip_suffix(".weight").unwrap_or(&parameter.name);
        let expected =
            read(file, &format!("gradient.{}", parameter.name)).or_else(|| read(file, &format!("gradient.{key}")));
        close(name, &parameter.name, &parameter.tensor.grad(), &expected.unwrap());
    }
}

fn close(case: &str, what: &str, found: &Tensor, expected: &Tensor) {
    // Random scores do not depend on the queries' input: no gradient is one of zero.
    let found = if found.defined() { found.shallow_clone() } else { expected.zeros_like() };
    assert_eq!(found.size(), expected.size(), "{case}: {what}");
    let scale = expected.abs().max().double_value(&[]).max(1.0);
    let gap = (found - expected).abs().max().double_value(&[]) / scale;
    assert!(gap <= 1e-9, "{case}: {what} differs by {gap:e}");
}

fn read(file: &SafeTensors<'_>, name: &str) -> Option<Tensor> {
    let view = file.tensor(name).ok()?;
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    let kind = match view.dtype() {
        safetensors::Dtype::F64 => NumberKind::Double,
        safetensors::Dtype::I64 => NumberKind::Int64,
        safetensors::Dtype::BOOL => NumberKind::Bool,
        safetensors::Dtype::U8 => NumberKind::Uint8,
        other => panic!("{name} is {other:?}"),
    };
    Some(Tensor::from_data_size(view.data(), &shape, kind))
}
