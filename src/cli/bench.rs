//! The arguments of `synth bench`.

use super::DeviceChoice;
use crate::attention::Kind;
use crate::train::options::Precision;
use clap::{Args, ValueEnum, value_parser};
use std::path::PathBuf;

/// `synth bench`.
#[derive(Debug, Args)]
pub struct BenchArguments {
    /// What to time: train (whole updates), decode (greedy generation)
    #[arg(long, value_delimiter = ',', default_value = "train", value_name = "WHAT,…")]
    pub what: Vec<WhatChoice>,
    /// Kinds of attention, or all: each part and the mixtures of the paper [default: vanilla,random]
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "vanilla,random",
        hide_default_value = true,
        value_name = "KIND,…"
    )]
    pub kinds: Vec<KindChoice>,
    /// Lengths, in tokens [default: 256; decoding 1024; on the CPU 128]
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = value_parser!(i64).range(1..))]
    pub lengths: Vec<i64>,
    /// Batches, in sequences [default: 256; decoding 1,64; on the CPU 8; decoding 1,8]
    #[arg(long, value_delimiter = ',', value_name = "B,…", value_parser = value_parser!(i64).range(1..))]
    pub batches: Vec<i64>,
    /// Models: d_model, layers, heads and d_ff [default: 512x6x8x2048; on the CPU 128x2x4x512]
    #[arg(long, value_delimiter = ',', value_name = "DxLxHxF,…")]
    pub models: Vec<ModelChoice>,
    /// Tokens that there are [default: 32000; on the CPU 1000]
    #[arg(long, value_name = "V", value_parser = value_parser!(i64).range(2..=i64::from(i32::MAX)))]
    pub vocabulary: Option<i64>,
    /// The arithmetic of the products: bf16, fp32 or fp64 [default: bf16; on the CPU fp32]
    #[arg(long, value_name = "PRECISION", value_parser = precision)]
    pub precision: Option<Precision>,
    /// Dropout of embeddings, residual branches and feed-forward activations, in training
    #[arg(long, default_value = "0.1", value_name = "P", value_parser = probability)]
    pub dropout: f64,
    /// Dropout of the attention weights, in training [default: that of --dropout]
    #[arg(long, value_name = "P", value_parser = probability)]
    pub attention_dropout: Option<f64>,
    /// Tokens that decoding generates [default: 256, or the length where that is less]
    #[arg(long, value_name = "N", value_parser = value_parser!(i64).range(1..))]
    pub new: Option<i64>,
    /// Rank of factorized-random
    #[arg(long, default_value = "8", value_name = "K", value_parser = value_parser!(i64).range(1..))]
    pub rank: i64,
    /// Set another key below model, attention, optimizer or train, such as model.activation=gelu; later ones win
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Steps before the first one that is timed
    #[arg(long, default_value = "5", value_name = "N")]
    pub warmup: u32,
    /// Rounds that are timed; the median counts
    #[arg(long, default_value = "5", value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub repeats: u32,
    /// Seconds that the rounds of a training cell take in all; a round has three steps or more
    #[arg(long, default_value = "2", value_name = "S", value_parser = seconds)]
    pub seconds: f64,
    /// Launch every operation by itself, instead of steps captured in a CUDA graph
    #[arg(long)]
    pub eager: bool,
    /// Give the same bytes on CUDA too, as train.deterministic does
    #[arg(long)]
    pub deterministic: bool,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Write STEM.csv and STEM.json, anew after each cell
    #[arg(long, value_name = "STEM")]
    pub save: Option<PathBuf>,
    /// Compare with a saved JSON, or with the JSON lines of benches/peers; again for more files
    #[arg(long, value_name = "FILE")]
    pub against: Vec<PathBuf>,
    /// JSON lines of a peer that was run now: stored figures count where its compiled vanilla cell is as they say
    #[arg(long, value_name = "FILE", requires = "against")]
    pub control: Option<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What can be timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WhatChoice {
    /// Updates of the weights.
    Train,
    /// Greedy generation.
    Decode,
}

/// One or more kinds by one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindChoice {
    /// A kind.
    One(Kind),
    /// Each part and the mixtures of the paper.
    All,
}

impl std::str::FromStr for KindChoice {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "all" => Ok(Self::All),
            _ => name.parse().map(Self::One).map_err(|error| {
                let parts: Vec<String> = Kind::pure().map(|kind| kind.to_string()).collect();
                format!("{error}; expected all, {}, or some of them joined by +", parts.join(", "))
            }),
        }
    }
}

/// The sizes of a model, `512x6x8x2048`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelChoice {
    /// Width of the residual stream.
    pub d_model: i64,
    /// Number of blocks.
    pub layers: i64,
    /// Heads of every attention.
    pub heads: i64,
    /// Width of the feed-forward layer.
    pub d_ff: i64,
}

impl std::str::FromStr for ModelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Vec<i64> = text.split('x').filter_map(|size| size.parse().ok().filter(|size| *size >= 1)).collect();
        match sizes[..] {
            [d_model, layers, heads, d_ff] if text.split('x').count() == 4 => Ok(Self { d_model, layers, heads, d_ff }),
            _ => Err("expected d_model x layers x heads x d_ff without spaces, such as 512x6x8x2048".to_string()),
        }
    }
}

impl std::fmt::Display for ModelChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}x{}", self.d_model, self.layers, self.heads, self.d_ff)
    }
}

fn precision(text: &str) -> Result<Precision, String> {
    let all = [Precision::Bf16, Precision::Fp32, Precision::Fp64];
    all.into_iter().find(|known| known.name() == text).ok_or_else(|| "expected bf16, fp32 or fp64".to_string())
}

fn probability(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=0.99).contains(number));
    number.ok_or_else(|| "expected a number from 0 to 0.99".to_string())
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number of 0 or more".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_four_sizes() {
        let model: ModelChoice = "512x6x8x2048".parse().unwrap();
        assert_eq!((model.d_model, model.layers, model.heads, model.d_ff), (512, 6, 8, 2048));
        assert_eq!(model.to_string(), "512x6x8x2048");
        for wrong in ["", "512", "512x6x8", "512x6x8x2048x1", "512x6x0x2048", "512x6x8x-1", "512x6xx2048", "a x6x8x1"] {
            assert!(wrong.parse::<ModelChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_kind_has_any_of_its_names() {
        assert_eq!("all".parse(), Ok(KindChoice::All));
        assert_eq!("vanilla+random".parse::<KindChoice>(), "random+vanilla".parse());
        assert!("denes".parse::<KindChoice>().unwrap_err().contains("expected all, vanilla, dense"));
    }
}
