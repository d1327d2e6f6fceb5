//! `environment.json`: what a run was made with.

use super::init_from::InitFrom;
use super::summary::ParameterCounts;
use super::{atomic, regular};
use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The contents of `environment.json`, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of synth.
    pub synth: String,
    /// Commit that synth was built from, where it was built in a checkout.
    pub git_commit: Option<String>,
    /// Version of libtorch.
    pub libtorch: String,
    /// Version of CUDA that libtorch was built for, where it was.
    pub cuda: Option<String>,
    /// The device, as `--device` names it: `cpu`, `cuda:0`.
    pub device: String,
    /// The device's own name.
    pub device_name: Option<String>,
    /// Threads of one operation on the CPU.
    pub threads: u64,
    /// Operating system.
    pub os: String,
    /// Architecture of the processor.
    pub arch: String,
    /// The command's arguments, through [`redact`].
    pub argv: Vec<String>,
    /// When the process began, as [`now`] gives it.
    pub start_time: String,
    /// The seed.
    pub seed: u64,
    /// SHA-256 of each dataset or file of the data, by name.
    pub datasets: BTreeMap<String, String>,
    /// SHA-256 of `tokenizer.json`; absent from runs that began before it was kept.
    #[serde(default)]
    pub tokenizer_sha256: Option<String>,
    /// Which share of the batches of each split holds no target, where rows are records.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub padding: BTreeMap<String, f64>,
    /// Counts of the model's numbers.
    pub parameters: ParameterCounts,
    /// Floating-point operations by formula; absent from runs that began before they were counted.
    #[serde(default)]
    pub flops: Option<Flops>,
    /// `shared` or `per-sample`: whether the batch shares one dropout mask of the attention weights; null without dropout.
    pub dropout_mask: Option<String>,
    /// The path that the attention takes in training.
    pub attention_path: String,
    /// The arithmetic, as `train.precision` names it.
    pub precision: String,
    /// The weights that it began with, where they are another run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<InitFrom>,
}

/// Floating-point operations of a model by formula, 2 per multiply-add of every matrix product.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Flops {
    /// Of the forward pass over one token of a full block.
    pub forward_per_token: f64,
    /// Of one update, all its micro-batches, forward and backward: three times the forward pass.
    pub training_step: f64,
}

impl Environment {
    /// Writes the file atomically.
    pub fn write(&self, path: &Path) -> Result<()> {
        atomic::write_json(path, self)
    }

    /// Reads the file back; an absent or foreign file is an error that names it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = regular::read(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| anyhow!("{} is no environment that synth wrote: {error}", path.display()))
    }
}

/// The time in UTC to the second, as in `2026-01-31T12:00:00Z`.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The arguments with secrets left out: what follows a flag or a `KEY=` that names
/// a secret becomes `***`. Such keys contain `secret` or `password`, or a word of theirs ends in `token` or `key`.
pub fn redact(argv: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut follows_secret_flag = false;
    let mut redacted = Vec::new();
    for argument in argv {
        let hide = follows_secret_flag && !argument.starts_with("--");
        follows_secret_flag = argument.starts_with('-') && !argument.contains('=') && is_secret(&argument);
        redacted.push(if hide { "***".into() } else { redact_value(argument) });
    }
    redacted
}

/// Hides what follows the first `=` before which a secret key stands: `--set=data.token=x` has two.
fn redact_value(argument: String) -> String {
    let secret = argument.match_indices('=').find(|(index, _)| is_secret(&argument[..*index]));
    match secret {
        Some((index, _)) => format!("{}=***", &argument[..index]),
        None => argument,
    }
}

/// Looks at the ends of words, so that `tokenizer.kind` and `train.batch_tokens` stay readable.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let ends_so = |word: &str| word.ends_with("token") || word.ends_with("key");
    key.contains("secret") || key.contains("password") || key.split(|c: char| !c.is_ascii_alphanumeric()).any(ends_so)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::fs;

    pub(in crate::runs) fn environment() -> Environment {
        Environment {
            synth: "0.1.0".into(),
            git_commit: None,
            libtorch: "2.11.0".into(),
            cuda: None,
            device: "cpu".into(),
            device_name: None,
            threads: 2,
            os: "linux".into(),
            arch: "x86_64".into(),
            argv: vec!["synth".into()],
            start_time: now(),
            seed: 9,
            datasets: BTreeMap::from_iter([("text".into(), "ab".into())]),
            tokenizer_sha256: Some("cd".into()),
            padding: BTreeMap::from_iter([("train".into(), 0.125)]),
            parameters: ParameterCounts { total: 10, trainable: 9, attention: 4, embedding: 3 },
            flops: Some(Flops { forward_per_token: 12.5, training_step: 1e9 }),
            dropout_mask: Some("shared".into()),
            attention_path: "shared".into(),
            precision: "fp32".into(),
            init_from: None,
        }
    }

    #[test]
    fn the_file_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("environment.json");
        environment().write(&path).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains("\"git_commit\": null"));
        assert_eq!(Environment::read(&path).unwrap().datasets["text"], "ab");
        fs::write(&path, "[]").unwrap();
        assert!(Environment::read(&path).unwrap_err().to_string().contains("no environment"));
    }

    #[test]
    fn the_time_is_utc_to_the_second() {
        let now = now();
        assert!(now.len() == 20 && now.ends_with('Z') && now.parse::<jiff::Timestamp>().is_ok(), "{now}");
    }

    #[test]
    fn secrets_are_left_out_and_nothing_else_is() {
        let cases = [
            ("--hub-token abc --seed 1", "--hub-token *** --seed 1"),
            ("--token --json", "--token --json"),
            ("HF_TOKEN=abc synth train", "HF_TOKEN=*** synth train"),
            ("--set data.password=a=b", "--set data.password=***"),
            ("--set=data.token=abc", "--set=data.token=***"),
            ("--api-key=abc --key abc", "--api-key=*** --key ***"),
            ("--client-secret abc APIKEY=abc", "--client-secret *** APIKEY=***"),
            ("train secret.toml --set tokenizer.kind=byte", "train secret.toml --set tokenizer.kind=byte"),
            ("--set train.batch_tokens=4096 -v", "--set train.batch_tokens=4096 -v"),
        ];
        for (given, expected) in cases {
            assert_eq!(redact(given.split(' ').map(str::to_owned)).join(" "), expected);
        }
    }
}
