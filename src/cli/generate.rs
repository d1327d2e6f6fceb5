//! The arguments of `synth generate`.

use super::{DeviceChoice, WeightsChoice};
use clap::{Args, value_parser};
use std::path::PathBuf;

/// `synth generate`.
#[derive(Debug, Args)]
pub struct GenerateArguments {
    /// The folder of the run, results/EXPERIMENT/RUN
    pub run: PathBuf,
    /// A text file of prompts or sources, plain or gzipped; - is stdin
    #[arg(default_value = "-", hide_default_value = true)]
    pub prompts: PathBuf,
    /// Take all of the text as one prompt or source, line breaks and all
    #[arg(long)]
    pub whole_input: bool,
    /// Tokens to add to each prompt, or of an output at most [default: 200, or decode.max_length]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// What logits are divided by: below 1 likely tokens come more often; 0 takes the likeliest [default: 1]
    #[arg(long, value_name = "T", value_parser = at_least_zero, allow_negative_numbers = true)]
    pub temperature: Option<f64>,
    /// Always take the likeliest token; the same as --temperature 0, or as --beam 1
    #[arg(long, conflicts_with_all = ["temperature", "beam"])]
    pub greedy: bool,
    /// Draw from the K likeliest tokens only
    #[arg(long, value_name = "K", value_parser = value_parser!(u32).range(1..))]
    pub top_k: Option<u32>,
    /// Draw from the fewest of the likeliest tokens only that have probability P together
    #[arg(long, value_name = "P", value_parser = top_p, allow_negative_numbers = true)]
    pub top_p: Option<f64>,
    /// Draws for each prompt or source [default: 1]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub samples: Option<u32>,
    /// Seed of the draws [default: the run's]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// best, last, step-N, or average:N, the mean of the newest N [default: average:N of train.average, else best, else last]
    #[arg(long, value_name = "CHECKPOINT")]
    pub checkpoint: Option<String>,
    /// The weights to use: trained, or ema, their moving average [default: ema where the run has it (train.ema)]
    #[arg(long, value_name = "WEIGHTS")]
    pub weights: Option<WeightsChoice>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Print all as one JSON object, at the end
    #[arg(long)]
    pub json: bool,
    /// What sources become
    #[command(flatten)]
    pub outputs: OutputArguments,
}

/// Options for models that make outputs of sources.
#[derive(Debug, Args)]
#[command(next_help_heading = "Models of translation, summarization and dialogue")]
pub struct OutputArguments {
    /// Hypotheses that beam search keeps [default: decode.beam]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1024))]
    pub beam: Option<u32>,
    /// Outputs to print for each source, the best first; no more than the beam
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1024))]
    pub n_best: Option<u32>,
    /// Print the score of each output before it
    #[arg(long)]
    pub scores: bool,
    /// How much longer outputs are preferred: the exponent of the length formula [default: decode.length_penalty]
    #[arg(long, value_name = "A", value_parser = at_least_zero, allow_negative_numbers = true)]
    pub length_penalty: Option<f64>,
    /// Tokens of an output at least [default: decode.min_length]
    #[arg(long, value_name = "N")]
    pub min_tokens: Option<u32>,
    /// No run of N tokens twice in an output; 0 allows all [default: decode.no_repeat_ngram]
    #[arg(long, value_name = "N")]
    pub no_repeat_ngram: Option<u32>,
}

impl GenerateArguments {
    /// The first option that is given and only means something where sources become outputs.
    pub fn first_of_outputs(&self) -> Option<&'static str> {
        let OutputArguments { beam, n_best, scores, length_penalty, min_tokens, no_repeat_ngram } = &self.outputs;
        let given = [
            ("--beam", beam.is_some()),
            ("--n-best", n_best.is_some()),
            ("--scores", *scores),
            ("--length-penalty", length_penalty.is_some()),
            ("--min-tokens", min_tokens.is_some()),
            ("--no-repeat-ngram", no_repeat_ngram.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// The first option that is given and asks for draws.
    pub fn first_of_draws(&self) -> Option<&'static str> {
        let given = [
            ("--temperature", self.temperature.is_some()),
            ("--top-k", self.top_k.is_some()),
            ("--top-p", self.top_p.is_some()),
            ("--samples", self.samples.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }
}

fn at_least_zero(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| "expected a number of 0 or more".to_string())
}

fn top_p(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number <= 1.0);
    number.ok_or_else(|| "expected a number above 0, at most 1".to_string())
}
