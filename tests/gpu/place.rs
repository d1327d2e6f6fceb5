//! What is known of the GPU before anything is allocated on it.

use crate::gpu;
use std::fs;
use std::process::Command;

#[test]
fn gpu_memory_is_known_before_the_first_tensor() {
    let Some(_turn) = gpu() else { return };
    let doctor = Command::new(env!("CARGO_BIN_EXE_synth")).args(["doctor", "--json"]).output().unwrap();
    let findings: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let device = &findings["devices"][1];
    assert!(device["memory_gib"].as_f64().is_some_and(|total| total > 1.0), "{device}");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("text.txt"), "enough text to be cut in two").unwrap();
    let experiment = folder.path().join("huge.toml");
    let text = "name = \"huge\"\ntask.kind = \"language-modeling\"\ntrain.steps = 1\n\
                data = { path = \"text.txt\", split = [0.5, 0.5] }\nmodel.d_model = 100000000\n";
    fs::write(&experiment, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_synth"));
    command.arg("train").arg(&experiment).args(["--device", "cuda", "--results"]).arg(folder.path());
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("cuda:0 has") && stderr.contains("GiB available"), "{stderr}");
}
