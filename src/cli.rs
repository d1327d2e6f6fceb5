//! The command line: clap types only.

mod ablate;
mod bench;
mod data;
mod generate;
mod score;

pub use ablate::{AblateArguments, RunsArguments, SortChoice, StatusChoice};
pub use bench::{BenchArguments, KindChoice, ModelChoice, WhatChoice};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
pub use data::{DataArguments, DataCommand, EncodingChoice, FetchArguments, ImportArguments, ShowArguments};
pub use generate::GenerateArguments;
pub use score::{MetricChoice, ScoreArguments};
use std::path::PathBuf;

/// Trains, evaluates and ablates Transformers in which only the attention differs.
#[derive(Debug, Parser)]
#[command(name = "synth", version, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    /// Say more on stderr; twice for all
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say warnings and errors only, draw no bars
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train the model of an experiment
    Train(TrainArguments),
    /// Measure a trained model on a split
    #[command(visible_alias = "evaluate")]
    Eval(EvalArguments),
    /// Write what a trained model makes of each line of stdin or of a file
    ///
    /// A language model continues it: each line is a prompt; an empty line is a line break. Prints each prompt with its
    /// continuation as soon as it is ready, with a line `---` between two. Draws derive from the seed and the numbers of
    /// prompt, sample and token: the same command prints the same text, and further prompts change nothing in those before
    /// them.
    ///
    /// A model sees at most model.max_length tokens. A longer prompt starts from its last max_length tokens. Positions
    /// count from the start of what the model sees, so it cannot slide token by token: where the text grows past
    /// max_length, its last max_length / 2 tokens (rounded up) become the new start, at position 0, and generation
    /// goes on. A model of records (data.rows) begins one with each prompt, and stops where it ends.
    ///
    /// A model of translation, summarization or dialogue writes an output line for each source line, by beam search as
    /// its configuration says under decode (--beam and the like change that) or, with --temperature, --top-k, --top-p or
    /// --samples, by draws. In a dialogue's line a tab stands between turns. An empty line has an empty output. With
    /// --n-best or --samples above 1 each output stands behind the number of its line and a tab; with --scores behind its
    /// score, too: its log-probability divided by the length formula.
    ///
    /// A tokenizer's unknown token can stand in a line, and is never generated.
    Generate(GenerateArguments),
    /// Train every cell of a sweep, each in a process of its own
    ///
    /// The same command goes on where it was stopped: cells that are done, diverged or skipped are not run again; failed,
    /// out-of-memory and stopped ones go on from their last checkpoint, or begin anew where there is none. A run of another
    /// configuration in a cell's place is moved to CELL-sSEED.old-N. Several such commands over one folder, on one machine
    /// or several, share the cells out among themselves.
    ///
    /// Ends with 0 when every cell is done or skipped, else with 1; a signal saves and stops all cells.
    Ablate(AblateArguments),
    /// List runs of all experiments
    Runs(RunsArguments),
    /// Time training steps and decoding on this machine
    ///
    /// Every combination of kinds, lengths, batches and models is a cell in a process of its own, on random tokens. A
    /// step of training is forward, loss, backward, clipping and optimizer; one of decoding is a greedy token for every
    /// sequence. docs/performance.md says how it is timed.
    Bench(BenchArguments),
    /// A cell of bench, in its own process
    #[command(hide = true)]
    BenchCell {
        /// What to measure, as JSON
        job: String,
    },
    /// Score outputs beside references: BLEU, ROUGE, accuracy and others, as their reference programs do
    ///
    /// Line i of every file belongs together; files may be gzipped. Scores are points from 0 to 100, but for cider-d
    /// (0 to 10), embedding-average and the correlations matthews, pearson and spearman (-1 to 1).
    ///
    /// squad-f1 and squad-em take lines of text or JSON lines {"group": ID, "answers": [TEXT, ...]}; multirc-f1a and
    /// multirc-em take JSON lines in which each answer is 1 or 0, a line or more to a group, which is a question.
    ///
    /// docs/metrics.md says how each metric is defined.
    Score(ScoreArguments),
    /// Prepare datasets, and look at them
    Data(DataArguments),
    /// Say what this build and this machine can do, and what to do about each problem
    Doctor(DoctorArguments),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// `synth train`.
#[derive(Debug, Args)]
pub struct TrainArguments {
    /// The experiment, or the config.toml of a run
    pub experiment: PathBuf,
    /// Set a key of the experiment, such as train.steps=100; later ones win
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// The same as --set seed=N
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// The folder of all results
    #[arg(long, default_value = "results", value_name = "DIR")]
    pub results: PathBuf,
    /// The run's name [default: KIND-sSEED, such as random-s1]
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Go on from the run's last checkpoint, or start where there is none
    #[arg(long, conflicts_with = "overwrite")]
    pub resume: bool,
    /// Remove the run of that name first
    #[arg(long)]
    pub overwrite: bool,
    /// Give the same bytes on CUDA too; the same as --set train.deterministic=true
    #[arg(long)]
    pub deterministic: bool,
    /// Print the resolved experiment as TOML and stop
    #[arg(long)]
    pub print_config: bool,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `synth eval`.
#[derive(Debug, Args)]
pub struct EvalArguments {
    /// The folder of the run, results/EXPERIMENT/RUN
    pub run: PathBuf,
    /// The split to measure
    #[arg(long, default_value = "validation")]
    pub split: SplitChoice,
    /// best, last, step-N, or average:N, the mean of the newest N [default: average:N of train.average, else best, else last]
    #[arg(long, value_name = "CHECKPOINT")]
    pub checkpoint: Option<String>,
    /// The weights to use: trained, or ema, their moving average [default: ema where the run has it (train.ema)]
    #[arg(long, value_name = "WEIGHTS")]
    pub weights: Option<WeightsChoice>,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceChoice,
    /// Measure other data, by a key under data., such as data.validation=other.txt, or, with sources, write and measure
    /// outputs otherwise: decode.beam=8, task.bleu_tokenize=none
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print the result as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `synth doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Print the findings as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU, or the CPU where there is none.
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU by its number.
    Cuda(usize),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Self::Cuda).ok_or_else(|| "expected auto, cpu, cuda or cuda:N".to_string())
            }
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Which weights of a checkpoint are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WeightsChoice {
    /// Those that training ended with.
    Trained,
    /// Their moving average.
    Ema,
}

impl WeightsChoice {
    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trained => "trained",
            Self::Ema => "ema",
        }
    }
}

/// The splits that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SplitChoice {
    /// What training is steered by.
    Validation,
    /// What nothing is steered by.
    Test,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn devices_are_read_and_written_alike() {
        for text in ["auto", "cpu", "cuda:0", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }
}
